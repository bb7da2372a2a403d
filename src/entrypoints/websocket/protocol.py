"""A WebSocket on its transport: uvicorn does the handshake and the parsing, what goes out is written directly."""

import socket
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from application.realtime.connection import Connection
from application.realtime.frames import CloseCode

# Above the first a peer counts as congested, and as relieved below the second.
CONGESTED_BYTES = 131_072
RELIEVED_BYTES = 32_768
# What the kernel may hold of it beside what is on its way. By itself it takes megabytes from a peer that never reads,
# which nobody would see for minutes.
UNSENT_BYTES = 16_384
CLOSE_SECONDS = 2.0


class LiveProtocol(WebSocketsSansIOProtocol):
    """A connection that a handler takes over once it is accepted.

    From then on nothing of a request is left: no task, no queue, no scope. Frames of the peer go to the connection, and
    ready frames go to the transport in one synchronous write; the transport's buffer is the only queue.
    """

    connection: Connection | None = None

    async def run_asgi(self) -> None:
        cast(dict[str, Any], self.scope)["signalbox.wire"] = self
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("the upgrade to a live connection failed")
            self.send_500_response()
        if self.connection is None:
            if self.close_timer is None:
                self.transport.close()
            return
        self.scope = self.request = self.response = self.queue = None  # type: ignore[assignment]

    def take_over(self, connection: Connection) -> None:
        """From now on, this connection is what speaks and listens here; if the peer is gone already, it is told so."""
        if self.transport.is_closing():
            connection.lost(clean=False)
            return
        self.connection = connection
        self.transport.set_write_buffer_limits(CONGESTED_BYTES, RELIEVED_BYTES)
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        while not self.queue.empty():  # what the peer sent without waiting for the handshake
            message: Any = self.queue.get_nowait()
            if message["type"] == "websocket.receive":
                self._take(message.get("text") and message["text"].encode())
            elif message["type"] == "websocket.disconnect":
                connection.lost(clean=False)
        self.listen(True)

    # What the connection asks for

    def write(self, data: bytes) -> None:
        # One that failed is told as lost a turn of the loop later; until then uvloop's raises.
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(data)

    def backlog(self) -> int:
        return self.transport.get_write_buffer_size()

    def listen(self, is_wanted: bool) -> None:
        if is_wanted == self.read_paused and not self.transport.is_closing():
            self.read_paused = not is_wanted
            (self.transport.resume_reading if is_wanted else self.transport.pause_reading)()

    def close(self, code: CloseCode | int, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason[:120])
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.listen(True)
        # A peer that takes nothing would never take the reason either.
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    # What the transport tells

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.connection is not None:
            self.connection.congested()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.connection is not None:
            self.connection.relieved()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.connection is None:
            super().connection_lost(exc)
            return
        self.connections.discard(self)
        self.disconnected = True
        if self.close_timer is not None:
            self.close_timer.cancel()
        told = None if self.conn.close_rcvd_then_sent else self.conn.close_sent
        self.connection.lost(clean=self.conn.close_rcvd is not None, code=None if told is None else told.code)

    def shutdown(self) -> None:
        if self.connection is None:
            super().shutdown()
        elif self.close_sent:
            self.transport.close()
        else:
            self.connection.close(CloseCode.DRAINING, "draining")
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        if self.connection is None:
            super().send_receive_event_to_app()
            return
        data = b"".join(self.frames)
        self.frames = []
        self._take(data if self.curr_msg_data_type == "text" else None)

    def handle_close(self, event: Any) -> None:
        if self.connection is None or self.close_sent:
            super().handle_close(event)
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def handle_parser_exception(self) -> None:
        if self.connection is None:
            super().handle_parser_exception()
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def _take(self, text: bytes | None) -> None:
        assert self.connection is not None
        if self.close_sent:
            return
        if text is None:
            text = b""  # a binary frame says as little as an empty one
        try:
            text.decode()
        except UnicodeDecodeError:
            self.close(1007, "text frames are UTF-8")
            self.connection.lost(clean=False, code=1007)
            return
        self.connection.received(text)
