"""Figures about the store in memory."""

from datetime import datetime

from adapters.memory.database import MemoryDatabase
from adapters.memory.identity import ACCOUNTS
from adapters.memory.tasks import COMMENTS, TASKS
from adapters.memory.workspaces import WORKSPACES
from application.ports.store import Pool, Stored, StoreQueries
from application.ports.system import Clock


class MemoryStoreQueries(StoreQueries):
    """Counts rows and events."""

    def __init__(self, database: MemoryDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def now(self) -> datetime:
        return self._clock.now()

    async def stored(self) -> Stored:
        tables = self._database.present
        return Stored(
            accounts=len(tables[ACCOUNTS]),
            workspaces=len(tables[WORKSPACES]),
            tasks=len(tables[TASKS]),
            comments=len(tables[COMMENTS]),
            streams=len(tables.streams),
            events=sum(map(len, tables.streams.values())),
        )

    def pool(self) -> Pool:
        return Pool(0, 0, 0, 0)
