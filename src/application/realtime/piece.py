"""Consecutive entries to be sent: encoded once for each wire format, however many connections get them."""

from collections.abc import Callable, Iterator, Sequence

from application.ports.events import Entry
from application.realtime.wire import WireFormat

# A piece is written to every connection before it is checked which of them cannot keep up.
PIECE_BYTES = 65_536


class Piece:
    """Consecutive entries of a stream, with their frames in each format that was asked for.

    `size` is the bytes of the entries and of all these frames.
    """

    __slots__ = ("_frames", "entries", "size")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._frames: dict[WireFormat, Sequence[bytes]] = {}
        self.size = sum(len(entry.body) for entry in entries)

    def frames(self, format: WireFormat) -> Sequence[bytes]:
        """One frame for each entry; a frame is empty if the format does not have such entries."""
        frames = self._frames.get(format)
        if frames is None:
            frames = self._frames[format] = [format.entry(entry) for entry in self.entries]
            self.size += sum(map(len, frames))
        return frames


def pieces(entries: Sequence[Entry], is_last: Callable[[Entry], bool] = lambda _: False) -> Iterator[Piece]:
    """Cuts entries into pieces. A piece ends with the entry that reaches 64 KiB, or with one that `is_last`."""
    start = size = 0
    for end, entry in enumerate(entries, 1):
        size += len(entry.body)
        if size >= PIECE_BYTES or end == len(entries) or is_last(entry):
            yield Piece(entries[start:end])
            start, size = end, 0
