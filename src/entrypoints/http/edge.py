"""The edge: one function that every request passes once, from before its route to after its last byte."""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import unquote

from litestar.types import ASGIApp, Receive, Send
from litestar.utils import normalize_path

from application.authentication import Authentication
from application.limits import Limits
from application.ports.observer import Activity, Observer
from application.principal import acts
from domain.errors import DomainError, Forbidden, Unauthenticated
from entrypoints.addresses import IpAddress, address
from entrypoints.http.answer import Responder, Upgrade
from entrypoints.http.caller import Caller
from entrypoints.http.cors import Cors, Headers
from entrypoints.http.facts import Callers
from entrypoints.http.problems import (
    INTERNAL,
    BodyTooLarge,
    DeadlineExceeded,
    HeadersTooLarge,
    Malformed,
    UnsupportedMediaType,
)

# Paths that need a principal. So a new route is closed until its facts say that strangers may call it.
CLOSED = ("/api/", "/stats")
URL_MAX = 8_192
HEADERS_MAX = 16_384
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]\Z")
_DEPTH = re.compile(rb"[0-9]{1,3}\Z")
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Edge:
    """Tells the observer of each request, authenticates the caller, and applies limits and the deadline.

    Every answer gets the security headers, the request id and the state of the rate limit. JSON above 1 KiB is
    compressed unless it holds a secret. `scope["signalbox"]` is the Caller.
    """

    def __init__(
        self,
        app: ASGIApp,
        open_to: Mapping[str, Callers],
        forms: Collection[str],
        authentication: Authentication,
        limits: Limits,
        origins: Sequence[str],
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
        max_body_bytes: int,
        deadline_seconds: float,
        observer: Observer,
    ) -> None:
        self._app = app
        self._open_to = open_to
        self._forms = forms
        self._observer = observer
        self._authentication = authentication
        self._limits = limits
        self._cors = Cors(origins)
        self._trusted = trusted_proxies
        self._max_body = max_body_bytes
        self._deadline = deadline_seconds

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if "//" in path or path.endswith("/"):
            # Normalized as the router does it, so that the edge and the router decide about the same path.
            path = scope["path"] = normalize_path(path)
        headers: dict[bytes, bytes] = {}
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            headers[name] = value if name not in headers else headers[name] + b", " + value
        caller = Caller(*_client_address(scope, headers, self._trusted), headers)
        scope["signalbox"] = caller
        activity = self._observer.request(
            scope.get("method", "GET"),
            _fit(_REQUEST_ID, headers.get(b"x-request-id")),
            _fit(_TRACEPARENT, headers.get(b"traceparent")),
        )
        if scope["type"] == "websocket":
            status = await self._upgrade(scope, receive, send, caller, size)
            self._tell(activity, scope, status, caller, connection=caller.connection)
            return
        cors = self._cors.headers(headers.get(b"origin"))
        answer = Responder(send, path, caller, activity.correlation, cors)
        if scope["method"] == "HEAD":
            # A copy, because the server needs the original method to know that HEAD has no body.
            scope = {**scope, "method": "GET"}
            answer.has_body = False
        try:
            async with asyncio.timeout(self._deadline) as deadline:
                answer.deadline = deadline
                _measure(size)
                allowed = self._preflight(scope["method"], headers)
                if allowed is not None:
                    await answer.permit(allowed)
                    return
                await self._enter(scope, receive, caller, answer)
        except TimeoutError:
            caller.code = await answer.refuse(DeadlineExceeded(f"A request may take {self._deadline:g} seconds."))
        except Exception as error:  # noqa: BLE001  # the caller gets a problem, the log gets the traceback
            caller.code = INTERNAL  # stays if `refuse` raises, because the answer has begun
            caller.code = await answer.refuse(error)
        finally:
            self._tell(
                activity,
                scope,
                answer.status,
                caller,
                is_stream=answer.is_stream,
                bytes_in=caller.bytes_in,
                bytes_out=answer.bytes_out,
            )

    async def _upgrade(self, scope: Any, receive: Receive, send: Send, caller: Caller, headers_size: int) -> int:
        """Admit a live connection, or refuse it like a request. Returns the status of the answer."""
        upgrade = Upgrade(send)
        try:
            _measure(headers_size)
            self._inspect(scope, caller.headers)
        except DomainError as error:
            caller.code = await upgrade.refuse(error)
        else:
            await upgrade.run(self._app, scope, receive)
        return upgrade.status

    def _tell(
        self,
        activity: Activity,
        scope: Any,
        status: int,
        caller: Caller,
        *,
        is_stream: bool = False,
        **facts: str | int,
    ) -> None:
        """Tell the observer how the request ended."""
        is_upgrade = scope["type"] == "websocket"
        if is_upgrade:
            self._observer.happened("socket_opened", str(status))
        if status == 403:
            if caller.code == CrossSite.code:
                self._observer.happened("origin_rejected", "upgrade" if is_upgrade else "cookie")
            else:
                self._observer.happened("denied", "request")
        who = caller.principal
        activity.end(
            route=scope.get("path_template", ""),
            status=status,
            code=caller.code,
            account=caller.account if who is None else who.account_id,
            is_stream=is_stream,
            **{"client.address": caller.address, **facts},
        )

    def _preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        allowed = self._cors.preflight(method, headers)
        if allowed is not None and not allowed:
            self._observer.happened("origin_rejected", "preflight")
        return allowed

    async def _enter(self, scope: Any, receive: Receive, caller: Caller, answer: Responder) -> None:
        """Run the application. A call of the API counts against its account, or its address without a principal."""
        bounded = self._bounded(scope, receive, caller)
        if not scope["path"].startswith(CLOSED):
            self._inspect(scope, caller.headers)
            await self._app(scope, bounded, answer.send)
            return
        callers = self._open_to.get(scope["path"], "known")
        refused = None
        try:
            credential = caller.headers.get(b"authorization")
            if credential is not None or callers == "known":
                text = _bearer(credential)
                address = caller.whole_address
                caller.principal = self._authentication.known(text, address) or await self._authentication.identify(
                    text, address
                )
                if callers != "anybody":
                    acts(caller.principal, _depth(caller.headers.get(b"webhook-depth")))
        except Unauthenticated as error:
            refused = None if callers == "anybody" else error
        who = caller.address if caller.principal is None else caller.principal
        with self._limits.bill(who) as answer.bill:
            await answer.bill.charge(1)
            if refused:
                raise refused
            self._inspect(scope, caller.headers)
            await self._app(scope, bounded, answer.send)

    def _inspect(self, scope: Any, headers: Mapping[bytes, bytes]) -> None:
        """Refuse, before the body is read, a request that no route could accept."""
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
        if scope.get("method", "GET") in _BODILESS:  # an upgrade has no method
            return
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._max_body:
            raise BodyTooLarge(f"A body has at most {self._max_body} bytes.")
        if (length is not None and length != b"0") or b"transfer-encoding" in headers:
            kind = headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
            is_form = kind == b"application/x-www-form-urlencoded" and scope["path"] in self._forms
            if not is_form and kind not in (b"application/json", b"application/merge-patch+json"):
                raise UnsupportedMediaType("A body has to be application/json.")
            if headers.get(b"content-encoding", b"identity") != b"identity":
                raise UnsupportedMediaType("A body cannot be compressed.")

    def _bounded(self, scope: Any, receive: Receive, caller: Caller) -> Receive:
        is_incomplete = scope["method"] not in _BODILESS

        async def bounded() -> Any:
            nonlocal is_incomplete
            message = await receive()
            if message["type"] == "http.request":
                body: bytes = message.get("body", b"")
                caller.bytes_in += len(body)
                if caller.bytes_in > self._max_body:
                    raise BodyTooLarge(f"A body has at most {self._max_body} bytes.")
                is_incomplete = is_incomplete and message.get("more_body", False)
            elif is_incomplete:
                raise Malformed("The body ended before its end.")
            return message

        return bounded


