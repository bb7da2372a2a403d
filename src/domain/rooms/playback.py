"""The timeline of a room: what plays, and where it is at any moment, in whole milliseconds on the server's clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.errors import Invalid
from domain.ids import QueueItemId

RATE_MIN, RATE_MAX = 0.25, 3.0
DURATION_MAX_MS = 7 * 24 * 60 * 60 * 1_000
# Everybody starts at a moment that is this far ahead, so that the command has reached all of them by then.
LEAD_MIN_MS, LEAD_DEFAULT_MS, LEAD_MAX_MS = 300, 500, 1_500
_LEAD_BEYOND_TRIP_MS = 150
_MICROSECOND = timedelta(microseconds=1)


class PlaybackStatus(StrEnum):
    """What a room does. `loading` and `waiting` end by themselves: see `Room.starts_by`."""

    IDLE = "idle"
    LOADING = "loading"
    WAITING = "waiting"
    PLAYING = "playing"
    PAUSED = "paused"
    ENDED = "ended"


# In these it plays, or will by itself.
RUNNING = frozenset({PlaybackStatus.LOADING, PlaybackStatus.WAITING, PlaybackStatus.PLAYING})


@dataclass(frozen=True, slots=True)
class Playback:
    """A timeline. Its position is `anchor_position_ms` at `anchor_at`, and moves on from there only while it plays.

    `anchor_at` may lie ahead: until then it stands still. `epoch` rises by one with each change of anything but the
    duration. `item_id` is the item of the queue that plays, None before the first one. `rate` is 0.25 to 3, in
    hundredths. `duration_ms` is the length of the item, None if nobody knows it.
    """

    status: PlaybackStatus
    item_id: QueueItemId | None
    epoch: int
    anchor_position_ms: int
    anchor_at: datetime
    rate: float = 1.0
    duration_ms: int | None = None

    def position_ms(self, now: datetime) -> int:
        """The position at `now`: never past the end, and never before the anchor."""
        position = self.anchor_position_ms
        if self.status is PlaybackStatus.PLAYING and now > self.anchor_at:
            position += (now - self.anchor_at) // _MICROSECOND * self._hundredths // 100_000
        return self.within(position)

    @property
    def ends_at(self) -> datetime | None:
        """The first moment at which it is at its end; None if it does not play, or nobody knows how long it is."""
        if self.status is not PlaybackStatus.PLAYING or self.duration_ms is None:
            return None
        left = max(0, self.duration_ms - self.anchor_position_ms)
        return self.anchor_at + -(-left * 100_000 // self._hundredths) * _MICROSECOND

    def within(self, position_ms: int) -> int:
        """The position, or the end if it is past that."""
        return position_ms if self.duration_ms is None else min(position_ms, self.duration_ms)

    def turned(self, status: PlaybackStatus, position_ms: int, anchor_at: datetime) -> "Playback":
        """The next epoch: with this status, at this position since `anchor_at`."""
        return replace(
            self,
            status=status,
            epoch=self.epoch + 1,
            anchor_position_ms=self.within(position_ms),
            anchor_at=anchor_at,
        )

    def snapshot(self) -> Mapping[str, object]:
        return {
            "status": self.status,
            "item_id": self.item_id,
            "epoch": self.epoch,
            "anchor_position_ms": self.anchor_position_ms,
            "anchor_at": self.anchor_at,
            "rate": self.rate,
            "duration_ms": self.duration_ms,
        }

    @property
    def _hundredths(self) -> int:
        return round(self.rate * 100)


def lead_ms(round_trips_ms: Iterable[int]) -> int:
    """How far ahead a start lies: time for the slowest of these round trips to arrive, but 300 to 1,500 ms."""
    slowest = max(round_trips_ms, default=None)
    if slowest is None:
        return LEAD_DEFAULT_MS
    return max(LEAD_MIN_MS, min(slowest + _LEAD_BEYOND_TRIP_MS, LEAD_MAX_MS))


def checked_rate(rate: float) -> float:
    """The rate in hundredths; Invalid if it is not 0.25 to 3."""
    if not RATE_MIN <= rate <= RATE_MAX:
        raise Invalid("The rate must be from 0.25 to 3.", pointer="/rate")
    return round(rate, 2)


def checked_position(position_ms: int) -> int:
    """The position; Invalid if it is negative, or further than any item is long."""
    if not 0 <= position_ms <= DURATION_MAX_MS:
        raise Invalid("The position must be from 0 ms to 7 days.", pointer="/position_ms")
    return position_ms


def checked_duration(duration_ms: int | None) -> int | None:
    """The duration; Invalid if it is not 1 ms to 7 days."""
    if duration_ms is not None and not 0 < duration_ms <= DURATION_MAX_MS:
        raise Invalid("The duration must be from 1 ms to 7 days.", pointer="/duration_ms")
    return duration_ms
