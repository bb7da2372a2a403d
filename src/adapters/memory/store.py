"""Figures about the store in memory."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from adapters.memory.database import MemoryDatabase, Table, Tables
from application.ports.store import Pool, StoreQueries
from application.ports.system import Clock


class Weighed(NamedTuple):
    """A table of which each row counts for as many as `how_many` says."""

    table: Table[Any, Any]
    how_many: Callable[[Any], int]


class MemoryStoreQueries(StoreQueries):
    """Counts rows and events."""

    def __init__(
        self, database: MemoryDatabase, clock: Clock, counted: Mapping[str, Table[Any, Any] | Weighed]
    ) -> None:
        self._counted = counted
        self._database = database
        self._clock = clock

    async def now(self) -> datetime:
        return self._clock.now()

    async def stored(self) -> Mapping[str, int]:
        tables = self._database.present
        return {name: _count(tables, counted) for name, counted in self._counted.items()} | {
            "streams": len(tables.streams),
            "events": sum(map(len, tables.streams.values())),
        }

    async def figure(self, name: str) -> int:
        return (await self.stored())[name]

    def pool(self) -> Pool:
        return Pool(0, 0, 0, 0)


def _count(tables: Tables, counted: Table[Any, Any] | Weighed) -> int:
    if isinstance(counted, Weighed):
        return sum(map(counted.how_many, tables[counted.table].values()))
    return len(tables[counted])
