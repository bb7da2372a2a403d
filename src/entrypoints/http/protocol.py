"""HTTP on a socket, with the bounds that uvicorn leaves out: on headers, and on the patience with who sends slowly."""

import asyncio
import logging
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from application.principal import correlation, new_correlation
from entrypoints.http.answer import SECURITY_HEADERS
from entrypoints.http.edge import HEADERS_MAX, URL_MAX
from entrypoints.http.problems import HeadersTooLarge, Malformed, refusal

# The edge refuses what is over its limits; here ends what would not even get there.
HEAD_MAX = 2 * (URL_MAX + HEADERS_MAX)
# How long a peer may go on sending a body that was answered already: closing at once could cost it the answer.
LINGER_SECONDS = 2.0

log = logging.getLogger(__name__)


class BoundedHttp(HttpToolsProtocol):
    """One connection, which is closed when the headers of a request, or the first request, take too long.

    That is `head_seconds`; uvicorn's own timer covers an idle connection, and the deadline at the edge a body.
    Once the class is `retiring`, each connection ends with its next answer, which says so.
    """

    head_seconds = 30.0
    retiring = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._moved_on = False
        self._head_size = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._moved_on = False
        super().data_received(data)
        if not self._in_head:
            return
        self._head_size = 0 if self._moved_on else self._head_size + len(data)
        if self._head_size > HEAD_MAX:
            self._refuse(HeadersTooLarge(f"The headers have at most {HEADERS_MAX} bytes."))
        elif self._patience is None and self._answering() is None:
            self._wait(self.head_seconds)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._wait(None)
        super().on_headers_complete()
        if self.retiring and (answering := self._answering()):
            answering.keep_alive = False

    def on_message_complete(self) -> None:
        self._in_head = self._moved_on = True
        self._wait(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        unread = self._answering() is None and self.cycle.more_body
        super().on_response_complete()
        if unread and not self.transport.is_closing():
            self._wait(LINGER_SECONDS)

    def handle_websocket_upgrade(self) -> None:
        self._in_head = False
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Malformed("This is not HTTP as it has to be."))

    def _refuse(self, error: Malformed | HeadersTooLarge) -> None:
        """Answer with a problem and hang up, as nothing that follows could be trusted."""
        answering = self._answering()
        if not self.transport.is_closing() and not (answering and answering.response_started):
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
            self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
        self.transport.close()

    def _answering(self) -> RequestResponseCycle | None:
        """The request that is not answered yet; there is none before the first."""
        cycle = cast(RequestResponseCycle | None, self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _wait(self, seconds: float | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if seconds is not None:
            self._patience = self.loop.call_later(seconds, self.transport.close)


def bounded_http(head_seconds: float) -> type[BoundedHttp]:
    """The protocol with this much patience for the headers of a request."""
    return type("PatientHttp", (BoundedHttp,), {"head_seconds": head_seconds})
