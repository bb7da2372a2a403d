"""What lives as long as the process: open connections, and the loops beside the requests."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias, runtime_checkable

from dependency_injector.containers import Container

from application.authentication import Authentication
from application.consumers import Consumers
from application.ports.events import Broker
from application.realtime.hub import Hub
from application.realtime.live import Live
from application.realtime.lobby import Lobby
from application.realtime.patrol import Patrol
from application.retention import Retention
from application.tasks import WordsAnew
from domain.errors import DomainError
from entrypoints.drift import Drift
from entrypoints.probe import Heart

RESTART_SECONDS = 1.0

Loops: TypeAlias = dict[str, Callable[[], Coroutine[Any, Any, None]]]

log = logging.getLogger(__name__)


class Openable(Protocol):
    """Something that connects in the running event loop."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


async def opened(*things: Openable | None) -> AsyncIterator[None]:
    """Open the things, and close them at the end; a None stands for what is not configured."""
    there = [thing for thing in things if thing is not None]
    for thing in there:
        await thing.open()
    try:
        yield
    finally:
        for thing in reversed(there):
            await thing.close()


@runtime_checkable
class Closable(Protocol):
    """Something with threads or connections of its own."""

    def close(self) -> None: ...


def closed(*things: object) -> Iterator[None]:
    """At the end, close those of the things that can be; which adapters need it is theirs to say."""
    yield
    for thing in things:
        if isinstance(thing, Closable):
            thing.close()


@asynccontextmanager
async def furnished(house: Container) -> AsyncIterator[None]:
    """The assembly with everything open that it holds."""
    started = house.init_resources()
    if inspect.isawaitable(started):
        await started
    try:
        yield
    finally:
        stopped = house.shutdown_resources()
        if inspect.isawaitable(stopped):
            await stopped


class Running:
    """The loops of one process. Each is started again if it fails, as nothing else would notice."""

    def __init__(
        self,
        authentication: Authentication,
        hub: Hub,
        broker: Broker,
        lobby: Lobby,
        live: Live,
        patrol: Patrol,
        retention: Retention,
        consumers: Consumers[Any],
        words: WordsAnew,
        heart: Heart,
        drift: Drift,
    ) -> None:
        self._authentication = authentication
        # What a loop of either kind publishes has to be carried.
        self._always: Loops = {"heart": heart.beat, "broker": broker.run, "drift": drift.run}
        self._serving: Loops = {
            "authentication": authentication.run,
            "hub": hub.run,
            "presence": lobby.run,
            "connections": live.run,
            "rights": patrol.run,
        }
        self._working: Loops = {"retention": retention.run, "consumers": consumers.run, "words": words.run}

    @asynccontextmanager
    async def __call__(self, *, serves: bool = True, works: bool = True) -> AsyncIterator[None]:
        """Run the loops that requests and sockets need, those of the worker, or both."""
        if serves:
            try:
                await self._authentication.refresh()
            except DomainError as problem:
                log.warning("the store is not there yet: %s", problem)
        loops = self._always | (self._serving if serves else {}) | (self._working if works else {})
        tasks = [asyncio.create_task(self._keep(name, loop), name=name) for name, loop in loops.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await loop()
            except Exception:
                log.exception("the %s loop failed and starts again", name)
            await asyncio.sleep(RESTART_SECONDS)
