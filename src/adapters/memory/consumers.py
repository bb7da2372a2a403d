"""The cursors of consumers in memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from msgspec import structs

from adapters.memory.database import MemoryDatabase, Tables
from adapters.memory.unit import CURSORS, Claimable, MemoryUnit
from application.journal import event_view
from application.ports.consumers import Backlog, Cursor, CursorRepository, Cursors
from application.ports.events import Entry, EventView
from application.ports.unit_of_work import Stale


class MemoryCursorRepository(CursorRepository):
    """Cursors inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    def move(self, cursor: Cursor, position: int, at: datetime) -> Cursor:
        moved = structs.replace(cursor, position=position, version=cursor.version + 1, failures=0)

        def still(tables: Tables) -> None:
            if not _is_as_claimed(tables, cursor):
                raise Stale

        def write(cursors: dict[tuple[str, str], Claimable]) -> None:
            key = (cursor.stream, cursor.consumer)
            cursors[key] = replace(cursors[key], cursor=moved, oldest_at=at)

        self._unit.require(still)
        self._unit.note_quietly(CURSORS, write)
        return moved


class MemoryCursors(Cursors):
    """Cursors outside of units of work."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def claim(self, consumers: Sequence[str], now: datetime, until: datetime, most: int) -> Sequence[Cursor]:
        claimed: list[Cursor] = []

        def claim(tables: Tables) -> None:
            due = [key for key, kept in tables[CURSORS].items() if key[1] in consumers and kept.due_at <= now]
            for key in sorted(due, key=lambda key: tables[CURSORS][key].due_at)[:most]:
                cursor = _next_version(tables[CURSORS][key].cursor)
                tables[CURSORS][key] = replace(tables[CURSORS][key], cursor=cursor, due_at=until)
                claimed.append(cursor)

        await self._change(claim)
        return claimed

    async def next(self, cursor: Cursor, wanted: Iterable[str]) -> tuple[EventView | None, int]:
        tables = self._database.committed
        return _first(tables, cursor.stream, cursor.position, frozenset(wanted)), tables.head(cursor.stream)

    async def settle(self, cursor: Cursor, wanted: Iterable[str], head: int) -> bool:
        types = frozenset(wanted)
        more: list[EventView] = []

        def drop(tables: Tables) -> None:
            if not _is_as_claimed(tables, cursor):
                return
            if event := _first(tables, cursor.stream, head, types):
                more.append(event)
            else:
                del tables[CURSORS][cursor.stream, cursor.consumer]

        await self._change(drop)
        return not more

    async def postpone(self, cursor: Cursor, until: datetime, has_failed: bool) -> None:
        def postpone(tables: Tables) -> None:
            if _is_as_claimed(tables, cursor):
                key = (cursor.stream, cursor.consumer)
                later = structs.replace(_next_version(cursor), failures=cursor.failures + has_failed)
                tables[CURSORS][key] = replace(tables[CURSORS][key], cursor=later, due_at=until)

        await self._change(postpone)

    async def backlog(self) -> Sequence[Backlog]:
        behind: dict[str, list[Claimable]] = {}
        for (_, consumer), kept in self._database.committed[CURSORS].items():
            behind.setdefault(consumer, []).append(kept)
        return [
            Backlog(
                consumer,
                len(kept),
                sum(each.cursor.failures > 0 for each in kept),
                min(each.oldest_at for each in kept),
            )
            for consumer, kept in sorted(behind.items())
        ]

    async def give_up(self, consumer: str, stream: str | None = None) -> int:
        given_up: list[tuple[str, str]] = []

        def drop(tables: Tables) -> None:
            given_up.extend(key for key in tables[CURSORS] if key[1] == consumer and stream in (None, key[0]))
            for key in given_up:
                del tables[CURSORS][key]

        await self._change(drop)
        return len(given_up)

    async def _change(self, change: Callable[[Tables], None]) -> None:
        def changed(tables: Tables) -> Sequence[Entry]:
            change(tables)
            return ()

        await self._database.apply(changed, lambda _: None)


def _next_version(cursor: Cursor) -> Cursor:
    return structs.replace(cursor, version=cursor.version + 1)


def _is_as_claimed(tables: Tables, cursor: Cursor) -> bool:
    kept = tables[CURSORS].get((cursor.stream, cursor.consumer))
    # An earlier cursor of the same stream and consumer may have had the same version.
    return kept is not None and (kept.cursor.version, kept.cursor.position) == (cursor.version, cursor.position)


def _first(tables: Tables, stream: str, after: int, types: frozenset[str]) -> EventView | None:
    """The first event of these types after an offset."""
    for entry in tables.streams.get(stream, ())[max(0, after - tables.tail(stream)) :]:
        if entry.type in types:
            return event_view(entry.stream, entry.offset, bytes(entry.body).decode())
    return None
