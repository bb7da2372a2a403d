"""Values with an end, by channel and key: what one process remembers of them."""

from collections.abc import Sequence
from typing import NamedTuple

from application.ports.events import Signal

SWEEP_AT_LEAST = 1_000


class _Kept(NamedTuple):
    signal: Signal
    ends_at: float


class Values:
    """The newest signal of each key, until it ends. Times are seconds of one clock, which the caller reads.

    What has ended is dropped when the number of values has doubled, so it needs no more room than what has not.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._by_channel: dict[str, set[str]] = {}
        self._sweep_at = SWEEP_AT_LEAST

    def put(self, signal: Signal, ends_at: float, now: float) -> Signal | None:
        """Keep a signal until `ends_at`. Returns the one that it replaces, unless that has ended."""
        place = signal.channel, signal.key
        before = self._kept.get(place)
        self._kept[place] = _Kept(signal, ends_at)
        self._by_channel.setdefault(signal.channel, set()).add(signal.key)
        if ends_at <= now:
            self._drop(place)
        elif len(self._kept) >= self._sweep_at:
            for ended in [place for place, kept in self._kept.items() if kept.ends_at <= now]:
                self._drop(ended)
            self._sweep_at = max(SWEEP_AT_LEAST, 2 * len(self._kept))
        return None if before is None or before.ends_at <= now else before.signal

    def of(self, channel: str, now: float) -> Sequence[tuple[Signal, float]]:
        """The signals of a channel that have not ended, and for how many seconds each is kept yet."""
        kept = [self._kept[channel, key] for key in self._by_channel.get(channel, ())]
        return [(each.signal, each.ends_at - now) for each in kept if each.ends_at > now]

    def __len__(self) -> int:
        return len(self._kept)

    def _drop(self, place: tuple[str, str]) -> None:
        del self._kept[place]
        keys = self._by_channel[place[0]]
        keys.discard(place[1])
        if not keys:
            del self._by_channel[place[0]]
