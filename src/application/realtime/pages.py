"""Pages of the journal for those who missed something: read once for everybody who missed the same."""

import asyncio
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.events import Entry, JournalQueries
from application.realtime.frames import event_frame, on_the_wire

PAGE = 250
# As much as is handed out at once, and goes out to everybody before it is asked who cannot keep up.
PIECE_BYTES = 65_536
READS_AT_ONCE = 8
REMEMBERED_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Consecutive entries of a stream, each with the frame that it is sent as."""

    entries: Sequence[Entry]
    frames: Sequence[bytes]

    @property
    def last(self) -> int:
        return self.entries[-1].offset

    def piece_behind(self, offset: int) -> "JournalPage":
        """What follows an offset, up to 64 KiB and the frame that goes past that."""
        begin = max(0, offset + 1 - self.entries[0].offset) if self.entries else 0
        end, size = begin, 0
        while end < len(self.frames) and size < PIECE_BYTES:
            size += len(self.frames[end])
            end += 1
        return JournalPage(self.entries[begin:end], self.frames[begin:end])


class Pages:
    """Reads pages of the journal, at most 8 at a time, so that a storm of resumes leaves the store to others.

    What is read is a fact as long as the journal is the same, so it is remembered, up to 16 MiB of it. Whoever asks for
    what is on a page that is remembered, or that is being read, gets the same one. It is handed out in pieces: nobody
    holds more than one while they wait for a peer that reads nothing.
    """

    def __init__(self, journal: JournalQueries) -> None:
        self._journal = journal
        self._turns = asyncio.Semaphore(READS_AT_ONCE)
        # By the offset of its first entry, the last used at the end; and these offsets of each stream in order.
        self._known: OrderedDict[tuple[str, int], JournalPage] = OrderedDict()
        self._beginnings: dict[str, list[int]] = {}
        self._size = 0
        self._reading: dict[tuple[str, int], asyncio.Task[JournalPage]] = {}

    def forget(self) -> None:
        """Remember nothing: what was read were the facts of another journal."""
        self._known.clear()
        self._beginnings.clear()
        self._reading.clear()
        self._size = 0

    async def after(self, stream: str, offset: int) -> JournalPage:
        """The first entries of a stream that follow an offset, if there are any; Unavailable if they cannot be read.

        They are at most 64 KiB and the entry that goes past that.
        """
        page = self._page_with(stream, offset + 1)
        if page is None:
            key = (stream, offset)
            task = self._reading.get(key)
            if task is None:
                task = self._reading[key] = asyncio.create_task(self._read(key))
                task.add_done_callback(lambda done: self._finished(key, done))
            # Shielded: others may wait for the same page when this caller leaves.
            page = await asyncio.shield(task)
        return page.piece_behind(offset)

    def _page_with(self, stream: str, offset: int) -> JournalPage | None:
        beginnings = self._beginnings.get(stream, [])
        before = bisect_right(beginnings, offset)
        if before == 0:
            return None
        key = (stream, beginnings[before - 1])
        page = self._known[key]
        if page.last < offset:
            return None
        self._known.move_to_end(key)
        return page

    async def _read(self, key: tuple[str, int]) -> JournalPage:
        async with self._turns:
            stream, offset = key
            page = self._page_with(stream, offset + 1)  # which somebody else has read while this waited
            if page is None:
                entries = await self._journal.read(stream, offset, PAGE)
                page = JournalPage(entries, [on_the_wire(event_frame(entry)) for entry in entries])
                if entries and self._reading.get(key) is asyncio.current_task():
                    self._remember(stream, page)
            return page

    def _finished(self, key: tuple[str, int], task: asyncio.Task[JournalPage]) -> None:
        if self._reading.get(key) is task:
            del self._reading[key]
        if not task.cancelled():
            task.exception()  # whoever asked may be gone, so nobody else looks at it

    def _remember(self, stream: str, page: JournalPage) -> None:
        key = (stream, page.entries[0].offset)
        if key in self._known:
            self._drop(key)
        self._known[key] = page
        insort(self._beginnings.setdefault(stream, []), key[1])
        self._size += _size(page)
        while self._size > REMEMBERED_BYTES:
            self._drop(next(iter(self._known)))

    def _drop(self, key: tuple[str, int]) -> None:
        self._size -= _size(self._known.pop(key))
        stream, beginning = key
        beginnings = self._beginnings[stream]
        beginnings.remove(beginning)
        if not beginnings:
            del self._beginnings[stream]


def _size(page: JournalPage) -> int:
    """Each entry is there twice: by itself, and in its frame."""
    return 2 * sum(map(len, page.frames))
