"""How the journal is followed: hints for speed, arithmetic for completeness, the journal for the rest."""

import asyncio
from collections import deque
from collections.abc import Sequence

from application.lease import Lease
from application.ports.events import Entry, Span
from application.ports.observer import Observer
from application.realtime.frames import Reason
from application.realtime.pages import Pages

HINTS_MAX = 1_000
HINTS_MAX_BYTES = 1024 * 1024


class StartedOver(Exception):
    """What was read does not lead to where the reader goes on, its `position` now: the state has to be read anew."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class JournalReader:
    """Reads one stream from a position on, in order and without a hole; every live reader is one of these.

    Hints arrive through `offer` and may be lost, doubled or reordered. The next offset is taken, a lower one
    dropped; a higher one, or word of a higher head, proves that something is missing, which is then read from the
    journal in its place. At most 1,000 hints wait here, and at most 1 MiB of them: for a slower reader they are dropped
    and read later.

    That is impossible if the journal was restored, and so is another one, or if the next entries are kept no longer.
    Then the reader starts over, and says so. Nothing is handed out without the lease.
    """

    def __init__(self, pages: Pages, stream: str, position: int, observer: Observer, lease: Lease) -> None:
        self._pages = pages
        self.lease = lease
        self._observer = observer
        self.stream = stream
        self.position = position
        self._hints: deque[Entry] = deque()  # a run without holes, though there may be one before it
        self._hints_size = 0
        self._head = position
        self.tail = 0
        self._epoch: str | None = None
        self.started_over: Reason | None = None
        self._news = asyncio.Event()
        self._was_level = False  # what is missing before it ever was, nobody lost

    @property
    def has_begun(self) -> bool:
        """Whether it was told of the journal, and so has a position there that can be compared."""
        return self._epoch is not None

    def start_at(self, position: int) -> None:
        """Leave out everything up to `position`."""
        self.position = position

    def start_over(self, position: int, reason: Reason) -> None:
        """Go on from `position`, whatever was read before; the next `read` tells why."""
        self._drop_hints()
        self.position = self._head = position
        self.started_over = reason
        self._news.set()

    def offer(self, entry: Entry) -> None:
        """Take a hint. Never waits."""
        last = self._hints[-1].offset if self._hints else self.position
        if entry.offset <= last:
            return
        if entry.offset != last + 1 or len(self._hints) >= HINTS_MAX or self._hints_size >= HINTS_MAX_BYTES:
            self._drop_hints()
        self._hints.append(entry)
        self._hints_size += len(entry.body)
        self.learn_head(entry.offset)

    def learn_head(self, head: int) -> None:
        """Take word that the stream has reached `head`. Never waits."""
        self._head = max(self._head, head)
        if self._head > self.position:
            self._news.set()

    def learn(self, epoch: str, span: Span, position: int) -> None:
        """Take word of the lineage and of what is kept of the stream, asked for when this was at `position`."""
        known, self._epoch, self.tail = self._epoch, epoch, span.tail
        if known not in {None, epoch}:
            self.start_over(span.head, "epoch")
        elif span.head < min(position, self.position):  # it may have gone on meanwhile, or started over
            if known is not None:  # or else it is only its caller who believes in another head
                self._pages.forget()
            self.start_over(span.head, "offset")
        elif span.tail > self.position:
            self.start_over(span.head, "pruned")
        else:
            self.learn_head(span.head)

    async def read(self) -> Sequence[Entry]:
        """Wait for what follows the position, advance over it, and hand it out: at least one entry, and at most 1,000.

        They are at most 1 MiB and the entry that goes past that.

        If the journal cannot be read now, Unavailable; the position stays and the call can be repeated. StartedOver,
        once, if the reader cannot go on where it was; the next call goes on. A call that is cancelled loses nothing.
        """
        while True:
            if not self.lease.is_held:
                await self.lease.held()
            if self.started_over is not None:
                reason, self.started_over = self.started_over, None
                raise StartedOver(reason)
            while self._hints and self._hints[0].offset <= self.position:
                self._hints_size -= len(self._hints.popleft().body)
            if self._hints and self._hints[0].offset == self.position + 1:
                entries: Sequence[Entry] = list(self._hints)
                self._drop_hints()
            elif self._head > self.position:
                if self._was_level:
                    self._observer.happened("gap", "hint" if self._hints else "head")
                entries = await self._pages.after(self.stream, self.position)
                if self.started_over is not None:
                    continue
                if not entries:  # none are kept, or they are those of a journal before a restore: the next check tells
                    self._drop_hints()
                    self._head = self.position
                elif entries[0].offset > self.position + 1:
                    self.start_over(entries[0].offset - 1, "pruned")
                    self.learn_head(entries[-1].offset)
                    continue
            else:
                self._was_level = True
                self._news.clear()
                await self._news.wait()
                continue
            if entries:
                self.position = entries[-1].offset
                return entries

    def _drop_hints(self) -> None:
        self._hints.clear()
        self._hints_size = 0