class TokenMissing(Unauthenticated):
    """The route needs a principal, and the request has no credential."""

    code = "token_missing"


class CrossSite(Forbidden):
    """A page of another site made the browser send this."""

    code = "cross_site"


def _measure(headers_size: int) -> None:
    if headers_size > HEADERS_MAX:
        raise HeadersTooLarge(f"The headers have at most {HEADERS_MAX} bytes.")


def _fit(form: re.Pattern[bytes], given: bytes | None) -> str:
    """The header as text if it has this form, otherwise an empty text."""
    return given.decode() if given is not None and form.match(given) else ""


def _depth(given: bytes | None) -> int:
    """How many webhooks in a row led to a request. It is sent on by a receiver that acts on a webhook."""
    return int(given) if given is not None and _DEPTH.match(given) else 0


def _bearer(credential: bytes | None) -> str:
    if credential is None:
        raise TokenMissing("This needs an access token in the Authorization header.")
    scheme, _, token = credential.partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        raise TokenMissing("The Authorization header needs the form `Bearer <token>`.")
    return token.strip().decode()


def _client_address(
    scope: Any, headers: Mapping[bytes, bytes], trusted: Sequence[IPv4Network | IPv6Network]
) -> tuple[str, str]:
    """The client's address: the peer, or the right-most hop that is no trusted proxy. And once more, whole.

    The first one is the /64 if it is IPv6.
    """
    client = scope.get("client")
    text = client[0] if client else ""
    if not trusted and ":" not in text:
        return text, text
    try:
        asking = address(text)
    except ValueError:
        if text or not trusted:
            return text, text
        asking = None  # a Unix socket has no address, and only a proxy on this host connects to one
    if asking is None or _is_trusted(asking, trusted):
        for hop in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            try:
                asking = address(hop.strip())
            except ValueError:
                break
            if not _is_trusted(asking, trusted):
                break
    whole = "" if asking is None else str(asking)
    if isinstance(asking, IPv6Address):
        return str(IPv6Network((int(asking) >> 64 << 64, 64))), whole
    return whole, whole


def _is_trusted(asking: IpAddress, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(asking in network for network in trusted)
