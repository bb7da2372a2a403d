"""The process that serves: uvicorn with our configuration, inside the lifetimes of the other parts."""

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

import uvicorn
import uvloop
from litestar.types import ASGIApp

from entrypoints.container import Container
from entrypoints.http.protocol import BoundedHttp, bounded_http
from entrypoints.lifetimes import furnished
from entrypoints.probe import probed
from entrypoints.settings import Settings
from entrypoints.websocket.protocol import LiveProtocol

# Longer than common proxies keep an idle connection, so that a proxy never sends on one that we just closed.
KEEP_ALIVE_SECONDS = 65
GRACE_SECONDS = 15
FRAME_MAX_BYTES = 65_536
# How long a TCP handshake that is under way when the server stops may take.
HANDSHAKE_SECONDS = 0.05
# A packet filter for a listening socket of Linux, as (code, jump if true, jump if false, operand). It reads the SYN and
# ACK flags of a packet and drops a SYN without ACK.
_SO_ATTACH_FILTER = 26
_ALL_BUT_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


class Server(uvicorn.Server):
    """uvicorn that handles no signals, and calls `listening` once it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def serve(self, sockets: object = None) -> None:
        await self._serve(None)

    async def startup(self, sockets: object = None) -> None:
        await super().startup(None)
        self._listening()

    async def shutdown(self, sockets: object = None) -> None:
        self.retire()
        for server in self.servers:
            for listener in server.sockets:
                _let_nobody_knock(listener.fileno())
        await asyncio.sleep(HANDSHAKE_SECONDS)
        await super().shutdown(None)

    def retire(self) -> None:
        """Close each HTTP connection after its next answer. Closing at once would lose a request on its way."""
        cast(type[BoundedHttp], self.config.http_protocol_class).retiring = True


def _let_nobody_knock(listener: int) -> None:
    """Ignore new connection attempts, on Linux. Their clients try again after a second, and are refused.

    When a listener closes, the kernel resets the connections that it accepted and we did not. With this filter only
    handshakes that are under way complete, so that after a moment no such connection is left.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _ALL_BUT_SYN))
    attached = struct.pack("@HP", len(_ALL_BUT_SYN), ctypes.addressof(program))
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(listener)) as own:
        own.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)


def serve(container: Container, listening: Callable[[], None] = lambda: None, *, works: bool = True) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish. `listening` is called once we accept requests.

    Without `works`, a separate process has to run the loops of the worker.
    """
    uvloop.run(_serve(container, listening, works))


async def _serve(container: Container, listening: Callable[[], None], works: bool) -> None:
    settings = container.settings()
    server = Server(configuration(container.app(), settings), listening)
    loop = asyncio.get_running_loop()
    leaving: list[asyncio.Task[None]] = []

    def stop() -> None:
        if leaving:  # a second signal: at once
            server.should_exit = True
        else:
            leaving.append(asyncio.create_task(leave()))

    async def leave() -> None:
        # uvicorn closes every socket before any other code of ours runs, so live connections are drained first.
        server.retire()
        try:
            await container.live().drain(settings.drain_seconds)
        finally:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with (
        probed(settings.host, settings.probe_port, container.heart(), container.exposition()),
        furnished(container),
    ):
        _settle_garbage_collector()
        async with container.running()(works=works):
            await server.serve()


def configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """The configuration of uvicorn that this application needs."""
    return uvicorn.Config(
        cast(Any, app),
        host=settings.host,
        port=settings.port,
        http=bounded_http(settings.request_deadline_seconds),
        ws=LiveProtocol,
        ws_max_size=FRAME_MAX_BYTES,
        # Our frames have pings of their own. Compression costs 64 KiB a connection and saves little here.
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # Otherwise context variables leak from one request to the next on the same connection.
        reset_contextvars=True,
    )


def _settle_garbage_collector() -> None:
    """Exclude the objects of start-up from garbage collection, and collect young objects less often.

    With Python's default thresholds the collector took most of the time of a long list: each row is an object that
    may be part of a cycle, and every 700 of them started a pass.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
