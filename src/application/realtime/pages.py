"""Pages of the journal for those who missed something: read once for everybody who missed the same."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.events import Entry, JournalQueries
from application.realtime.frames import event_frame, on_the_wire
from application.realtime.reader import PAGE

READS_AT_ONCE = 8
REMEMBERED_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Consecutive entries of a stream, each with the frame that it is sent as."""

    entries: Sequence[Entry]
    frames: Sequence[bytes]
    size: int


class Pages:
    """Reads pages of the journal, at most 8 at a time, so that a storm of resumes leaves the store to others.

    What is read is a fact as long as the journal is the same, so it is remembered, up to 32 MiB of it; and whoever asks
    for a page that is being read gets the same one.
    """

    def __init__(self, journal: JournalQueries) -> None:
        self._journal = journal
        self._turns = asyncio.Semaphore(READS_AT_ONCE)
        self._known: OrderedDict[tuple[str, int], JournalPage] = OrderedDict()
        self._size = 0
        self._reading: dict[tuple[str, int], asyncio.Task[JournalPage]] = {}

    def forget(self) -> None:
        """Remember nothing: what was read were the facts of another journal."""
        self._known.clear()
        self._reading.clear()
        self._size = 0

    async def after(self, stream: str, offset: int) -> JournalPage:
        """The entries of a stream that follow an offset, if there are any; Unavailable if that cannot be read."""
        key = (stream, offset)
        page = self._known.get(key)
        if page is not None:
            self._known.move_to_end(key)
            return page
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(key))
            task.add_done_callback(lambda done: self._finished(key, done))
        # Shielded: others may wait for the same page when this caller leaves.
        return await asyncio.shield(task)

    async def _read(self, key: tuple[str, int]) -> JournalPage:
        async with self._turns:
            entries = await self._journal.read(*key, PAGE)
        frames = [on_the_wire(event_frame(entry)) for entry in entries]
        # Each is there twice: by itself, and in its frame.
        return JournalPage(entries, frames, 2 * sum(map(len, frames)))

    def _finished(self, key: tuple[str, int], task: asyncio.Task[JournalPage]) -> None:
        if self._reading.get(key) is not task:
            return
        del self._reading[key]
        if task.cancelled() or task.exception() is not None or not task.result().entries:
            return
        self._known[key] = task.result()
        self._size += task.result().size
        while self._size > REMEMBERED_BYTES:
            self._size -= self._known.popitem(last=False)[1].size
