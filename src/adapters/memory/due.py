"""Deadlines in memory."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from adapters.memory.database import MemoryDatabase, Table
from application.ports.due import Ahead, Deadlines, Late

T = TypeVar("T")


class MemoryDeadlines(Deadlines, Generic[T]):
    """The deadlines of one table, whose keys are ids; `due_at` returns when a value is due."""

    def __init__(
        self,
        database: MemoryDatabase,
        table: Table[Any, T],
        due_at: Callable[[T], datetime | None],
    ) -> None:
        self._database = database
        self._table = table
        self._due_at = due_at

    async def look(self, now: datetime, most: int) -> Ahead:
        times = [each.due_at for each in self._all()]
        late = sum(at <= now for at in times)
        return Ahead(min(times, default=None), min(most, late), min((at for at in times if at > now), default=None))

    async def late(self, now: datetime, most: int, besides: Collection[Late] = ()) -> Sequence[Late]:
        late = [each for each in self._all() if each.due_at <= now and each not in besides]
        return sorted(late, key=lambda each: each.due_at)[:most]

    def _all(self) -> Sequence[Late]:
        table = self._database.committed[self._table]
        return [Late(id, at) for id, thing in table.items() if (at := self._due_at(thing)) is not None]
