"""Starts and ends all that lives as long as the process: connections, and the loops beside the requests."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, Protocol, runtime_checkable

from dependency_injector.containers import Container

from domain.errors import DomainError

RESTART_SECONDS = 1.0

log = logging.getLogger(__name__)


class Openable(Protocol):
    """Something that connects in the running event loop."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


async def opened(*things: Openable | None) -> AsyncIterator[None]:
    """Open the things in order, and close them in reverse order at the end. None stands for one not configured."""
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


def closed(things: Iterable[object]) -> Iterator[None]:
    """Close, at the end, each thing that has a `close`; others need none."""
    yield
    for thing in things:
        if isinstance(thing, Closable):
            thing.close()


@asynccontextmanager
async def furnished(house: Container) -> AsyncIterator[None]:
    """Open every resource of the assembly, and close all of them at the end."""
    started = house.init_resources()
    if inspect.isawaitable(started):
        await started
    try:
        yield
    finally:
        stopped = house.shutdown_resources()
        if inspect.isawaitable(stopped):
            await stopped


@dataclass(frozen=True, slots=True)
class Loop:
    """Something that runs until it is cancelled. `of` names the processes: all, those that serve or those that work."""

    name: str
    of: Literal["all", "serving", "working"]
    run: Callable[[], Coroutine[Any, Any, None]]


class Running:
    """The loops of one process. A loop that fails is started again, because nothing else would notice."""

    def __init__(self, before_serving: Callable[[], Awaitable[None]], *loops: Sequence[Loop]) -> None:
        self._loops = list(chain.from_iterable(loops))
        self._before_serving = before_serving

    @asynccontextmanager
    async def __call__(self, *, serves: bool = True, works: bool = True) -> AsyncIterator[None]:
        """Run the loops for requests and sockets (`serves`), those of the worker (`works`), or both."""
        if serves:
            try:
                await self._before_serving()
            except DomainError as problem:
                log.warning("the store is not there yet: %s", problem)
        wanted = {"all", *(["serving"] if serves else []), *(["working"] if works else [])}
        tasks = [asyncio.create_task(self._keep(loop), name=loop.name) for loop in self._loops if loop.of in wanted]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, loop: Loop) -> None:
        while True:
            try:
                await loop.run()
            except Exception:
                log.exception("the %s loop failed and starts again", loop.name)
            await asyncio.sleep(RESTART_SECONDS)
