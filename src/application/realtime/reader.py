"""Follows the journal: hints are fast, consecutive offsets prove completeness, and the journal fills each hole."""

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
    """Entries may be missing before the reader's present `position`: the state has to be read anew."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class JournalReader:
    """Reads one stream from a position on, in order and without a hole. All live delivery reads through it.

    Hints arrive through `offer` and may be lost, doubled or reordered. A hint with the next offset is taken; one with a
    lower offset is dropped. A hint with a higher offset, or a higher head, proves that entries are missing: they are
    read from the journal. For example, at position 3 the hint 4 is taken; the hint 6 then makes it read 5 and 6.

    At most 1,000 hints of at most 1 MiB together wait here. If more arrive, they are dropped, and the entries are read
    from the journal later.

    The reader starts over, and tells so, if it cannot go on from its position: the journal was restored and has another
    lineage, or the next entries are not kept any more. Nothing is returned without the lease.
    """

    def __init__(self, pages: Pages, stream: str, position: int, observer: Observer, lease: Lease) -> None:
        self._pages = pages
        self.lease = lease
        self._observer = observer
        self.stream = stream
        self.position = position
        self._hints: deque[Entry] = deque()  # consecutive offsets; entries may be missing before the first
        self._hints_size = 0
        self._head = position
        self.tail = 0
        self._epoch: str | None = None
        self.started_over: Reason | None = None
        self._news = asyncio.Event()
        self._was_level = False  # entries that are missing before the first time are resumed, not lost

    @property
    def has_begun(self) -> bool:
        """Whether it knows the lineage of the journal, so that its position can be compared with a survey."""
        return self._epoch is not None

    def start_at(self, position: int) -> None:
        """Skip everything up to `position`."""
        self.position = position

    def start_over(self, position: int, reason: Reason) -> None:
        """Go on from `position`, wherever it was before. The next `read` raises StartedOver with the reason."""
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
        """Take note that the stream has reached `head`. Never waits."""
        self._head = max(self._head, head)
        if self._head > self.position:
            self._news.set()

    def learn(self, epoch: str, span: Span, position: int) -> None:
        """Take the lineage of the journal and the span of the stream, asked for when the reader was at `position`."""
        known, self._epoch, self.tail = self._epoch, epoch, span.tail
        if known not in {None, epoch}:
            self.start_over(span.head, "epoch")
        elif span.head < min(position, self.position):  # the reader may have moved on or started over meanwhile
            if known is not None:  # otherwise only the caller's `since` is wrong, and the pages are right
                self._pages.forget()
            self.start_over(span.head, "offset")
        elif span.tail > self.position:
            self.start_over(span.head, "pruned")
        else:
            self.learn_head(span.head)

    async def read(self) -> Sequence[Entry]:
        """Wait for the entries after the position, move the position past them, and return them.

        They are between 1 and 1,000, and end with the entry that reaches 1 MiB at the latest.

        Unavailable if the journal cannot be read now; the position stays, and the call can be repeated. StartedOver,
        once, if the reader cannot go on from its position; the next call goes on. A cancelled call loses nothing.
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
                if not entries:  # they are not kept, or belong to the lineage before a restore: the next check tells
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
