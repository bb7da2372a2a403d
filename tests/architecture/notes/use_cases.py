"""Everything that people can do with notes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Raw, Struct

from application.limits import Limits
from application.ports.events import Broker, Signal
from application.ports.newest import Newest
from application.ports.observer import Observer
from application.ports.presence import Presence
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from domain.channels import PRESENCE, Channel
from domain.errors import VersionConflict
from domain.ids import AccountId
from tests.architecture.notes.domain import CURSORS, TEXT_MAX, WAVES, Note, NoteId, place
from tests.architecture.notes.measures import OPENED_PER_ACCOUNT, WAVES_PER_ACCOUNT
from tests.architecture.notes.ports import NoteQueries, NoteView, NoteWork
from tests.architecture.notes.scopes import NOTES_READ, NOTES_WRITE


class NoteText(Struct, frozen=True, forbid_unknown_fields=True):
    """What a note shall say."""

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX, examples=["Bring the map."])]


class Reminder(Struct, frozen=True, forbid_unknown_fields=True):
    """When a note shall be due; null for never."""

    due_at: Annotated[datetime, Meta(tz=True)] | None


class Wave(Struct, frozen=True, forbid_unknown_fields=True):
    """How many hands somebody waves."""

    hands: Annotated[int, Meta(ge=1, le=2)]


class Cursor(Struct, frozen=True, forbid_unknown_fields=True):
    """Before which character of a note somebody writes."""

    at: Annotated[int, Meta(ge=0, le=TEXT_MAX)]


CURSOR_SECONDS = 15.0


class Notes:
    """What those who take part in a note can do; strangers are told NotFound, whatever they ask."""

    def __init__(
        self,
        work: UnitOfWork[NoteWork],
        queries: NoteQueries,
        limits: Limits,
        observer: Observer,
        clock: Clock,
        ids: Ids,
        broker: Broker,
        presence: Presence,
        values: Newest,
    ) -> None:
        self._work = work
        self._limits = limits
        self._observer = observer
        self._queries = queries
        self._clock = clock
        self._ids = ids
        self._broker = broker
        self._presence = presence
        self._values = values

    async def read(self, actor: Principal, id: NoteId) -> NoteView:
        actor.require(NOTES_READ)
        return await self._queries.view(id, actor.account_id)

    async def open(self, actor: Principal, new: NoteText) -> NoteView:
        actor.require(NOTES_WRITE)
        await self._limits.require(OPENED_PER_ACCOUNT, str(actor.account_id))
        note = Note.open(NoteId(self._ids.new()), new.text, actor.account_id, self._clock.now())
        async with self._work() as work:
            work.notes.add(note)
        return _view(note)

    @retried
    async def write(self, actor: Principal, id: NoteId, new: NoteText, version: int | None = None) -> NoteView:
        """Let it say something else, if it is at `version` or that is None."""
        actor.require(NOTES_WRITE)
        async with self._changing(actor, id) as note:
            if version is not None and version != note.version:
                raise VersionConflict(_view(note), note.version)
            note.write(new.text, actor.account_id, self._clock.now())
        return _view(note)

    @retried
    async def remind(self, actor: Principal, id: NoteId, reminder: Reminder) -> NoteView:
        actor.require(NOTES_WRITE)
        async with self._changing(actor, id) as note:
            note.remind(reminder.due_at, actor.account_id, self._clock.now())
        return _view(note)

    @retried
    async def invite(self, actor: Principal, id: NoteId, account: AccountId) -> None:
        actor.require(NOTES_WRITE)
        async with self._changing(actor, id) as note:
            note.invite(account, actor.account_id, self._clock.now())

    @retried
    async def leave(self, actor: Principal, id: NoteId, account: AccountId) -> None:
        """End somebody's part in it: one's own, or another's."""
        actor.require(NOTES_WRITE)
        async with self._changing(actor, id) as note:
            note.leave(account, actor.account_id, self._clock.now())

    @retried
    async def burn(self, actor: Principal, id: NoteId) -> None:
        actor.require(NOTES_WRITE)
        async with self._changing(actor, id) as note:
            note.burn(actor.account_id, self._clock.now())
        self._observer.happened("note_burnt", "short" if len(note.text) < TEXT_MAX / 2 else "long")

    async def wave(self, actor: Principal, id: NoteId, wave: Wave) -> None:
        """Wave at those who follow it. It asks the store nothing: the caller has to follow the note."""
        actor.require(NOTES_WRITE)
        await self._limits.require(WAVES_PER_ACCOUNT, str(actor.account_id))
        data = Raw(msgspec.json.encode(wave))
        self._broker.publish([Signal(str(Channel(WAVES, place(id))), str(actor.account_id), 0, data)])

    async def point(self, actor: Principal, id: NoteId, cursor: Cursor) -> None:
        """Show one's cursor to those who follow the note, for 15 s. Like a wave it asks the store nothing."""
        actor.require(NOTES_WRITE)
        data = Raw(msgspec.json.encode(cursor))
        await self._values.tell(Channel(CURSORS, place(id)), str(actor.account_id), data, CURSOR_SECONDS)

    @retried
    async def attended(
        self, place: Channel, account: AccountId, is_here: bool, why: Literal["", "bye", "lost"], now: datetime
    ) -> None:
        """Let a note fall due some time after somebody has gone, unless they are back by then."""
        there = await self._presence.present(str(Channel(PRESENCE, place)))
        async with self._work() as work:
            note = await work.notes.find(NoteId(place.id))
            if account in there.accounts:
                note.found(account, now)
            else:
                note.missed(account, now)
            work.notes.save(note)

    async def elapse(self, id: UUID, now: datetime) -> None:
        """Let time do to a note what is due at `now`."""
        async with self._work() as work:
            note = await work.notes.find(NoteId(id))
            due_at = note.due_at
            note.elapse(now)
            work.notes.save(note)
        if due_at is not None and note.due_at is None:
            self._observer.measured("note_late_seconds", (now - due_at).total_seconds())

    @asynccontextmanager
    async def _changing(self, actor: Principal, id: NoteId) -> AsyncIterator[Note]:
        """A note that is saved on leaving, if nothing is raised."""
        async with self._work() as work:
            note = await work.notes.get(id, actor.account_id)
            yield note
            work.notes.save(note)


def _view(note: Note) -> NoteView:
    return msgspec.convert(note, NoteView, from_attributes=True)
