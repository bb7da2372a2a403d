"""Figures about the store in memory."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapters.memory.database import MemoryDatabase, Table
from application.ports.store import Pool, StoreQueries
from application.ports.system import Clock


class MemoryStoreQueries(StoreQueries):
    """Counts rows and events."""

    def __init__(self, database: MemoryDatabase, clock: Clock, counted: Mapping[str, Table[Any, Any]]) -> None:
        self._counted = counted
        self._database = database
        self._clock = clock

    async def now(self) -> datetime:
        return self._clock.now()

    async def stored(self) -> Mapping[str, int]:
        tables = self._database.present
        return {name: len(tables[table]) for name, table in self._counted.items()} | {
            "streams": len(tables.streams),
            "events": sum(map(len, tables.streams.values())),
        }

    def pool(self) -> Pool:
        return Pool(0, 0, 0, 0)
