"""How live readers follow the journal: hints for speed, arithmetic for completeness, the journal for the rest."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from application.ports.events import Broker, Entry, JournalQueries
from domain.errors import DomainError

PAGE = 500
HINTS_MAX = 1_000
HEAD_CHECK_SECONDS = 2.0
RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


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


class Hub:
    """Connects the readers of this process with the broker, and checks the heads of all streams that are followed.

    The check, every two seconds and whenever hints may have been lost, is what finds a lost last hint.
    """

    def __init__(self, journal: JournalQueries, broker: Broker) -> None:
        self._journal = journal
        self._broker = broker
        self._readers: dict[str, set[Reader]] = {}
        self._check = asyncio.Event()
        broker.listen(self._hint, self._check.set)

    @asynccontextmanager
    async def reader(self, stream: str, since: int | None) -> AsyncIterator[Reader]:
        """A reader of `stream` that starts behind offset `since`, or at the present head without one.

        A `since` beyond the head belongs to another lineage of the journal; then, too, it starts at the head, and the
        caller sees by `position` that nothing could be resumed.
        """
        # Following begins before the head is read, so nothing falls between the two.
        reader = Reader(self._journal, stream, since or 0)
        followers = self._readers.setdefault(stream, set())
        if not followers:
            self._broker.follow(stream)
        followers.add(reader)
        try:
            head = (await self._journal.heads([stream]))[stream]
            if since is None or since > head:
                reader.start_at(head)
            reader.learn_head(head)
            yield reader
        finally:
            followers.discard(reader)
            if not followers and self._readers.pop(stream, None) is not None:
                self._broker.unfollow(stream)

    def _hint(self, entry: Entry) -> None:
        for reader in self._readers.get(entry.stream, ()):
            reader.offer(entry)

    async def check_heads(self) -> None:
        """Tell every reader how far its stream has come."""
        if not self._readers:
            return
        for stream, head in (await self._journal.heads(list(self._readers))).items():
            for reader in self._readers.get(stream, ()):
                reader.learn_head(head)

    async def run(self) -> None:
        """Check the heads until cancelled; while the journal is away, keep trying."""
        while True:
            try:
                async with asyncio.timeout(HEAD_CHECK_SECONDS):
                    await self._check.wait()
            except TimeoutError:
                pass
            self._check.clear()
            try:
                await self.check_heads()
            except DomainError as problem:
                log.warning("cannot check the heads of the followed streams: %s", problem)
                await asyncio.sleep(RETRY_SECONDS)
                self._check.set()
