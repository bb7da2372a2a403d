"""Finds the words of tasks and comments anew, in small batches, where an older rule has split them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Table,
    Text,
    Uuid,
    bindparam,
    column,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.tables import comments, tasks
from adapters.postgres.tasks import found_by
from application.ports.tasks import TaskWords
from application.turns import Turn
from domain.words import WORDS_RULE

_RULE: ColumnElement[int] = literal_column(str(WORDS_RULE))


class _Kept:
    """A table with words, the columns of their texts, and a column that changes whenever a text changes."""

    def __init__(self, table: Table, version: Column[Any], *texts: Column[Any]) -> None:
        is_old = table.c.words_rule < _RULE
        old = select(table.c.id, version, *texts).where(is_old)
        # The order of the index of old rows. In any other order, each read would first pass over the finished rows.
        self.read = Statement(old.order_by(table.c.id).limit(bindparam("most")))
        arrays = (
            bindparam("ids", type_=ARRAY(Uuid)),
            bindparam("versions", type_=ARRAY(version.type)),
            bindparam("words", type_=ARRAY(Text)),
        )
        found = func.unnest(*arrays).table_valued(
            column("id", Uuid), column("version", version.type), column("words", Text)
        )
        found = found.render_derived(name="found")
        # Locked rows are skipped. Two processes that wait for locks while holding others would wait for each other.
        unlocked = (
            select(table.c.id, found.c.words)
            .join_from(table, found, (table.c.id == found.c.id) & (version == found.c.version))
            .where(is_old)
            .with_for_update(of=table, skip_locked=True)
            .cte("unlocked")
        )
        self.write = Statement(
            update(table)
            .where(table.c.id == unlocked.c.id)
            .values(words=func.cast(unlocked.c.words, TSVECTOR), words_rule=_RULE)
            .returning(literal_column("1"))
        )


_KEPT = (
    _Kept(tasks, tasks.c.version, tasks.c.title, tasks.c.description),
    _Kept(comments, comments.c.updated_at, comments.c.text),
)


class PostgresTaskWords(TaskWords):
    """Reads texts, finds their words, and writes those whose text has not changed meanwhile; no lock is held."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_anew(self, most: int) -> int:
        return sum([await self._find(kept, most) for kept in _KEPT])

    async def _find(self, kept: _Kept, most: int) -> int:
        rows = await self._database.fetch(kept.read, most=most)
        turn = Turn()
        words: list[str] = []
        for _, _, *texts in rows:
            await turn.share()
            words.append(found_by(*texts))
        found: Mapping[str, Sequence[object]] = {
            "ids": [row[0] for row in rows],
            "versions": [row[1] for row in rows],
            "words": words,
        }
        return len(await self._database.fetch(kept.write, **found)) if rows else 0
