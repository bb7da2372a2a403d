"""Deadlines in PostgreSQL; see `docs/decisions/0037-later-is-a-due-at.md`."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ARRAY, Table, Uuid, bindparam, func, literal_column, select, tuple_

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.tables import Instant
from application.ports.due import Ahead, Deadlines, Late


class PostgresDeadlines(Deadlines):
    """The deadlines of a table that has the columns `id` and `due_at`, or `column` instead, and a `due_index`."""

    def __init__(self, database: Database, table: Table, column: str = "due_at") -> None:
        self._database = database
        id, due_at = table.c.id, table.c[column]
        is_due = due_at <= bindparam("now")
        late = select(literal_column("1")).select_from(table).where(is_due).limit(bindparam("most")).subquery("late")
        self.looking = Statement(
            select(
                select(func.min(due_at)).scalar_subquery(),
                select(func.count()).select_from(late).scalar_subquery(),
                select(func.min(due_at)).where(due_at > bindparam("now")).scalar_subquery(),
            )
        )
        besides = select(
            func.unnest(bindparam("ids", type_=ARRAY(Uuid))), func.unnest(bindparam("times", type_=ARRAY(Instant)))
        )
        self.finding = Statement(
            select(id, due_at)
            .where(is_due, tuple_(id, due_at).not_in(besides))
            .order_by(due_at)
            .limit(bindparam("most"))
            .with_for_update(skip_locked=True, key_share=True)
        )

    async def look(self, now: datetime, most: int) -> Ahead:
        row = await self._database.fetchrow(self.looking, now=now, most=most)
        assert row is not None
        return Ahead(*row)

    async def late(self, now: datetime, most: int, besides: Collection[Late] = ()) -> Sequence[Late]:
        ids, times = [late.id for late in besides], [late.due_at for late in besides]
        return [
            Late(*row) for row in await self._database.fetch(self.finding, now=now, most=most, ids=ids, times=times)
        ]
