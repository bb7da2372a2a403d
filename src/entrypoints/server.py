"""The process that serves: uvicorn as it has to be set up, with the lifetimes around it."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
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
        loop = asyncio.get_running_loop()
        for connection in self._stop_listening():
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)
        await super().shutdown(None)

    def _stop_listening(self) -> list[socket.socket]:
        """The connections that the kernel has accepted and nobody took yet: it would reset them with their listener."""
        # The copies keep it open until everybody is out.
        listeners = [socket.socket(fileno=os.dup(own.fileno())) for server in self.servers for own in server.sockets]
        for server in self.servers:
            server.close()
        waiting: list[socket.socket] = []
        for listener in listeners:
            listener.setblocking(False)
            with listener, contextlib.suppress(OSError):
                while True:
                    waiting.append(listener.accept()[0])
        return waiting

    def _protocol(self) -> asyncio.Protocol:
        return cast(type[BoundedHttp], self.config.http_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def retire(self) -> None:
        """End each HTTP connection with its next answer: a request on one that is just being closed would be lost."""
        cast(type[BoundedHttp], self.config.http_protocol_class).retiring = True


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
