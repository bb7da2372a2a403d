"""Notes in PostgreSQL: the table, and its statements."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ARRAY,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)

from adapters.postgres.database import Database
from adapters.postgres.statement import Lookup, Part, Statement, dropping, lookup_keys
from adapters.postgres.tables import Instant, due_index
from adapters.postgres.unit_of_work import PostgresUnit
from application.quotas import Use
from domain.errors import NotFound
from domain.ids import AccountId
from tests.architecture.notes.domain import Note, NoteId
from tests.architecture.notes.ports import (
    COUNTED_MAX,
    NoteQueries,
    NoteRepository,
    NoteUpkeep,
    NoteView,
    uses_of,
)

metadata = MetaData()
notes = Table(
    "notes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("text", Text, nullable=False),
    Column("participants", ARRAY(Uuid), nullable=False),
    Column("created_by", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("burnt_at", Instant),
    Column("version", Integer, nullable=False),
    Index("ix_notes_burnt_at", "burnt_at", postgresql_where=text("burnt_at IS NOT NULL")),
)
due_index(notes)

_FIELDS = (*(field.name for field in fields(Note) if field.init and field.name != "version"), "version")
_SEEN = (notes.c.id == bindparam("id"), bindparam("by", type_=Uuid) == any_(notes.c.participants))
_ROW = select(*(notes.c[name] for name in _FIELDS))
_GET = Statement(_ROW.where(*_SEEN))
_FIND = Statement(_ROW.where(notes.c.id == bindparam("id"), notes.c.burnt_at.is_(None)))
_INSERT = Statement(insert(notes).values({name: bindparam(name) for name in _FIELDS}))
_UPDATE = Statement(
    update(notes)
    .where(notes.c.id == bindparam("key"), notes.c.version == bindparam("loaded"))
    .values({name: bindparam(name) for name in _FIELDS if name not in {"id", "created_by", "created_at"}})
)
_VIEW = Statement(select(*(notes.c[name] for name in NoteView.__struct_fields__)).where(*_SEEN))
_ASKED = lookup_keys("note", "account")
_TAKES_PART = Lookup(
    _ASKED,
    select(notes.c.id)
    .select_from(_ASKED)
    .join(notes, and_(notes.c.id == _ASKED.c.note, _ASKED.c.account == any_(notes.c.participants))),
)
_TEXTS = Statement(
    select(notes.c.id, notes.c.version, notes.c.text).where(
        notes.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid))), notes.c.burnt_at.is_(None)
    )
)
_SOME = select(notes.c.id).where(notes.c.burnt_at.is_(None)).limit(bindparam("most")).subquery()
_COUNT = Statement(select(func.count()).select_from(_SOME))
_FORGET = dropping(notes, notes.c.burnt_at < bindparam("before"), skips_locked=True)


class PostgresNotes(NoteRepository):
    """Notes inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: NoteId, by: AccountId) -> Note:
        return _note(await self._unit.fetchrow(_GET, id=id, by=by))

    async def find(self, id: NoteId) -> Note:
        return _note(await self._unit.fetchrow(_FIND, id=id))

    def add(self, note: Note) -> None:
        self._write(note, _INSERT, {})

    def save(self, note: Note) -> None:
        self._write(note, _UPDATE, uses_of(replace(note, burnt_at=None)))  # only a note that is not burnt is found

    def _write(self, note: Note, statement: Statement, before: Mapping[Use, int]) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            self._unit.note_due(note.due_at)
            self._unit.count(uses_of(note), before)
            values = {name: getattr(note, name) for name in _FIELDS}
            yield statement.part(values | {"key": note.id, "loaded": loaded})

        self._unit.saving(note, writes)


def _note(row: asyncpg.Record | None) -> Note:
    if row is None:
        raise NotFound
    return Note(**{**row, "participants": tuple(row["participants"])})


class PostgresNoteQueries(NoteQueries):
    """Notes for reading only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def view(self, id: NoteId, by: AccountId) -> NoteView:
        row = await self._database.fetchrow(_VIEW, id=id, by=by)
        if row is None:
            raise NotFound
        return NoteView(*row)

    async def participating(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        return (await self._database.look_up_all(_TAKES_PART, list(asked))).keys()

    async def texts(self, ids: Collection[UUID]) -> Mapping[UUID, tuple[int, str]]:
        return {id: (version, text) for id, version, text in await self._database.fetch(_TEXTS, ids=list(ids))}

    async def count(self) -> int:
        (row,) = await self._database.fetch(_COUNT, most=COUNTED_MAX)
        return int(row[0])


class PostgresNoteUpkeep(NoteUpkeep):
    """Drops in one statement of bounded size, passing over what somebody else has locked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        return len(await self._database.fetch(_FORGET, before=now - kept, most=most))
