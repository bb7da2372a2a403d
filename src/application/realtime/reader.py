"""How the journal is followed: hints for speed, arithmetic for completeness, the journal for the rest."""

import asyncio
from collections import deque
from collections.abc import Sequence

from application.ports.events import Entry, JournalQueries

PAGE = 250
HINTS_MAX = 1_000


class Reader:
    """Reads one stream from a position on, in order and without a hole; every live reader is one of these.

    Hints arrive through `offer` and may be lost, doubled or reordered. The next offset is taken, a lower one
    dropped; a higher one, or word of a higher head, proves that something is missing, which is then read from the
    journal in its place. At most 1,000 hints wait here: for a slower reader they are dropped and read later.
    """

    def __init__(self, journal: JournalQueries, stream: str, position: int) -> None:
        self._journal = journal
        self.stream = stream
        self.position = position
        self._hints: deque[Entry] = deque()  # a run without holes, though there may be one before it
        self._head = position
        self._news = asyncio.Event()

    def start_at(self, position: int) -> None:
        """Leave out everything up to `position`, or go back to it if the stream ends there."""
        self.position = position

    def offer(self, entry: Entry) -> None:
        """Take a hint. Never waits."""
        last = self._hints[-1].offset if self._hints else self.position
        if entry.offset <= last:
            return
        if entry.offset != last + 1 or len(self._hints) >= HINTS_MAX:
            self._hints.clear()
        self._hints.append(entry)
        self.learn_head(entry.offset)

    def learn_head(self, head: int) -> None:
        """Take word that the stream has reached `head`. Never waits."""
        self._head = max(self._head, head)
        if self._head > self.position:
            self._news.set()

    async def read(self) -> Sequence[Entry]:
        """Wait for what follows the position, advance over it, and hand it out: at least one entry, at most 1,000.

        If the journal cannot be read now, Unavailable; the position stays and the call can be repeated. A call that
        is cancelled loses nothing.
        """
        while True:
            while self._hints and self._hints[0].offset <= self.position:
                self._hints.popleft()
            if self._hints and self._hints[0].offset == self.position + 1:
                entries: Sequence[Entry] = list(self._hints)
                self._hints.clear()
            elif self._head > self.position:
                entries = await self._journal.read(self.stream, self.position, PAGE)
                if not entries:  # a head that the journal, restored from a backup, no longer has
                    self._hints.clear()
                    self._head = self.position
            else:
                self._news.clear()
                await self._news.wait()
                continue
            if entries:
                self.position = entries[-1].offset
                return entries
