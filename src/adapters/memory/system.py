"""A clock that stands still until it is moved, and predictable identifiers."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from application.ports.system import Clock, Ids

_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class MovableClock(Clock):
    """Shows the given time until it is moved."""

    def __init__(self, now: datetime = _START) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, duration: timedelta) -> None:
        """Move by `duration`; backwards if it is negative."""
        self._now += duration


class SequentialIds(Ids):
    """Consecutive identifiers of version 7, a millisecond apart, the same in every run."""

    def __init__(self, start: datetime = _START) -> None:
        self._next = int(start.timestamp() * 1000)

    def new(self) -> UUID:
        milliseconds, self._next = self._next, self._next + 1
        return UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62)
