"""Pages of the journal are read once for all who miss them, handed out in pieces, and kept within a bound."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.memory.database import MemoryDatabase
from adapters.memory.events import MemoryJournalQueries
from adapters.memory.system import MovableClock
from application.paging import PAGE_BYTES
from application.ports.events import Entry
from application.realtime.pages import PAGE, READS_AT_ONCE, REMEMBERED_BYTES, Pages
from application.realtime.piece import PIECE_BYTES
from entrypoints.websocket.wire import JSON_FRAMES

STREAMS = ("workspace:one", "workspace:two")
ONE = STREAMS[0]


class Journal(MemoryJournalQueries):
    """What is read of it is noted."""

    def __init__(self, *sizes: int) -> None:
        self._kept = MemoryDatabase(MovableClock())
        super().__init__(self._kept)
        self.reads: list[tuple[str, int]] = []
        for stream in STREAMS:
            for size in sizes:
                self.append(stream, size)

    def append(self, stream: str, size: int) -> None:
        body = Raw(b'"%b"' % (b"x" * size))
        self._kept.committed.append(Entry(stream, self.head(stream) + 1, "task.created", UUID(int=1), body))

    def head(self, stream: str) -> int:
        return self._kept.committed.head(stream)

    async def read(self, stream: str, after: int, limit: int) -> Sequence[Entry]:
        self.reads.append((stream, after))
        await asyncio.sleep(0)
        return await super().read(stream, after, limit)


async def walk(pages: Pages, stream: str, after: int) -> list[Entry]:
    """Everything after an offset."""
    found: list[Entry] = []
    while True:
        entries, frames = await pages.framed_after(stream, after, JSON_FRAMES)
        if not entries:
            return found
        assert entries == await pages.after(stream, after)
        assert frames == [JSON_FRAMES.entry(entry) for entry in entries]
        assert sum(len(entry.body) for entry in entries[:-1]) < PIECE_BYTES
        found += entries
        after = found[-1].offset


async def test_those_who_resume_at_different_places_of_a_page_read_it_once() -> None:
    journal = Journal(*[1_000] * PAGE)
    pages = Pages(journal)
    walks = await asyncio.gather(*(walk(pages, ONE, after) for after in range(PAGE)))
    assert all(
        [entry.offset for entry in found] == list(range(after + 1, PAGE + 1)) for after, found in enumerate(walks)
    )
    assert sum(after < PAGE for _, after in journal.reads) <= READS_AT_ONCE
    journal.reads.clear()
    assert len(await walk(pages, ONE, 17)) == PAGE - 17
    assert journal.reads == [(ONE, PAGE)]


async def test_a_page_of_large_entries_is_handed_out_one_by_one() -> None:
    journal = Journal(*[PIECE_BYTES] * 15)
    pages = Pages(journal)
    for after in range(15):
        assert [entry.offset for entry in await pages.after(ONE, after)] == [after + 1]
    assert journal.reads == [(ONE, 0)]


async def test_what_comes_later_is_read_after_the_page_that_is_known() -> None:
    journal = Journal(10, 10)
    pages = Pages(journal)
    assert len(await walk(pages, ONE, 0)) == 2
    journal.append(ONE, 10)
    assert [entry.offset for entry in await walk(pages, ONE, 0)] == [1, 2, 3]
    journal.reads.clear()
    assert [entry.offset for entry in await pages.after(ONE, 2)] == [3]
    assert journal.reads == []


async def test_what_is_forgotten_is_read_again() -> None:
    journal = Journal(10, 10)
    pages = Pages(journal)
    for _ in range(2):
        await pages.after(ONE, 0)
        pages.forget()
    assert journal.reads == [(ONE, 0)] * 2


@pytest.mark.parametrize("count", [40, 80])
async def test_no_more_is_remembered_than_fits(count: int) -> None:
    """A page of a mebibyte is there twice: as entries, and as frames."""
    fitting = REMEMBERED_BYTES // (2 * PAGE_BYTES)
    journal = Journal(*[PAGE_BYTES // 2] * count)  # two do not fit on a page
    pages = Pages(journal)
    await walk(pages, ONE, 0)
    journal.reads.clear()
    for after in range(count - 1, -1, -1):
        await pages.after(ONE, after)
    again = len(journal.reads)
    assert count - 2 * fitting - 1 <= again <= count - 2 * fitting + 1


SIZES = st.lists(st.sampled_from((1, 300, 30_000, 500_000)), max_size=60)


@given(
    sizes=SIZES,
    asked=st.lists(st.tuples(st.sampled_from((*STREAMS, "forget", "append")), st.integers(0, 60)), max_size=40),
)
async def test_whatever_is_asked_for_in_whatever_order_is_what_the_journal_has(
    sizes: list[int], asked: list[tuple[str, int]]
) -> None:
    journal = Journal(*sizes)
    pages = Pages(journal)
    for what, after in asked:
        if what == "forget":
            pages.forget()
        elif what == "append":
            journal.append(ONE, 100)
        else:
            found = [entry.offset for entry in await pages.after(what, after)]
            assert found == list(range(after + 1, after + 1 + len(found)))
            assert bool(found) == (after < journal.head(what))
