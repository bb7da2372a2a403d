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
class Piece:
    """Consecutive entries of a stream, each with the frame that it is sent as: up to 64 KiB, and one that goes past."""

    entries: Sequence[Entry]
    frames: Sequence[bytes]

    def behind(self, offset: int) -> "Piece":
        """What of this follows an offset."""
        seen = offset + 1 - self.entries[0].offset
        return self if seen <= 0 else Piece(self.entries[seen:], self.frames[seen:])


NOTHING = Piece((), ())


class Pages:
    """Reads pages of the journal, at most 8 at a time, so that a storm of resumes leaves the store to others.

    What is read is a fact as long as the journal is the same, so it is remembered, up to 16 MiB of it. Whoever asks for
    what is remembered, or is being read, gets the same. It is handed out in pieces: nobody holds more than one while
    they wait for a peer that reads nothing.
    """

    def __init__(self, journal: JournalQueries) -> None:
        self._journal = journal
        self._turns = asyncio.Semaphore(READS_AT_ONCE)
        # By the offset of its first entry, the last used at the end; and these offsets of each stream in order.
        self._known: OrderedDict[tuple[str, int], Piece] = OrderedDict()
        self._beginnings: dict[str, list[int]] = {}
        self._size = 0
        self._reading: dict[tuple[str, int], asyncio.Task[Piece]] = {}

    def forget(self) -> None:
        """Remember nothing: what was read were the facts of another journal."""
        self._known.clear()
        self._beginnings.clear()
        self._reading.clear()
        self._size = 0

    async def after(self, stream: str, offset: int) -> Piece:
        """The first entries of a stream that follow an offset, if there are any; Unavailable if they cannot be read."""
        piece = self._piece_with(stream, offset + 1)
        if piece is None:
            key = (stream, offset)
            task = self._reading.get(key)
            if task is None:
                task = self._reading[key] = asyncio.create_task(self._read(key))
                task.add_done_callback(lambda done: self._finished(key, done))
            # Shielded: others may wait for the same page when this caller leaves.
            piece = await asyncio.shield(task)
        return piece.behind(offset) if piece.entries else NOTHING

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
            known = self._piece_with(stream, offset + 1)  # which somebody else has read while this waited
            if known is not None:
                return known
            pieces = _pieces(await self._journal.read(stream, offset, PAGE))
            if self._reading.get(key) is asyncio.current_task():  # and was not forgotten meanwhile
                for piece in reversed(pieces):
                    self._remember(stream, piece)
            return pieces[0] if pieces else NOTHING

    def _finished(self, key: tuple[str, int], task: asyncio.Task[Piece]) -> None:
        if self._reading.get(key) is task:
            del self._reading[key]
        if not task.cancelled():
            task.exception()  # whoever asked may be gone, so nobody else looks at it

    def _remember(self, stream: str, piece: Piece) -> None:
        key = (stream, piece.entries[0].offset)
        if key in self._known:
            self._drop(key)
        self._known[key] = piece
        insort(self._beginnings.setdefault(stream, []), key[1])
        self._size += _size(piece)
        while self._size > REMEMBERED_BYTES:
            self._drop(next(iter(self._known)))

    def _drop(self, key: tuple[str, int]) -> None:
        self._size -= _size(self._known.pop(key))
        stream, beginning = key
        beginnings = self._beginnings[stream]
        beginnings.remove(beginning)
        if not beginnings:
            del self._beginnings[stream]


def _pieces(entries: Sequence[Entry]) -> list[Piece]:
    pieces: list[Piece] = []
    begin = size = 0
    frames: list[bytes] = []
    for end, entry in enumerate(entries, 1):
        frames.append(on_the_wire(event_frame(entry)))
        size += len(frames[-1])
        if size >= PIECE_BYTES or end == len(entries):
            pieces.append(Piece(entries[begin:end], frames))
            begin, size, frames = end, 0, []
    return pieces


def _size(piece: Piece) -> int:
    """Each entry is there twice: by itself, and in its frame."""
    return 2 * sum(map(len, piece.frames))
