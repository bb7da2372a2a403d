"""What lives as long as the process: open connections, and the loops beside the requests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, runtime_checkable

from application.authentication import Authentication
from application.ports.events import Broker
from application.ports.idempotency import Idempotency
from application.realtime.hub import Hub
from application.realtime.live import Live
from application.realtime.lobby import Lobby
from application.realtime.tickets import Tickets
from domain.errors import DomainError

FORGET_EVERY_SECONDS = 600.0
RESTART_SECONDS = 1.0

log = logging.getLogger(__name__)


class Openable(Protocol):
    """Something that connects in the running event loop."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


async def opened(*things: Openable) -> AsyncIterator[None]:
    """Open the things, and close them at the end."""
    for thing in things:
        await thing.open()
    try:
        yield
    finally:
        for thing in reversed(things):
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


class Running:
    """The loops of one process. Each is started again if it fails, as nothing else would notice."""

    def __init__(
        self,
        authentication: Authentication,
        hub: Hub,
        broker: Broker,
        lobby: Lobby,
        live: Live,
        idempotency: Idempotency,
        tickets: Tickets,
    ) -> None:
        self._authentication = authentication
        self._idempotency = idempotency
        self._tickets = tickets
        self._loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "authentication": authentication.run,
            "hub": hub.run,
            "broker": broker.run,
            "presence": lobby.run,
            "connections": live.run,
            "forgetting": self._forget,
        }

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        try:
            await self._authentication.refresh()
        except DomainError as problem:
            log.warning("the store is not there yet: %s", problem)
        tasks = [asyncio.create_task(self._keep(name, loop), name=name) for name, loop in self._loops.items()]
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

    async def _forget(self) -> None:
        while True:
            try:
                await self._idempotency.forget_old()
                await self._tickets.forget_old()
            except DomainError as problem:
                log.warning("cannot drop old answers and tickets: %s", problem)
            await asyncio.sleep(FORGET_EVERY_SECONDS)
