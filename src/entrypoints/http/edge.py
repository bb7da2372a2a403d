"""The edge: what every request passes once, in one function, before the first route and after the last byte."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from random import getrandbits
from typing import Any
from urllib.parse import unquote

from litestar.types import ASGIApp, Message, Receive, Send
from litestar.utils import normalize_path

from application.authentication import Authentication
from application.limits import Limits
from application.ports.limits import Verdict
from application.principal import Correlation, Principal, correlation
from domain.errors import DomainError, Exhausted, Unauthenticated
from entrypoints.http.compression import compressed, preferred_encoding
from entrypoints.http.cors import Cors, Headers
from entrypoints.http.problems import (
    BodyTooLarge,
    DeadlineExceeded,
    HeadersTooLarge,
    Malformed,
    UnsupportedMediaType,
    refusal,
)

API = "/api/"
# Everything else under /api/ needs a principal, so a new route is closed until it is named here.
PUBLIC = frozenset(
    {
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/auth/logout",
        "/api/docs",
        "/api/docs/start.js",
        "/api/docs/swagger_bundle.js",
        "/api/docs/swagger_style.css",
        "/api/openapi.json",
        "/api/asyncapi.json",
    }
)
# Whoever has their answers may come in: none is kept, so repeating such a request with a key is nothing special.
KEYLESS = PUBLIC | {"/api/v1/live/tickets"}
URL_MAX = 8_192
HEADERS_MAX = 16_384
COMPRESS_FROM_BYTES = 1_024

SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
# A script of ours may be kept, if it is asked each time whether it is still the same one.
SCRIPT_HEADERS: Sequence[tuple[bytes, bytes]] = (
    *((name, value) for name, value in SECURITY_HEADERS if name != b"cache-control"),
    (b"cache-control", b"no-cache"),
)
# The interactive documentation is a page of our own with a script of our own, and nothing from anywhere else.
DOCS_HEADERS: Sequence[tuple[bytes, bytes]] = tuple(
    (name, b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
    if name == b"content-security-policy"
    else (name, value)
    for name, value in SECURITY_HEADERS
)

_OWN_HEADERS = {"/api/docs": DOCS_HEADERS, "/client.js": SCRIPT_HEADERS}
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]\Z")
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Edge:
    """Gives each request an id and a trace, finds out who asks and from where, and applies limits and deadline.

    Every answer gets the security headers, the request id and the state of the rate limit; JSON above 1 KiB is
    compressed unless it carries a token. Leaves `signalbox` in the scope: the Caller.
    """

    def __init__(
        self,
        app: ASGIApp,
        authentication: Authentication,
        limits: Limits,
        origins: Sequence[str],
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
        max_body_bytes: int,
        deadline_seconds: float,
    ) -> None:
        self._app = app
        self._authentication = authentication
        self._limits = limits
        self._cors = Cors(origins)
        self._trusted = trusted_proxies
        self._max_body = max_body_bytes
        self._deadline = deadline_seconds
        self._policy = b'"default";q=%d;w=%d' % (limits.requests, max(1, limits.window_ms // 1000))

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if "//" in path or path.endswith("/"):
            # As the router will read it: what is decided here has to be about the same path.
            path = scope["path"] = normalize_path(path)
        headers: dict[bytes, bytes] = {}
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            headers[name] = value if name not in headers else headers[name] + b", " + value
        cause = correlation_of(headers)
        correlation.set(cause)
        caller = Caller(_client_address(scope, headers, self._trusted), headers)
        scope["signalbox"] = caller
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, path, headers, cause, self._cors.headers(headers.get(b"origin")))
        if scope["method"] == "HEAD":
            # A copy, as the server goes by its own whether it has to send a body.
            scope = {**scope, "method": "GET"}
            answer.has_body = False
        try:
            async with asyncio.timeout(self._deadline) as deadline:
                answer.deadline = deadline
                if size > HEADERS_MAX:
                    raise HeadersTooLarge(f"The headers have at most {HEADERS_MAX} bytes.")
                allowed = self._cors.preflight(scope["method"], headers)
                if allowed is not None:
                    await answer.permit(allowed)
                    return
                if path.startswith(API):
                    stranger = self._identify(caller, path)
                    await self._limit(caller, answer)
                    if stranger:
                        raise stranger
                self._inspect(scope, headers)
                await self._app(scope, self._bounded(receive), answer.send)
        except TimeoutError:
            await answer.refuse(DeadlineExceeded(f"A request may take {self._deadline:g} seconds."))
        except DomainError as error:
            await answer.refuse(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets a problem and the log the rest
            await answer.refuse(error)

    def _identify(self, caller: "Caller", path: str) -> Unauthenticated | None:
        """Find out who asks; what is wrong if that is nobody and the path needs somebody."""
        credential = caller.headers.get(b"authorization")
        try:
            if credential is None:
                raise TokenMissing("This needs an access token in the Authorization header.")
            caller.principal = self._authentication.authenticate(_bearer(credential))
        except Unauthenticated as error:
            return None if path in PUBLIC else error
        return None

    async def _limit(self, caller: "Caller", answer: "_Answer") -> None:
        if not self._limits.enabled:
            return
        principal = caller.principal
        verdict = await self._limits.request(f"u:{principal.account_id}" if principal else f"a:{caller.address}")
        answer.limit = (self._policy, verdict)
        if not verdict.allowed:
            raise Exhausted("Too many requests; slow down.", retry_after_seconds=verdict.retry_after_seconds)

    def _inspect(self, scope: Any, headers: Mapping[bytes, bytes]) -> None:
        """Refuse what no route could accept, before anything of the body is read."""
        host = headers.get(b"host")
        if b"," in host if host else scope["http_version"] == "1.1":
            raise Malformed("A request has one Host header.")
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > URL_MAX:
            raise Malformed(f"A URL has at most {URL_MAX} bytes.")
        if b"%" in scope["query_string"] or not scope["query_string"].isascii():
            try:
                unquote(scope["query_string"].decode(), errors="strict")
            except UnicodeDecodeError:
                raise Malformed("The query string is not valid UTF-8.") from None
        if scope["method"] in _BODILESS:
            return
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._max_body:
            raise BodyTooLarge(f"A body has at most {self._max_body} bytes.")
        if (length is not None and length != b"0") or b"transfer-encoding" in headers:
            kind = headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
            if kind not in (b"application/json", b"application/merge-patch+json"):
                raise UnsupportedMediaType("A body has to be application/json.")
            if headers.get(b"content-encoding", b"identity") != b"identity":
                raise UnsupportedMediaType("A body cannot be compressed.")

    def _bounded(self, receive: Receive) -> Receive:
        left = self._max_body

        async def bounded() -> Any:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise BodyTooLarge(f"A body has at most {self._max_body} bytes.")
            return message

        return bounded


class TokenMissing(Unauthenticated):
    """The route needs a principal and nobody said who it is."""

    code = "token_missing"


class Caller:
    """Who sends a request: the network address, the headers, and the principal if there is one."""

    __slots__ = ("address", "headers", "principal")

    def __init__(self, address: str, headers: Mapping[bytes, bytes]) -> None:
        self.address = address
        self.headers = headers
        self.principal: Principal | None = None


class _Answer:
    """The one wrapper around `send`: headers that every answer has, and compression where it pays.

    Without `has_body`, as HEAD wants it, everything is the same but the bytes, and a stream ends at its beginning.
    """

    __slots__ = (
        "_cause",
        "_cors",
        "_headers",
        "_held",
        "_is_complete",
        "_path",
        "_send",
        "_started",
        "deadline",
        "has_body",
        "limit",
    )

    def __init__(
        self, send: Send, path: str, headers: Mapping[bytes, bytes], cause: Correlation, cors: Headers
    ) -> None:
        self._send = send
        self._path = path
        self._headers = headers
        self._cause = cause
        self._cors = cors
        self._started = False
        self._is_complete = False
        self._held: Any = None
        self.has_body = True
        self.limit: tuple[bytes, Verdict] | None = None
        self.deadline: asyncio.Timeout | None = None

    async def send(self, message: Message) -> None:
        if self._is_complete:
            return
        if message["type"] == "http.response.start":
            self._started = True
            headers = list(message["headers"])
            headers.append((b"x-request-id", self._cause.request_id.encode()))
            headers += _OWN_HEADERS.get(self._path, SECURITY_HEADERS)
            headers += self._cors
            if self.limit is not None:
                policy, verdict = self.limit
                headers.append((b"ratelimit-policy", policy))
                headers.append(
                    (b"ratelimit", b'"default";r=%d;t=%d' % (verdict.remaining, -(-verdict.reset_seconds // 1)))
                )
            message["headers"] = headers
            if b"accept-encoding" in self._headers:
                self._held = message
                return
            if self.deadline is not None and message["status"] == 200 and _is_stream(headers):
                self.deadline.reschedule(None)
        elif self._held is not None:
            start, self._held = self._held, None
            message = self._encode(start, message)
            if self.deadline is not None and _is_stream(start["headers"]):
                self.deadline.reschedule(None)
            await self._send(start)
        if not self.has_body and message["type"] == "http.response.body":
            self._is_complete = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    def _encode(self, start: Any, message: Any) -> Any:
        body = message.get("body", b"")
        if message.get("more_body") or len(body) < COMPRESS_FROM_BYTES or self._path.startswith("/api/v1/auth/"):
            return message
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        headers.append((b"vary", b"accept-encoding"))
        encoding = preferred_encoding(self._headers[b"accept-encoding"])
        if encoding:
            body = compressed(encoding, body)
            headers.append((b"content-encoding", encoding.encode()))
        headers.append((b"content-length", b"%d" % len(body)))
        start["headers"] = headers
        return {**message, "body": body}

    async def permit(self, headers: Headers) -> None:
        """Answer a browser that asks what a page may call."""
        await self.send({"type": "http.response.start", "status": 204, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def refuse(self, error: Exception) -> None:
        """Answer with a problem; if an answer has begun already, let the server cut the connection instead."""
        if self._started and self._held is None:
            raise error
        self._held = None
        status, headers, body = refusal(error)
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def _is_stream(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


def correlation_of(headers: Mapping[bytes, bytes]) -> Correlation:
    """The request id and the trace that a request brings, as far as they are fit for use, or else new ones."""
    given = headers.get(b"traceparent", b"")
    traceparent = (
        given.decode() if _TRACEPARENT.match(given) else f"00-{getrandbits(128):032x}-{getrandbits(64):016x}-00"
    )
    wanted = headers.get(b"x-request-id", b"")
    return Correlation(wanted.decode() if _REQUEST_ID.match(wanted) else traceparent[3:35], traceparent)


def _bearer(credential: bytes) -> str:
    scheme, _, token = credential.partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        raise TokenMissing("The Authorization header needs the form `Bearer <token>`.")
    return token.strip().decode()


def _client_address(scope: Any, headers: Mapping[bytes, bytes], trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The address that asks: the peer, or behind trusted proxies the right-most hop that is none; IPv6 as its /64."""
    client = scope.get("client")
    address = client[0] if client else ""
    if trusted and _is_trusted(address, trusted):
        for given in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            hop = given.strip()
            try:
                ip_address(hop)
            except ValueError:
                break
            address = hop
            if not _is_trusted(hop, trusted):
                break
    if ":" in address:
        try:
            parsed = ip_address(address)
        except ValueError:
            return address
        if isinstance(parsed, IPv6Address):
            return str(parsed.ipv4_mapped or IPv6Network((int(parsed) >> 64 << 64, 64)))
    return address


def _is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return not address  # a Unix socket has no address, and only a proxy on this host connects to one
    return any(parsed in network for network in trusted)
