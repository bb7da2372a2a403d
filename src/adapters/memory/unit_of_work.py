"""The unit of work in memory: reads as they come, then one step that verifies and writes everything."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from adapters.memory.access import MemoryAccess
from adapters.memory.consumers import MemoryCursorRepository
from adapters.memory.database import MemoryDatabase
from adapters.memory.identity import MemoryAccounts, MemorySessions
from adapters.memory.tasks import MemoryTasks
from adapters.memory.unit import MemoryUnit
from adapters.memory.workspaces import MemoryWorkspaces
from application.ports.consumers import Consumer, ConsumerWork, wanting
from application.ports.events import Broker
from application.ports.system import Ids
from application.ports.tasks import TaskWork
from application.ports.unit_of_work import UnitOfWork
from application.quotas import Quotas
from application.reactions import RegistrationWork


class MemoryWork(TaskWork, RegistrationWork, ConsumerWork):
    """One unit of work; see `UnitOfWork`."""

    def __init__(
        self, database: MemoryDatabase, broker: Broker, ids: Ids, quotas: Quotas, wanted: Mapping[str, Sequence[str]]
    ) -> None:
        self._database = database
        self._broker = broker
        self._unit = MemoryUnit(database, ids, quotas, wanted)

    @property
    def tasks(self) -> MemoryTasks:
        return MemoryTasks(self._unit)

    @property
    def access(self) -> MemoryAccess:
        return MemoryAccess(self._unit)

    @property
    def workspaces(self) -> MemoryWorkspaces:
        return MemoryWorkspaces(self._unit)

    @property
    def accounts(self) -> MemoryAccounts:
        return MemoryAccounts(self._unit)

    @property
    def sessions(self) -> MemorySessions:
        return MemorySessions(self._unit)

    @property
    def cursors(self) -> MemoryCursorRepository:
        return MemoryCursorRepository(self._unit)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._unit.has_changes:
            # Others come in between reading and writing here as they do with a store that is somewhere else.
            await asyncio.sleep(0)
            await self._database.apply(self._unit.apply, self._broker.publish)


class MemoryUnitOfWork(UnitOfWork[MemoryWork]):
    """Opens units of work on a database and hints at their events once they are committed.

    Events that one of the `consumers` wants are noted for it.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        broker: Broker,
        ids: Ids,
        quotas: Quotas,
        consumers: Sequence[Consumer[Any]] = (),
    ) -> None:
        self._database = database
        self._broker = broker
        self._ids = ids
        self._quotas = quotas
        self._wanted = wanting(consumers)

    def __call__(self) -> MemoryWork:
        return MemoryWork(self._database, self._broker, self._ids, self._quotas, self._wanted)
