"""Attempts at something that another server has to do: when each of them begins, and when there are no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# How much longer a pause may be than its schedule says, so that what failed together is not tried again together.
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Schedule:
    """The `pauses` before the attempts, of which there are as many, and the `lease` of each attempt.

    An attempt whose outcome is not recorded before its lease ends is taken for lost with its process. So the lease has
    to be longer than an attempt may take.
    """

    pauses: Sequence[timedelta]
    lease: timedelta


@dataclass(frozen=True, slots=True)
class Attempts:
    """How many attempts have `begun`, and when the next may begin: `due_at`, or None if there are no more.

    While an attempt is under way, `due_at` is the end of its lease. An example with pauses of 0 s, 5 s and 5 min and a
    lease of 90 s: written at 12:00:00, due at once. The first attempt begins, due at 12:01:30. It fails at 12:00:02,
    due at 12:00:07. The second begins and its process is killed, due at 12:01:37. The third begins and fails: None.
    """

    begun: int
    due_at: datetime | None

    @classmethod
    def planned(cls, schedule: Schedule, now: datetime) -> "Attempts":
        """None has begun yet."""
        return cls(0, now + schedule.pauses[0])

    def begin(self, schedule: Schedule, now: datetime) -> "Attempts":
        """With the next attempt begun. If there is none left, the last one is lost: nothing is due any more."""
        if self.begun >= len(schedule.pauses):
            return self.over()
        return Attempts(self.begun + 1, now + schedule.lease)

    def fail(
        self, schedule: Schedule, now: datetime, chance: float, retry_after: timedelta = timedelta()
    ) -> "Attempts":
        """After the attempt under way has failed; nothing is due any more if it was the last one.

        `chance`, from 0 to 1, is random and says how much longer the pause is. `retry_after` is what the other server
        asked for, which is kept if it is longer than the pause. It counts for a day at most.
        """
        if self.begun >= len(schedule.pauses):
            return self.over()
        pause = schedule.pauses[self.begun] * (1 + JITTER * chance)
        return Attempts(self.begun, now + max(pause, min(retry_after, timedelta(days=1))))

    def over(self) -> "Attempts":
        """No more attempts, however many were planned."""
        return Attempts(self.begun, None)
