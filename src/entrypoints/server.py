"""The process that serves: uvicorn as it has to be set up, with the lifetimes around it."""

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

# Longer than the usual proxy keeps its connections open, so that it never sends on one that we just closed.
KEEP_ALIVE_SECONDS = 65
GRACE_SECONDS = 15
FRAME_MAX_BYTES = 65_536
# How long those who are connecting when the server stops have to get through.
HANDSHAKE_SECONDS = 0.05
# What a listening socket of Linux lets pass, as (code, jump if true, jump if false, operand): it looks at SYN and ACK
# among the flags of a packet, and drops it if it is a mere SYN.
_SO_ATTACH_FILTER = 26
_ALL_BUT_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


class Server(uvicorn.Server):
    """uvicorn that leaves signals to us, and says when it listens."""

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
        """End each HTTP connection with its next answer: a request on one that is just being closed would be lost."""
        cast(type[BoundedHttp], self.config.http_protocol_class).retiring = True


def _let_nobody_knock(listener: int) -> None:
    """Ignore who only begins to connect, on Linux: they try again after a second, and are refused.

    The kernel resets whom it has accepted when their listener closes. From now on it accepts only those who are
    connecting already, so that after a moment nobody is left.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _ALL_BUT_SYN))
    attached = struct.pack("@HP", len(_ALL_BUT_SYN), ctypes.addressof(program))
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(listener)) as own:
        own.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)


def serve(container: Container, listening: Callable[[], None] = lambda: None, *, works: bool = True) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish; `listening` is called once it accepts.

    Without `works` the loops of the worker are left to a process of their own.
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
        # uvicorn would close every socket before anything else of ours is asked, so they are sent away before.
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
        # One ping mechanism, that of our frames; and 64 KiB a connection for compression buy little here.
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # Otherwise what one request sets is still set for the next one on its connection.
        reset_contextvars=True,
    )


def _settle_garbage_collector() -> None:
    """Take what start-up made out of every collection, and collect the short-lived rows of a page in fewer passes.

    With Python's own thresholds the collector took most of the time of a long list: each row of it is an object that
    may be part of a cycle, and every 700 of them started a pass.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
