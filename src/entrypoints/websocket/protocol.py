"""A WebSocket on its transport: uvicorn does the handshake and the parsing; frames are written directly."""

import socket
import sys
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CLOSE, CONT, PING, PONG, TEXT, Frame
from websockets.protocol import OPEN

from application.realtime.allowance import FIRST_BYTES
from application.realtime.connection import Connection
from application.realtime.conversation import GONE_SECONDS
from application.realtime.frames import CloseCode
from application.realtime.wire import BadFrame
from entrypoints.websocket.wire import JSON_FRAMES

# A peer is congested above the first size of the transport's buffer, and relieved below the second.
CONGESTED_BYTES = 131_072
RELIEVED_BYTES = 32_768
# How much the kernel may buffer beyond the bytes that it has sent. Without a bound it accepts megabytes for a peer that
# never reads, and the congestion is noticed minutes later.
UNSENT_BYTES = 16_384
# Input is parsed in pieces of this size, so that parsing stops soon after the connection is closed.
PIECE_BYTES = 4_096
FRAME_HEAD_BYTES = 14
# How long a close frame may wait for its answer: usually, if the peer is too slow, and if the peer goes on sending.
CLOSE_SECONDS = 10.0
SLOW_CLOSE_SECONDS = 2.0
DEAF_CLOSE_SECONDS = 0.25
# How many frames may come after our close frame before its answer.
LATE_FRAMES = 100


class LiveProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that a handler passes to a `Connection` once it is accepted.

    From then on nothing of the request is left: no task, no queue, no scope. Frames of the peer go to the connection.
    Ready frames go to the transport in one synchronous write, and the transport's buffer is the only queue.
    """

    format = JSON_FRAMES
    connection: Connection | None = None
    _early = _message = b""
    _is_text = False
    _written = 0
    _late_frames = LATE_FRAMES  # frames that may still come after our close frame; at 0 nothing is read any more

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
            self._hang_up()
            return
        self.scope = self.request = self.response = self.queue = None  # type: ignore[assignment]

    def take_over(self, connection: Connection) -> None:
        """Pass all frames to this connection from now on. If the peer is gone already, the connection is told so."""
        if self.transport.is_closing():
            connection.lost()
            return
        self.connection = connection
        self.transport.set_write_buffer_limits(CONGESTED_BYTES, RELIEVED_BYTES)
        own = self.transport.get_extra_info("socket")
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        if sys.platform == "linux":
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(GONE_SECONDS * 1000))
        self.listen(True)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    # What the connection asks for

    def write(self, data: bytes) -> None:
        # uvloop reports a failed transport one turn of the loop later; until then its `write` raises.
        if not self.close_sent and not self.transport.is_closing():
            self._written += len(data)
            self.transport.write(data)

    def backlog(self) -> int:
        return self.transport.get_write_buffer_size()

    def taken(self) -> int:
        return self._written - self.transport.get_write_buffer_size()

    def listen(self, is_wanted: bool) -> None:
        if is_wanted == self.read_paused and self._late_frames and not self.transport.is_closing():
            self.read_paused = not is_wanted
            (self.transport.resume_reading if is_wanted else self.transport.pause_reading)()

    def close(self, code: CloseCode | int, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        if self.conn.state is not OPEN:  # the peer's close frame is answered already
            self._hang_up()
            return
        self.conn.send_close(code, reason[:120])
        self._reply()
        self.close_sent = True
        self.listen(True)
        # A peer that takes nothing will not take the close frame either.
        self._end_within(SLOW_CLOSE_SECONDS if code == CloseCode.SLOW_CONSUMER else CLOSE_SECONDS)

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
        self.connection.lost()

    def shutdown(self) -> None:
        if self.connection is None:
            super().shutdown()
        else:
            self.connection.close(CloseCode.DRAINING, "draining")
        self._hang_up()

    def eof_received(self) -> None:
        self._hang_up()

    def data_received(self, data: bytes) -> None:
        if self.connection is None:
            if self.handshake_initiated:  # the peer sends frames without waiting for the answer
                self._early += data
                self.listen(False)
            else:
                super().data_received(data)
                if self.transport.is_closing():
                    self._hang_up()
            return
        for start in range(0, len(data), PIECE_BYTES):
            if start and (self.transport.is_closing() or not self._late_frames):
                return
            self.conn.receive_data(data[start : start + PIECE_BYTES])
            for frame in self.conn.events_received():
                self._receive(cast(Frame, frame))
            self._reply()
            if self.conn.eof_sent and not self.transport.is_closing():
                self._fail()
            elif len(self.conn.reader.buffer) > FIRST_BYTES + FRAME_HEAD_BYTES and not self.connection.is_known:
                self.connection.heard(len(self.conn.reader.buffer))

    def _receive(self, frame: Frame) -> None:
        assert self.connection is not None
        kind = frame.opcode
        if kind is CLOSE:
            self.connection.left()
            self._hang_up()
            return
        if self.close_sent:
            self._discard()
            return
        may_speak = self.connection.heard(len(frame.data))
        if kind is PING or kind is PONG or self.connection.is_closed:
            return
        message = bytes(frame.data)
        if kind is CONT:
            message = self._message + message
        else:
            self._is_text = kind is TEXT
        if frame.fin:
            self._message = b""
            self._take(message, may_speak)
        else:
            self._message = message

    def _discard(self) -> None:
        """Drop a frame that came after our close frame: it was sent before, or the peer ignores the close frame."""
        if self._late_frames == 1:
            self.listen(False)
            self._end_within(DEAF_CLOSE_SECONDS)
        self._late_frames = max(0, self._late_frames - 1)

    def _take(self, message: bytes, may_speak: bool) -> None:
        """Pass a complete message on to the connection."""
        assert self.connection is not None
        if self._is_text:
            try:
                message.decode()
            except UnicodeDecodeError:
                self.conn.fail(1007, "text frames are UTF-8")
                self._fail()
                return
        if not may_speak:
            self.connection.too_fast(message)
        elif self._is_text:
            self.connection.received(message)
        else:
            told = "A frame here is text; this one is binary."
            self.connection.misread(BadFrame(self.format.id_in(message), "bad_frame", told))

    def _fail(self) -> None:
        """Close because of bytes that cannot be parsed.

        The transport stays open for a moment: closing it while more input arrives could reset the connection before the
        peer has read the close frame.
        """
        assert self.connection is not None
        if self.close_sent:
            self._discard()
            return
        self._reply()
        self.close_sent = True
        self.connection.broken(self.conn.close_sent.code if self.conn.close_sent else 1002)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._end_within(CLOSE_SECONDS)
        else:
            self._hang_up()

    def _reply(self) -> None:
        """Send the frames that the protocol itself produces, such as pongs."""
        if data := b"".join(self.conn.data_to_send()):
            self.write(data)

    def _hang_up(self) -> None:
        """End once the peer has taken everything that was written, or after 10 s."""
        if self.disconnected:
            return
        self._reply()
        self.transport.close()
        if self.close_timer is None:
            self._end_within(CLOSE_SECONDS)

    def _end_within(self, seconds: float) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(seconds, self.transport.abort)
