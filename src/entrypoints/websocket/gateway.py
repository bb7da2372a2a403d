"""Performs what a live session decides on a real socket."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler

from application.authentication import Authentication
from application.principal import Principal
from application.realtime.frames import CloseCode
from application.realtime.session import Closed, LiveSession, Send
from domain.errors import DomainError
from entrypoints.http.edge import Caller

Socket = WebSocket[Any, Any, Any]
SEND_SECONDS = 30.0


def gateway(
    begin: Callable[[Send, Principal | None], LiveSession],
    authentication: Authentication,
    allowed_origins: Sequence[str],
    connect_seconds: float,
) -> WebsocketRouteHandler:
    """The route of live connections; pages of this site and of `allowed_origins` may open one.

    The first frame has to come within `connect_seconds`.
    """

    @websocket("/ws")
    async def live(socket: Socket) -> None:
        caller: Caller = socket.scope["signalbox"]  # type: ignore[typeddict-item]
        if not _is_welcome(caller, allowed_origins):
            await socket.close(code=CloseCode.PROTOCOL)  # before the upgrade this is a 403
            return
        principal = _principal(caller, authentication)
        await socket.accept()

        async def send(frame: bytes) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await socket.send_data(frame.decode(), mode="text")

        session = begin(send, principal)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(session.watch())
                group.create_task(_read(socket, session, connect_seconds))
        except* Closed as closed:
            first = closed.exceptions[0]
            assert isinstance(first, Closed)
            with contextlib.suppress(RuntimeError, OSError):
                await socket.close(code=first.code, reason=first.reason)
        except* (WebSocketDisconnect, TimeoutError, RuntimeError, OSError):
            pass  # the peer is gone, or takes nothing any more; it comes back and resumes
        finally:
            await session.close()

    return live


async def _read(socket: Socket, session: LiveSession, connect_seconds: float) -> None:
    try:
        async with asyncio.timeout(connect_seconds):
            await session.receive(await socket.receive_text())
    except TimeoutError:
        raise Closed(CloseCode.NOT_CONNECTED_IN_TIME, "connect_first") from None
    while True:
        await session.receive(await socket.receive_text())


def _is_welcome(caller: Caller, allowed_origins: Sequence[str]) -> bool:
    """Whether a page may open this: a browser always names its origin, other clients have none."""
    origin = caller.headers.get(b"origin")
    if origin is None:
        return True
    text = origin.decode("latin-1")
    return text in allowed_origins or text.partition("://")[2] == caller.headers.get(b"host", b"").decode("latin-1")


def _principal(caller: Caller, authentication: Authentication) -> Principal | None:
    """Whom the Authorization header stands for; a bad one is told in the first reply, not here."""
    scheme, _, token = caller.headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        return None
    try:
        return authentication.authenticate(token.strip().decode())
    except DomainError:
        return None
