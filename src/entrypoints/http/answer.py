"""Sends every answer: adds headers and compression, and notes what the edge reports of it."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Send

from application.limits import Bill
from application.principal import Correlation
from entrypoints.http.browser import MODULES
from entrypoints.http.caller import Caller
from entrypoints.http.compression import StaticBody, compressed, preferred_encoding
from entrypoints.http.cors import Headers
from entrypoints.http.problems import refusal

COMPRESS_FROM_BYTES = 1_024
# Larger bodies are compressed in a thread: passing them to it costs less than blocking the event loop.
COMPRESS_ASIDE_FROM_BYTES = 65_536

SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
# Static files of a release may be cached, if the browser revalidates them each time.
STATIC_HEADERS: Sequence[tuple[bytes, bytes]] = (
    *((name, value) for name, value in SECURITY_HEADERS if name != b"cache-control"),
    (b"cache-control", b"no-cache"),
)
# The interactive documentation loads its page and script from this server only.
DOCS_HEADERS: Sequence[tuple[bytes, bytes]] = tuple(
    (name, b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
    if name == b"content-security-policy"
    else (name, value)
    for name, value in STATIC_HEADERS
)

_OWN_HEADERS = {
    "/api/docs": DOCS_HEADERS,
    **dict.fromkeys(
        (
            "/api/docs/start.js",
            "/api/docs/swagger_bundle.js",
            "/api/docs/swagger_style.css",
            "/api/openapi.json",
            "/api/asyncapi.json",
            *MODULES,
        ),
        STATIC_HEADERS,
    ),
}


class Responder:
    """The one wrapper around `send`: adds the headers that every answer has, and compresses where it pays.

    Without `has_body`, for HEAD, the headers are the same and no body is sent. A stream ends after its headers.
    """

    __slots__ = (
        "_caller",
        "_cause",
        "_cors",
        "_held",
        "_is_complete",
        "_path",
        "_send",
        "_started",
        "bill",
        "bytes_out",
        "deadline",
        "has_body",
        "is_stream",
        "status",
    )

    def __init__(self, send: Send, path: str, caller: Caller, cause: Correlation, cors: Headers) -> None:
        self._send = send
        self._path = path
        self._caller = caller
        self._cause = cause
        self._cors = cors
        self._started = False
        self._is_complete = False
        self._held: Any = None
        self.has_body = True
        self.is_stream = False
        self.bytes_out = 0
        self.status = 499  # the client has gone, unless an answer starts
        self.bill: Bill | None = None
        self.deadline: asyncio.Timeout | None = None

    async def send(self, message: Message) -> None:
        if self._is_complete:
            return
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            headers = list(message["headers"])
            headers.append((b"x-request-id", self._cause.request_id.encode()))
            headers += _OWN_HEADERS.get(self._path, SECURITY_HEADERS)
            headers += self._cors
            if self.bill is not None and (verdict := self.bill.verdict) is not None:
                headers.append((b"ratelimit-policy", _policy(self.bill.limit, self.bill.window_ms)))
                headers.append(
                    (b"ratelimit", b'"default";r=%d;t=%d' % (verdict.remaining, -(-verdict.reset_seconds // 1)))
                )
            message["headers"] = headers
            if b"accept-encoding" in self._caller.headers:
                self._held = message
                return
            if message["status"] == 200 and _is_stream(headers):
                self._last()
        elif self._held is not None:
            start, self._held = self._held, None
            message = await self._encode(start, message)
            if _is_stream(start["headers"]):
                self._last()
            await self._send(start)
        if not self.has_body and message["type"] == "http.response.body":
            self._is_complete = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        body: Any = message.get("body", b"")
        self.bytes_out += len(body)
        await self._send(message)

    def _last(self) -> None:
        """Treat the answer as a stream, which has no deadline."""
        self.is_stream = True
        if self.deadline is not None:
            self.deadline.reschedule(None)

    async def _encode(self, start: Any, message: Any) -> Any:
        body = message.get("body", b"")
        if message.get("more_body") or len(body) < COMPRESS_FROM_BYTES or self._caller.holds_secret:
            return message
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        headers.append((b"vary", b"accept-encoding"))
        encoding = preferred_encoding(self._caller.headers[b"accept-encoding"])
        if encoding:
            if isinstance(body, StaticBody):
                body = await body.packed(encoding)
            elif len(body) > COMPRESS_ASIDE_FROM_BYTES:
                body = await asyncio.to_thread(compressed, encoding, body)
            else:
                body = compressed(encoding, body)
            headers.append((b"content-encoding", encoding.encode()))
        headers.append((b"content-length", b"%d" % len(body)))
        start["headers"] = headers
        return {**message, "body": body}

    async def permit(self, headers: Headers) -> None:
        """Answer a preflight."""
        await self.send({"type": "http.response.start", "status": 204, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def refuse(self, error: Exception) -> str:
        """Answer with a problem and return its code. If an answer has begun, let the server cut the connection."""
        if self._started and self._held is None:
            raise error
        self._held = None
        status, headers, body, code = refusal(error)
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
        return code


class Upgrade:
    """Notes the answer to a WebSocket upgrade."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def run(self, app: ASGIApp, scope: Any, receive: Receive) -> None:
        await app(scope, receive, self._note)

    async def refuse(self, error: Exception) -> str:
        """Answer with a problem, and return its code."""
        return await refuse_upgrade(self._note, error)

    async def _note(self, message: Any) -> None:
        match message["type"]:
            case "websocket.accept":
                self.status = 101
            case "websocket.close" if self.status == 500:
                self.status = 403
            case "websocket.http.response.start":
                self.status = message["status"]
        await self._send(message)


async def refuse_upgrade(send: Send, error: Exception) -> str:
    """Answer an upgrade with a problem, like any other request, and return its code."""
    status, headers, body, code = refusal(error)
    head: Any = {"type": "websocket.http.response.start", "status": status, "headers": list(headers)}
    rest: Any = {"type": "websocket.http.response.body", "body": body}
    await send(head)
    await send(rest)
    return code


@lru_cache(64)
def _policy(limit: int, window_ms: int) -> bytes:
    return b'"default";q=%d;w=%d' % (limit, max(1, window_ms // 1000))


# Of events, which have no end, and of files, which may be as large as a connection is slow.
_STREAMS = (b"text/event-stream", b"application/zip")


def _is_stream(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(_STREAMS) for name, value in headers)
