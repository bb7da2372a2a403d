"""Notes in memory."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.unit import MemoryUnit
from application.ports.events import Entry
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

NOTES: Table[NoteId, Note] = Table("notes")


def _seen(tables: Tables, id: NoteId, by: AccountId) -> Note:
    note = tables[NOTES].get(id)
    if note is None or by not in note.participants:
        raise NotFound
    return copied(note)


class MemoryNotes(NoteRepository):
    """Notes inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: NoteId, by: AccountId) -> Note:
        return _seen(self._unit.tables, id, by)

    async def find(self, id: NoteId) -> Note:
        note = self._unit.tables[NOTES].get(id)
        if note is None or note.burnt_at is not None:
            raise NotFound
        return copied(note)

    def add(self, note: Note) -> None:
        self.save(note)

    def save(self, note: Note) -> None:
        def kept(saved: Note) -> Note:
            self._unit.note_due(saved.due_at)
            return copied(saved)

        self._unit.saving(note.id, note, NOTES, kept=kept, uses=uses_of)


class MemoryNoteQueries(NoteQueries):
    """Notes for reading only."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def view(self, id: NoteId, by: AccountId) -> NoteView:
        return msgspec.convert(_seen(self._database.committed, id, by), NoteView, from_attributes=True)

    async def participating(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        notes = self._database.committed[NOTES]
        return {(id, by) for id, by in asked if (note := notes.get(NoteId(id))) and by in note.participants}

    async def texts(self, ids: Collection[UUID]) -> Mapping[UUID, tuple[int, str]]:
        notes = self._database.committed[NOTES]
        return {
            id: (note.version, note.text) for id in ids if (note := notes.get(NoteId(id))) and note.burnt_at is None
        }

    async def count(self) -> int:
        return min(COUNTED_MAX, sum(note.burnt_at is None for note in self._database.committed[NOTES].values()))


class MemoryNoteUpkeep(NoteUpkeep):
    """Walks all notes."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        dropped: list[NoteId] = []

        def drop(tables: Tables) -> Sequence[Entry]:
            old = (id for id, note in tables[NOTES].items() if note.burnt_at and note.burnt_at < now - kept)
            dropped.extend(list(old)[:most])
            for id in dropped:
                del tables[NOTES][id]
            return ()

        await self._database.apply(drop, lambda _: None)
        return len(dropped)
