"""The cursors of consumers in PostgreSQL; see `docs/decisions/0028-durable-consumers.md`."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import (
    ARRAY,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    select,
    true,
    tuple_,
    update,
)

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, picked
from adapters.postgres.tables import cursors, events, streams
from adapters.postgres.unit_of_work import PostgresUnit
from application.journal import event_view
from application.ports.consumers import Backlog, Cursor, CursorRepository, Cursors
from application.ports.events import EventView

_COLUMNS = tuple(cursors.c[name] for name in Cursor.__struct_fields__)
# The position is compared too, because an earlier cursor of the same stream and consumer may have had this version.
_THIS = and_(
    cursors.c.stream == bindparam("of_stream"),
    cursors.c.consumer == bindparam("of_consumer"),
    cursors.c.version == bindparam("claimed"),
    cursors.c.position == bindparam("behind"),
)
_MOVE = Statement(
    update(cursors)
    .values(
        position=bindparam("new_position"),
        oldest_at=bindparam("at"),
        failures=literal_column("0"),
        version=cursors.c.version + literal_column("1"),
    )
    .where(_THIS)
)
_DUE = (
    select(cursors.c.stream, cursors.c.consumer)
    .where(
        cursors.c.due_at <= bindparam("now"),
        cursors.c.consumer == func.any(bindparam("consumers", type_=ARRAY(Text))),
    )
    .order_by(cursors.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM = Statement(
    update(cursors)
    .where(tuple_(cursors.c.stream, cursors.c.consumer).in_(picked(_DUE)))
    .values(due_at=bindparam("until"), version=cursors.c.version + literal_column("1"))
    .returning(*_COLUMNS)
)
_IS_WANTED = events.c.type == func.any(bindparam("types", type_=ARRAY(Text)))
_first = (
    select(events.c.offset, events.c.body)
    .where(events.c.stream == streams.c.name, events.c.offset > bindparam("position"), _IS_WANTED)
    .order_by(events.c.offset)
    .limit(literal_column("1"))
    .lateral("first")
)
_NEXT = Statement(
    select(streams.c.head, _first.c.offset, _first.c.body)
    .select_from(streams.outerjoin(_first, true()))
    .where(streams.c.name == bindparam("stream"))
)
# Waits for units of work that are writing to the stream, and makes later ones wait until the cursor is dropped or kept.
_HOLD = Statement(select(streams.c.head).where(streams.c.name == bindparam("stream")).with_for_update(read=True))
_HAS_MORE = exists().where(events.c.stream == bindparam("stream"), events.c.offset > bindparam("head"), _IS_WANTED)
_DROP = Statement(delete(cursors).where(_THIS, ~_HAS_MORE).returning(literal_column("1")))
_IS_THERE = Statement(select(cursors.c.version).where(_THIS))
_POSTPONE = Statement(
    update(cursors)
    .where(_THIS)
    .values(
        due_at=bindparam("until"),
        failures=bindparam("failed_times"),
        version=cursors.c.version + literal_column("1"),
    )
)
_BACKLOG = Statement(
    select(
        cursors.c.consumer,
        func.count(),
        func.count(case((cursors.c.failures > literal_column("0"), literal_column("1")))),
        func.min(cursors.c.oldest_at),
    )
    .group_by(cursors.c.consumer)
    .order_by(cursors.c.consumer)
)
_give_up = delete(cursors).where(cursors.c.consumer == bindparam("consumer"))
_GIVE_UP_ALL = Statement(_give_up.returning(literal_column("1")))
_GIVE_UP_ONE = Statement(_give_up.where(cursors.c.stream == bindparam("stream")).returning(literal_column("1")))


class PostgresCursorRepository(CursorRepository):
    """Cursors inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    def move(self, cursor: Cursor, position: int, at: datetime) -> Cursor:
        self._unit.note_quietly(_MOVE, **_key(cursor), new_position=position, at=at)
        return replace(cursor, position=position, version=cursor.version + 1, failures=0)


class PostgresCursors(Cursors):
    """Cursors outside of units of work. A writer waits for one of them for a round trip at most."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, consumers: Sequence[str], now: datetime, until: datetime, most: int) -> Sequence[Cursor]:
        rows = await self._database.fetch(_CLAIM, consumers=list(consumers), now=now, until=until, most=most)
        return [Cursor(*row) for row in rows]

    async def next(self, cursor: Cursor, wanted: Iterable[str]) -> tuple[EventView | None, int]:
        row = await self._database.fetchrow(_NEXT, stream=cursor.stream, position=cursor.position, types=list(wanted))
        if row is None:
            return None, 0
        head, offset, body = row
        return None if offset is None else event_view(cursor.stream, offset, body), head

    async def settle(self, cursor: Cursor, wanted: Iterable[str], head: int) -> bool:
        values = {**_key(cursor), "stream": cursor.stream, "head": head, "types": list(wanted)}
        async with self._database.connection() as connection, self._database.transaction(connection):
            # The stream is locked before the cursor, as in every unit of work.
            await self._database.fetch_on(connection, _HOLD, values)
            # These are separate statements, so that they see the writes that the last statement waited for.
            if await self._database.fetchrow_on(connection, _DROP, values) is not None:
                return True
            return await self._database.fetchrow_on(connection, _IS_THERE, values) is None

    async def postpone(self, cursor: Cursor, until: datetime, has_failed: bool) -> None:
        failures = cursor.failures + 1 if has_failed else cursor.failures
        await self._database.fetch(_POSTPONE, **_key(cursor), until=until, failed_times=failures)

    async def backlog(self) -> Sequence[Backlog]:
        return [Backlog(*row) for row in await self._database.fetch(_BACKLOG)]

    async def give_up(self, consumer: str, stream: str | None = None) -> int:
        if stream is None:
            return len(await self._database.fetch(_GIVE_UP_ALL, consumer=consumer))
        return len(await self._database.fetch(_GIVE_UP_ONE, consumer=consumer, stream=stream))


def _key(cursor: Cursor) -> dict[str, object]:
    return {
        "of_stream": cursor.stream,
        "of_consumer": cursor.consumer,
        "claimed": cursor.version,
        "behind": cursor.position,
    }
