"""Consecutive entries on their way out: encoded once for each wire format, however many connections get them."""

from collections.abc import Callable, Iterator, Sequence

from application.ports.events import Entry
from application.realtime.wire import WireFormat

# As much as is handed out at once, and goes out to everybody before it is asked who cannot keep up.
PIECE_BYTES = 65_536


class Piece:
    """Consecutive entries of a stream, and each as every format that was asked for has it.

    `size` is how many bytes that is altogether.
    """

    __slots__ = ("_frames", "entries", "size")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._frames: dict[WireFormat, Sequence[bytes]] = {}
        self.size = sum(len(entry.body) for entry in entries)

    def frames(self, format: WireFormat) -> Sequence[bytes]:
        """One for each entry, empty where the format has no word for it."""
        frames = self._frames.get(format)
        if frames is None:
            frames = self._frames[format] = [format.entry(entry) for entry in self.entries]
            self.size += sum(map(len, frames))
        return frames


def pieces(entries: Sequence[Entry], is_last: Callable[[Entry], bool] = lambda _: False) -> Iterator[Piece]:
    """Entries in pieces of up to 64 KiB and the entry that goes past; one ends after each that `is_last`."""
    start = size = 0
    for end, entry in enumerate(entries, 1):
        size += len(entry.body)
        if size >= PIECE_BYTES or end == len(entries) or is_last(entry):
            yield Piece(entries[start:end])
            start, size = end, 0
