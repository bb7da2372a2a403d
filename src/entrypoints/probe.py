"""Answers liveness probes and metrics from a thread, because a blocked event loop cannot answer for itself."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from socketserver import TCPServer
from threading import Thread

BEAT_SECONDS = 0.25
STUCK_SECONDS = 10.0
# A silent caller holds its thread no longer than this.
SILENCE_SECONDS = 5.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
END_SECONDS = 0.1


class Heart:
    """Beats while the event loop runs. Reports how late each beat came, and counts the tasks of the loop."""

    def __init__(self, late: Callable[[float], None]) -> None:
        self.tasks = 0
        self._late = late
        self._last = time.monotonic()

    def silent_seconds(self) -> float:
        """Seconds since the last beat. Safe to call from any thread."""
        return time.monotonic() - self._last

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            self._last = time.monotonic()
            self.tasks = len(asyncio.all_tasks())
            await asyncio.sleep(BEAT_SECONDS)
            self._late(max(0.0, self.silent_seconds() - BEAT_SECONDS))


@asynccontextmanager
async def probed(
    host: str, port: int, heart: Heart, metrics: Callable[[], bytes], stuck_seconds: float = STUCK_SECONDS
) -> AsyncIterator[None]:
    """Answer `GET /live` and `GET /metrics` on a separate port; `/live` is 503 once the heart has not beaten for 10 s.

    Port 0 turns this off. OSError if the port is taken.
    """
    if not port:
        yield
        return
    try:
        server = (_SixProbe if ":" in host else _Probe)((host, port), _answering(heart, metrics, stuck_seconds))
    except OSError as error:
        raise OSError(error.errno, f"PROBE_PORT {port}: {error.strerror}") from None
    thread = Thread(target=server.serve_forever, args=(END_SECONDS,), name="probe", daemon=True)
    thread.start()
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


class _Probe(ThreadingHTTPServer):
    def server_bind(self) -> None:
        # HTTPServer's own bind looks up the name of the host and waits for the DNS.
        TCPServer.server_bind(self)


class _SixProbe(_Probe):
    address_family = AF_INET6


def _answering(heart: Heart, metrics: Callable[[], bytes], stuck_seconds: float) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        server_version = "signalbox"
        sys_version = ""
        timeout = SILENCE_SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, METRICS_TYPE, metrics())
            elif self.path == "/live":
                silent = heart.silent_seconds()
                alive = silent < stuck_seconds
                told = {"status": "alive" if alive else "stuck", "silent_seconds": round(silent, 3)}
                self._answer(200 if alive else 503, "application/json", json.dumps(told).encode())
            else:
                self.send_error(404)

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing, because probes come every few seconds."""

    return Answer
