"""The unit of work in memory: it reads directly, then verifies and writes everything in one step."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, TypeAlias

from adapters.memory.database import MemoryDatabase
from adapters.memory.unit import MemoryUnit
from adapters.repositories import with_repositories
from application.ports.consumers import Consumer, Wanted
from application.ports.events import Broker
from application.ports.system import Ids
from application.ports.unit_of_work import UnitOfWork
from application.quotas import Quotas

Repository: TypeAlias = Callable[[MemoryUnit], Any]


class MemoryWork:
    """One unit of work; see `UnitOfWork`. `with_repositories` adds those of the contexts."""

    def __init__(self, database: MemoryDatabase, broker: Broker, ids: Ids, quotas: Quotas, wanted: Wanted) -> None:
        self._database = database
        self._broker = broker
        self.unit = MemoryUnit(database, ids, quotas, wanted)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self.unit.has_changes:
            # Lets other tasks run between reading and writing, as they do with a remote store.
            await asyncio.sleep(0)
            await self._database.apply(self.unit.apply, self._broker.publish)


class MemoryUnitOfWork(UnitOfWork[Any]):
    """Opens units of work on a database, and publishes their events once they are committed.

    Each of the `consumers` gets a cursor for the events that it wants. `repositories` are those of all contexts.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        broker: Broker,
        ids: Ids,
        quotas: Quotas,
        repositories: Mapping[str, Repository],
        consumers: Sequence[Consumer[Any]] = (),
    ) -> None:
        self._database = database
        self._broker = broker
        self._ids = ids
        self._quotas = quotas
        self._work = with_repositories(MemoryWork, repositories)
        self._wanted = Wanted(consumers)

    def __call__(self) -> AbstractAsyncContextManager[Any]:
        return self._work(self._database, self._broker, self._ids, self._quotas, self._wanted)
