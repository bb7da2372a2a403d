"""Mail that leaves the house: a letter to one address, from the moment it is written until a mail server has it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.attempts import Attempts, Schedule
from domain.ids import MailId

# 24 hours together, or up to 28.8 with the jitter.
SCHEDULE = Schedule(
    [
        timedelta(),
        timedelta(seconds=10),
        timedelta(seconds=50),
        timedelta(minutes=4),
        timedelta(minutes=15),
        timedelta(minutes=40),
        *(timedelta(hours=hours) for hours in (1, 2, 4, 6, 10)),
    ],
    lease=timedelta(seconds=90),
)
REASON_MAX = 200
LOST = "The process ended before it knew the outcome."


@dataclass(slots=True, kw_only=True)
class Mail:
    """A letter that is sent, or tried again, until a server has accepted it or there are no more attempts.

    It is no aggregate: nobody is told of it by an event. `letter` is the name of the letter. `hidden` is its address
    and content, encrypted; it is dropped as soon as nobody needs it, so that no address is kept. `last_error` is why
    the last attempt failed. Nothing is due once it was `sent_at` or `given_up_at`.
    """

    id: MailId
    letter: str
    hidden: bytes | None
    created_at: datetime
    attempts: Attempts
    sent_at: datetime | None = None
    given_up_at: datetime | None = None
    last_error: str | None = None

    @classmethod
    def write(cls, id: MailId, letter: str, hidden: bytes, now: datetime) -> "Mail":
        return cls(id=id, letter=letter, hidden=hidden, created_at=now, attempts=Attempts.planned(SCHEDULE, now))

    @property
    def due_at(self) -> datetime | None:
        return self.attempts.due_at

    @property
    def is_over(self) -> bool:
        return self.due_at is None

    def begin(self, now: datetime) -> bool:
        """Begin the next attempt; False if none may begin now. After a lost last attempt the mail is given up."""
        if self.due_at is None or self.due_at > now:
            return False
        self.attempts = self.attempts.begin(SCHEDULE, now)
        if self.is_over:
            self._give_up(now, LOST)
        return not self.is_over

    def accept(self, now: datetime) -> None:
        """A server has accepted it."""
        if self.sent_at is None:
            self.attempts, self.sent_at, self.given_up_at, self.hidden = self.attempts.over(), now, None, None

    def fail(self, attempt: int, now: datetime, reason: str, for_good: bool, chance: float) -> None:
        """The attempt of this number failed. If that is for good, or it was the last one, the mail is given up.

        Nothing happens if the attempt was taken for lost and another one has begun since.
        """
        if self.is_over or attempt != self.attempts.begun:
            return
        self.attempts = self.attempts.over() if for_good else self.attempts.fail(SCHEDULE, now, chance)
        self.last_error = reason[:REASON_MAX]
        if self.is_over:
            self._give_up(now, self.last_error)

    def _give_up(self, now: datetime, reason: str) -> None:
        self.given_up_at, self.last_error, self.hidden = now, reason, None
