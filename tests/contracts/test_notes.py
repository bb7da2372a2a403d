"""What the ports of notes promise, on every adapter of them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Protocol
from uuid import uuid4

import pytest
import pytest_asyncio

from adapters.memory.system import MovableClock
from application.ports.unit_of_work import Stale, UnitOfWork
from application.principal import Principal
from domain.errors import NotFound, QuotaExceeded, VersionConflict
from domain.ids import AccountId
from entrypoints.container import Container
from entrypoints.lifetimes import furnished
from tests.architecture.notes.domain import PARTICIPANTS_MAX, NoteFull, NoteId, note_stream
from tests.architecture.notes.ports import NoteQueries, NoteUpkeep, NoteView, NoteWork
from tests.architecture.notes.use_cases import Notes, NoteText, Reminder
from tests.support import builders
from tests.support.builders import an_account, principal

DAY = timedelta(days=1)


class Work(builders.Work, NoteWork, Protocol):
    """A unit of work with the slice of notes."""


class Shelf:
    """The ports of notes in one assembly, in which Ada and Bob write a note, and Eve does not."""

    ada: Principal
    bob: Principal
    eve: Principal
    id: NoteId

    def __init__(self, house: Container) -> None:
        self.house = house
        self.work: UnitOfWork[Work] = house.providers["work"]()
        self.ids, self.journal = house.ids(), house.journal()
        self.notes: Notes = house.providers["notes"]()
        self.queries: NoteQueries = house.providers["note_queries"]()
        self.upkeep: NoteUpkeep = house.providers["note_upkeep"]()
        clock = house.clock()
        assert isinstance(clock, MovableClock)
        self.clock = clock

    async def fill(self) -> "Shelf":
        self.ada, self.bob, self.eve = [principal(await an_account(self, name)) for name in ("Ada", "Bob", "Eve")]
        self.id = NoteId((await self.notes.open(self.ada, NoteText("Bring the map."))).id)
        await self.notes.invite(self.ada, self.id, self.bob.account_id)
        return self

    async def view(self) -> NoteView:
        return await self.queries.view(self.id, self.ada.account_id)


@pytest_asyncio.fixture
async def shelf(library: Container) -> AsyncIterator[Shelf]:
    async with furnished(library):
        yield await Shelf(library).fill()


async def test_what_is_answered_is_what_is_kept(shelf: Shelf) -> None:
    at = shelf.clock.now() + DAY
    assert await shelf.notes.write(shelf.bob, shelf.id, NoteText(" Bring the lamp.\n")) == await shelf.view()
    assert await shelf.notes.remind(shelf.bob, shelf.id, Reminder(at)) == await shelf.view()
    kept = await shelf.view()
    assert (kept.text, kept.due_at, kept.version) == ("Bring the lamp.", at, 4)
    assert list(kept.participants) == [shelf.ada.account_id, shelf.bob.account_id]
    with pytest.raises(VersionConflict):
        await shelf.notes.write(shelf.bob, shelf.id, NoteText("Late."), version=3)


async def test_a_note_is_absent_for_those_who_take_no_part_and_for_everybody_once_it_is_burnt(shelf: Shelf) -> None:
    async def sees(who: Principal) -> bool:
        try:
            await shelf.queries.view(shelf.id, who.account_id)
        except NotFound:
            with pytest.raises(NotFound):
                async with shelf.work() as work:
                    await work.notes.get(shelf.id, who.account_id)
            return False
        return (shelf.id, who.account_id) in await shelf.queries.participating({(shelf.id, who.account_id)})

    assert [await sees(who) for who in (shelf.ada, shelf.bob, shelf.eve)] == [True, True, False]
    await shelf.notes.leave(shelf.ada, shelf.id, shelf.bob.account_id)
    assert [await sees(who) for who in (shelf.ada, shelf.bob, shelf.eve)] == [True, False, False]
    assert await shelf.queries.texts({shelf.id, uuid4()}) == {shelf.id: (3, "Bring the map.")}
    await shelf.notes.burn(shelf.ada, shelf.id)
    assert [await sees(who) for who in (shelf.ada, shelf.bob, shelf.eve)] == [False, False, False]
    assert await shelf.queries.texts({shelf.id}) == {}


async def test_nobody_writes_on_what_somebody_else_has_changed_since_nor_after_they_were_let_go(shelf: Shelf) -> None:
    with pytest.raises(Stale):
        async with shelf.work() as work:
            note = await work.notes.get(shelf.id, shelf.bob.account_id)
            await shelf.notes.leave(shelf.ada, shelf.id, shelf.bob.account_id)
            note.write("Too late.", shelf.bob.account_id, shelf.clock.now())
            work.notes.save(note)
    assert (await shelf.view()).text == "Bring the map."


async def test_of_many_who_come_at_once_as_many_get_in_as_there_is_room_for(shelf: Shelf) -> None:
    for _ in range(PARTICIPANTS_MAX - 2 - 3):
        await shelf.notes.invite(shelf.ada, shelf.id, AccountId(uuid4()))
    came = await asyncio.gather(
        *(shelf.notes.invite(shelf.ada, shelf.id, AccountId(uuid4())) for _ in range(6)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in came) == ["NoneType"] * 3 + [NoteFull.__name__] * 3
    stream = note_stream(shelf.id)
    assert (await shelf.journal.heads([stream]))[stream] == PARTICIPANTS_MAX == (await shelf.view()).version


async def test_of_many_notes_at_once_an_account_gets_as_many_as_its_quota_and_a_burnt_one_makes_room(
    shelf: Shelf,
) -> None:
    shelf.house.quota_limits().limits["notes"] = 3
    opened = await asyncio.gather(
        *(shelf.notes.open(shelf.ada, NoteText("One more.")) for _ in range(6)), return_exceptions=True
    )
    refused = [each.extra for each in opened if isinstance(each, QuotaExceeded)]
    assert refused == [{"quota": "notes", "limit": 3}] * 4
    await shelf.notes.write(shelf.bob, shelf.id, NoteText("Full, but not for this."))
    await shelf.notes.open(shelf.bob, NoteText("Not Ada's."))
    await shelf.notes.burn(shelf.bob, shelf.id)
    await shelf.notes.open(shelf.ada, NoteText("There is room."))
    with pytest.raises(QuotaExceeded):
        await shelf.notes.open(shelf.ada, NoteText("And no more."))


async def test_what_was_burnt_for_long_enough_goes_in_pieces_and_nothing_else_does(shelf: Shelf) -> None:
    for _ in range(3):
        burnt = await shelf.notes.open(shelf.eve, NoteText("Ashes."))
        await shelf.notes.burn(shelf.eve, NoteId(burnt.id))
    shelf.clock.advance(DAY)

    async def forget(kept: timedelta) -> int:
        return await shelf.upkeep.forget(shelf.clock.now(), kept, 2)

    assert await forget(DAY) == 0
    assert [await forget(DAY / 2) for _ in range(3)] == [2, 1, 0]
    assert (await shelf.view()).text == "Bring the map."


async def test_a_note_falls_due_once_whoever_asks_and_not_when_it_was_put_off_or_burnt(shelf: Shelf) -> None:
    later = shelf.house.operations.later()
    put_off, burnt = [NoteId((await shelf.notes.open(shelf.ada, NoteText(text))).id) for text in ("Later.", "Never.")]
    for id in (shelf.id, put_off, burnt):
        await shelf.notes.remind(shelf.ada, id, Reminder(shelf.clock.now() + DAY))
    await shelf.notes.remind(shelf.ada, put_off, Reminder(shelf.clock.now() + 2 * DAY))
    await shelf.notes.burn(shelf.ada, burnt)
    assert await later.turn() == 0
    shelf.clock.advance(DAY)
    assert [await later.turn() for _ in range(2)] == [1, 0]
    await asyncio.gather(*(shelf.notes.elapse(shelf.id, shelf.clock.now()) for _ in range(5)))
    entries = await shelf.journal.read(note_stream(shelf.id), 0, 100)
    assert [entry.type for entry in entries][-2:] == ["note.reminder_set", "note.fell_due"]
    assert (await shelf.view()).due_at is None


async def test_notes_that_are_not_burnt_are_counted(shelf: Shelf) -> None:
    count = shelf.house.note_queries().count
    before = await count()
    other = await shelf.notes.open(shelf.ada, NoteText("Ashes."))
    assert await count() == before + 1
    await shelf.notes.burn(shelf.ada, NoteId(other.id))
    assert await count() == before


async def test_retention_forgets_burnt_notes_by_the_row_that_was_handed_in(shelf: Shelf) -> None:
    await shelf.notes.burn(shelf.ada, shelf.id)
    shelf.clock.advance(31 * DAY)
    assert (await shelf.house.operations.forgetting().forget())["notes"] == 1
