"""CORS: which origins may call, the answers to preflights, and the headers that let scripts read an answer."""

from collections.abc import Mapping, Sequence

Headers = Sequence[tuple[bytes, bytes]]

_METHODS = b"GET, POST, PUT, PATCH, DELETE"
ACCEPTED = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id, "
    b"X-Requested-With, baggage, traceparent, tracestate"
)
EXPOSED = b"ETag, Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
_PREFLIGHT_SECONDS = b"3600"


class Cors:
    """The pages of `origins` may call and use their credentials; with `*` any page may, without credentials.

    An origin is compared as a whole: another port, scheme or subdomain is another origin.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, origin: bytes | None) -> Headers:
        """The headers on every answer to a request of this origin."""
        if not self._origins:
            return ()
        if b"*" in self._origins:
            return ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED))
        if origin not in self._origins:
            return ((b"vary", b"origin"),)
        return (
            (b"vary", b"origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", EXPOSED),
        )

    def preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        """The headers of the answer to a preflight, or None if this request is not a preflight."""
        if method != "OPTIONS" or b"origin" not in headers or b"access-control-request-method" not in headers:
            return None
        if not self._origins & {b"*", headers[b"origin"]}:
            return ()
        return (
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", ACCEPTED),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        )
