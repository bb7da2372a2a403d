"""HTTP/1.1 on a socket. Adds what uvicorn lacks: bounds on size, strict order of requests, and timeouts."""

import asyncio
import logging
import socket
import sys
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from websockets.exceptions import HeaderLineTooLong

from application.principal import correlation, new_correlation
from domain.errors import DomainError
from entrypoints.http.answer import SECURITY_HEADERS
from entrypoints.http.edge import HEADERS_MAX, URL_MAX
from entrypoints.http.problems import HeadersTooLarge, Malformed, refusal

# The edge refuses heads over its limits with a problem. Heads over this bound never reach it.
HEAD_MAX = 2 * (URL_MAX + HEADERS_MAX)
# Header and trailer fields of one request.
FIELDS_MAX = 128
# Bytes of one connection that are parsed per turn of the loop. In chunks of one byte they take two milliseconds.
TURN_BYTES = 16_384
# How long a peer may go on sending after the last answer. It could lose that answer if we closed at once.
LINGER_SECONDS = 2.0
# How long an idle connection waits, when the server stops, for a request that may be on its way.
FAREWELL_SECONDS = 0.5
END = b"\r\n\r\n"

log = logging.getLogger(__name__)


class BoundedHttp(HttpToolsProtocol):
    """One connection. A request is parsed only after the request before it is answered.

    The connection is closed if the first request, or the headers of any, take longer than `patience_seconds`. It is
    aborted if the peer reads nothing of an answer for that long. uvicorn's own timer covers an idle connection, and the
    deadline of the edge covers a body. Once the class is `retiring`, the next answer on each connection says
    `Connection: close` and is the last.
    """

    patience_seconds = 30.0
    retiring = False
    cycle: Any  # None before the first request

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.flow: Flow
        # Received data, and the position of the first byte that is not parsed yet.
        self._held = b""
        self._at = 0
        # The last parsed bytes, if an END may have begun in them.
        self._tail = b""
        # True once data is no longer parsed as HTTP.
        self._is_over = False
        self._in_head = True
        # Bytes parsed of the head, or of possible trailers.
        self._size = 0
        self._may_be_trailers = False
        self._trailers = 0
        self._trailers_size = 0
        # Length of the body of the current request, and how many bytes of it are still to come.
        self._length = 0
        self._left = 0
        self._patience: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        if sys.platform == "linux":  # the kernel buffers megabytes that this process cannot see
            option, patience = socket.TCP_USER_TIMEOUT, int(self.patience_seconds * 1000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, patience)
        self._wait(self.patience_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._watch(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self.flow.pause_reading()  # wait only for the end of the connection
            return
        self._held = self._held[self._at :] + data if self._held else data
        self._at = 0
        self._parse()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(self.patience_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch(self.patience_seconds)

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def shutdown(self) -> None:
        if self._answering() is None:
            # Closing now would lose a request that is on its way.
            self._wait(FAREWELL_SECONDS)
        else:
            super().shutdown()

    # Parsing

    def _parse(self) -> None:
        """Parse held data until a request waits for its answer, or this turn of the loop has parsed its share.

        Each piece ends where a message may end: at an empty line or the last byte of a body. So the parser never sees
        a byte of the next message before this one is answered, or after the parser has stopped.
        """
        self._unset_keepalive_if_required()
        held = self._held
        share = min(self._at + TURN_BYTES, len(held))
        while self._at < share and not (self._is_over or self._has_whole_request()):
            begin, self._at = self._at, self._end_of_piece(share)
            self._feed(held[begin : self._at])
        if self._is_over:
            return
        if self._at < len(held):
            self.flow.hold()
            if not self._has_whole_request():
                self.loop.call_soon(self._parse_on)
            return
        self._held, self._at = b"", 0
        if self.flow.is_held:
            self.flow.release(full=self._answering() is not None and len(self.cycle.body) > HIGH_WATER_LIMIT)
        if self._in_head and self._patience is None and self._answering() is None:
            self._wait(self.patience_seconds)

    def _parse_on(self) -> None:
        if not (self._is_over or self.transport.is_closing()):
            self._parse()

    def _end_of_piece(self, share: int) -> int:
        """Where the message may end, or `share` if it cannot end before that. At most three bytes beyond `share`."""
        held, begin = self._held, self._at
        if self._left:
            end = min(begin + self._left, share)
            self._left -= end - begin
            return end
        # END may span `share`, or the border to parsed bytes, so we look a few bytes beyond both.
        found = held.find(END, begin, share + len(END) - 1)
        if self._tail and END in (seam := self._tail + held[begin : begin + len(END) - 1]):
            found = begin + seam.index(END) - len(self._tail)
        elif found < 0:
            self._tail = (self._tail + held[max(begin, share - len(END)) : share])[1 - len(END) :]
            return share
        self._tail = b""
        return found + len(END)

    def _feed(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as stop:
            self._at -= len(piece) - stop.args[0]
            self._upgrade()
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, DomainError) else Malformed("This is not HTTP as it has to be."))
        else:
            if self._in_head or self._may_be_trailers:
                self._size += len(piece)
                if self._size > HEAD_MAX:
                    self._refuse(_too_large())

    def _has_whole_request(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not (cycle.more_body or cycle.response_complete)

    # What the parser finds

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            self._trailer(len(name) + len(value))
            return
        name = name.lower()
        if name == b"content-length":
            self._length = int(value)
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def _trailer(self, size: int) -> None:
        """Count a trailer field. Trailers are ignored."""
        if not self._trailers:
            self._trailers_size = sum(len(name) + len(value) for name, value in self.headers)
        self._trailers += 1
        self._trailers_size += size
        if self._trailers_size > HEADERS_MAX or len(self.headers) + self._trailers > FIELDS_MAX:
            raise _too_large()

    def on_headers_complete(self) -> None:
        if len(self.headers) > FIELDS_MAX:
            raise _too_large()
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            raise Malformed("This server speaks HTTP/1.1.")
        if self.parser.should_upgrade():
            return  # the parser stops here
        super().on_headers_complete()  # raises if the target is no URL; `_in_head` still allows an answer
        self._in_head = False
        self._left, self._length = self._length, 0
        if self._patience is not None:
            self._wait(None)
        if self.retiring:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        self._may_be_trailers = True

    def on_body(self, body: bytes) -> None:
        self._may_be_trailers = False
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_head = True
        self._may_be_trailers = False
        self._size = self._trailers = 0
        if self._patience is not None:
            self._wait(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        unread = self.cycle.more_body
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch(self.patience_seconds)
            return
        if unread:
            self._wait(LINGER_SECONDS)
        if self._held:
            self._parse()

    # What is no ordinary request

    def _upgrade(self) -> None:
        """Go on after the parser stopped at an Upgrade or a CONNECT. It would parse the body as the next request."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._refuse(Malformed("This server is no proxy."))
            return
        upgrades = [value.strip().lower() for name, value in self.headers if name == b"upgrade"]
        if upgrades == [b"websocket"] and method == b"GET" and version == b"1.1":
            self.handle_websocket_upgrade()
            return
        # A server may ignore Upgrade: we parse the same request again without it.
        fields = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"\r\n".join([method + b" " + self.url + b" HTTP/" + version, *fields]) + END)

    def handle_websocket_upgrade(self) -> None:
        protocol: Any = cast(Any, self.ws_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.connection_made(self.transport)
        fields = (name + b": " + value for name, value in self.headers)
        protocol.data_received(b"\r\n".join([b"GET " + self.url + b" HTTP/1.1", *fields]) + END)
        if not protocol.handshake_initiated:
            self.connections.discard(protocol)
            too_large = isinstance(protocol.conn.handshake_exc, HeaderLineTooLong)
            self._refuse(_too_large() if too_large else Malformed("This is no handshake of a WebSocket."))
            return
        self.connections.discard(self)
        self.transport.set_protocol(protocol)
        rest = self._held[self._at :]
        self._end()
        self._watch(None)
        self.flow.release(full=False)
        if rest:
            protocol.data_received(rest)

    def _refuse(self, error: DomainError) -> None:
        """Answer with a problem and close, because the bytes that follow cannot be trusted."""
        answering = self._answering()
        is_answered = answering.response_started if answering else not self._in_head
        if answering:
            # Ends the handler of the current request.
            answering.disconnected = True
            answering.message_event.set()
        self._end()
        if is_answered or self.transport.is_closing():
            self._close()
            return
        cause = new_correlation()
        token = correlation.set(cause)
        status, headers, body, code = refusal(error)
        log.info("refused before it was a request: %s", code)
        correlation.reset(token)
        fields = [
            *headers,
            *SECURITY_HEADERS,
            (b"x-request-id", cause.request_id.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        head = [STATUS_LINE[status].rstrip(), *(name + b": " + value for name, value in fields)]
        self.transport.write(b"\r\n".join(head) + END + body)
        self.transport.write_eof()
        self.flow.release(full=False)
        self._wait(LINGER_SECONDS)

    # Patience

    def _answering(self) -> RequestResponseCycle | None:
        """The request that is not answered yet, or None."""
        cycle: RequestResponseCycle | None = self.cycle
        return None if cycle is None or cycle.response_complete else cycle

    def _end(self) -> None:
        """Stop parsing HTTP."""
        self._is_over = True
        self._held = b""
        self._wait(None)

    def _wait(self, seconds: float | None) -> None:
        """Close after this time, or never if None. Replaces the timer that was set before."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if seconds is not None:
            self._patience = self.loop.call_later(seconds, self._close)

    def _close(self) -> None:
        self.transport.close()
        self._watch(self.patience_seconds)  # written data still goes out if the peer reads it

    def _watch(self, seconds: float | None) -> None:
        """Abort if none of the waiting data is sent within this time. None stops the watch."""
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None
        if seconds is not None and (waiting := self.transport.get_write_buffer_size()):
            self._stalling = self.loop.call_later(seconds, self._look, waiting)

    def _look(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._watch(self.patience_seconds)
        else:
            self.transport.abort()


class Flow(FlowControl):
    """Flow control that never reads from the connection while received data is held."""

    is_held = False

    def hold(self) -> None:
        self.is_held = True
        self.pause_reading()

    def release(self, *, full: bool) -> None:
        """Read on, unless the buffer of the body is `full`. Then reading resumes when the handler takes from it."""
        self.is_held = False
        if not full:
            self.resume_reading()

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


def bounded_http(patience_seconds: float) -> type[BoundedHttp]:
    """The protocol class with this timeout for the headers of a request, and for a peer that reads nothing."""
    return type("PatientHttp", (BoundedHttp,), {"patience_seconds": patience_seconds})


def _too_large() -> HeadersTooLarge:
    return HeadersTooLarge(f"The headers have at most {HEADERS_MAX} bytes, and {FIELDS_MAX} fields.")
