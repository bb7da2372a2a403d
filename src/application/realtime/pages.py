"""Pages of the journal for connections that missed entries; connections that missed the same entries share one read."""

import asyncio
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Sequence

from application.ports.events import Entry, JournalQueries
from application.realtime.piece import Piece, pieces
from application.realtime.wire import WireFormat

PAGE = 250
READS_AT_ONCE = 8
REMEMBERED_BYTES = 16 * 1024 * 1024


NOTHING = Piece(())


class Pages:
    """Reads pages of the journal, at most 8 at a time, so that a storm of resumes does not occupy the whole store.

    Entries never change within one lineage of the journal, so up to 16 MiB of pages are remembered. A page that is
    remembered, or is being read, serves every caller that asks for it. Pages are returned in pieces: a connection that
    waits for a slow peer holds one piece at most.
    """

    def __init__(self, journal: JournalQueries) -> None:
        self._journal = journal
        self._turns = asyncio.Semaphore(READS_AT_ONCE)
        # Pieces by stream and offset of the first entry, the last used at the end. A cache of a library does not fit:
        # dropping a piece has to drop its offset from `_beginnings` too.
        self._known: OrderedDict[tuple[str, int], Piece] = OrderedDict()
        # The offsets at which the remembered pieces of each stream begin, in order.
        self._beginnings: dict[str, list[int]] = {}
        self._size = 0
        self._reading: dict[tuple[str, int], asyncio.Task[Piece]] = {}

    def forget(self) -> None:
        """Forget every page, because the lineage of the journal has changed."""
        self._known.clear()
        self._beginnings.clear()
        self._reading.clear()
        self._size = 0

    async def after(self, stream: str, offset: int) -> Sequence[Entry]:
        """The first entries of a stream after an offset, if there are any; Unavailable if they cannot be read."""
        piece = await self._piece_after(stream, offset)
        return piece.entries[_seen(piece, offset) :]

    async def framed_after(
        self, stream: str, offset: int, format: WireFormat
    ) -> tuple[Sequence[Entry], Sequence[bytes]]:
        """The entries that `after` returns, and the frame of each in this format."""
        piece = await self._piece_after(stream, offset)
        before = piece.size
        frames = piece.frames(format)
        if piece.size > before and self._known.get((stream, piece.entries[0].offset)) is piece:
            self._grew(piece.size - before)
        seen = _seen(piece, offset)
        return piece.entries[seen:], frames[seen:]

    async def _piece_after(self, stream: str, offset: int) -> Piece:
        piece = self._piece_with(stream, offset + 1)
        if piece is not None:
            return piece
        key = (stream, offset)
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(key))
            task.add_done_callback(lambda done: self._finished(key, done))
        # Shielded: other callers may wait for the same page when this one is cancelled.
        return await asyncio.shield(task)

    def _piece_with(self, stream: str, offset: int) -> Piece | None:
        beginnings = self._beginnings.get(stream, ())
        before = bisect_right(beginnings, offset)
        if before == 0:
            return None
        key = (stream, beginnings[before - 1])
        piece = self._known[key]
        if piece.entries[-1].offset < offset:
            return None
        self._known.move_to_end(key)
        return piece

    async def _read(self, key: tuple[str, int]) -> Piece:
        """Read a page, and return its first piece."""
        async with self._turns:
            stream, offset = key
            known = self._piece_with(stream, offset + 1)  # another task may have read it while this one waited
            if known is not None:
                return known
            found = list(pieces(await self._journal.read(stream, offset, PAGE)))
            if self._reading.get(key) is asyncio.current_task():  # `forget` was not called meanwhile
                for piece in reversed(found):
                    self._remember(stream, piece)
            return found[0] if found else NOTHING

    def _finished(self, key: tuple[str, int], task: asyncio.Task[Piece]) -> None:
        if self._reading.get(key) is task:
            del self._reading[key]
        if not task.cancelled():
            task.exception()  # every caller may be gone, and asyncio would complain that nobody looked at it

    def _remember(self, stream: str, piece: Piece) -> None:
        key = (stream, piece.entries[0].offset)
        if key in self._known:
            self._drop(key)
        self._known[key] = piece
        insort(self._beginnings.setdefault(stream, []), key[1])
        self._grew(piece.size)

    def _grew(self, size: int) -> None:
        self._size += size
        while self._size > REMEMBERED_BYTES:
            self._drop(next(iter(self._known)))

    def _drop(self, key: tuple[str, int]) -> None:
        self._size -= self._known.pop(key).size
        stream, beginning = key
        beginnings = self._beginnings[stream]
        beginnings.remove(beginning)
        if not beginnings:
            del self._beginnings[stream]


def _seen(piece: Piece, offset: int) -> int:
    """How many entries of a piece are at or before an offset."""
    return max(0, offset + 1 - piece.entries[0].offset) if piece.entries else 0
