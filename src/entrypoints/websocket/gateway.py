"""The route of live connections: checks an upgrade, and passes its socket from the request to a connection."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs

from litestar import WebSocket, websocket
from litestar.handlers import WebsocketRouteHandler

from application.realtime.frames import CloseCode
from application.realtime.live import Live
from application.realtime.tickets import Tickets
from domain.errors import DomainError, Unavailable
from entrypoints.addresses import may_send
from entrypoints.http.answer import refuse_upgrade
from entrypoints.http.caller import Caller
from entrypoints.http.edge import CrossSite
from entrypoints.websocket.protocol import LiveProtocol

Socket = WebSocket[Any, Any, Any]


def gateway(live: Live, tickets: Tickets, allowed_origins: Sequence[str]) -> WebsocketRouteHandler:
    """The route of live connections. Pages of this site and of `allowed_origins` may open one."""

    @websocket("/ws")
    async def open_live(socket: Socket) -> None:
        caller: Caller = socket.scope["signalbox"]  # type: ignore[typeddict-item]
        if not _is_welcome(caller, allowed_origins):
            caller.code = CrossSite.code
            await socket.close(code=CloseCode.PROTOCOL)  # before the upgrade this is a 403
            return
        query = parse_qs(socket.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        ticket = query.get("ticket")
        with ExitStack() as arriving:
            try:
                if live.draining:
                    raise Unavailable("This server is about to stop; another one takes over.")
                arriving.callback(live.doorstep.arrive(caller.address))
                principal, opening = None, None
                if ticket:
                    principal, opening = await tickets.redeem(ticket[0], caller.address, caller.whole_address)
            except DomainError as error:
                caller.code = await refuse_upgrade(socket.send, error)
                return
            await socket.accept()
            wire: LiveProtocol = socket.scope["signalbox.wire"]  # type: ignore[typeddict-item]
            connection = live.begin(wire, principal or _token(caller), arriving.pop_all().close, caller.whole_address)
        caller.connection = connection.id
        wire.take_over(connection)
        if opening is not None:
            connection.enter(opening)

    return open_live


def _is_welcome(caller: Caller, allowed_origins: Sequence[str]) -> bool:
    """Whether the origin may open a connection. A browser always sends one; a client that sends none is allowed."""
    origin = caller.headers.get(b"origin")
    if origin is None:
        return True
    return may_send(origin.decode("latin-1"), caller.headers.get(b"host", b"").decode("latin-1"), allowed_origins)


def _token(caller: Caller) -> str | None:
    """The token of the Authorization header. The answer to `connect` tells whether it is valid."""
    scheme, _, token = caller.headers.get(b"authorization", b"").partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else None
