"""The aggregate of an inbox: what its owner wants to be told, on which channels and when, and what is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from domain.channels import account_stream
from domain.ids import AccountId
from domain.kernel import Aggregate, EventType, declared

# When those who want one letter a day get it, by the clock of their time zone.
DAILY_AT = time(8)
# The precision of all times.
TICK = timedelta(milliseconds=1)


class Medium(StrEnum):
    """A way of telling somebody."""

    IN_APP = "in_app"
    EMAIL = "email"


class Digest(StrEnum):
    """How much is told in one letter: each thing at once, or what came together in an hour or a day."""

    OFF = "off"
    HOURLY = "hourly"
    DAILY = "daily"


class QuietHours(NamedTuple):
    """The time of day in which no letter is sent, by the clock of the owner. It may begin before midnight."""

    begin: time
    end: time

    def end_of(self, at: datetime, zone: ZoneInfo) -> datetime | None:
        """When the quiet hours end in which `at` is; None if it is in none."""
        now = at.astimezone(zone).time()
        has_begun, goes_on = self.begin <= now, now < self.end
        over_midnight = self.begin >= self.end
        is_quiet = (has_begun or goes_on) if over_midnight else (has_begun and goes_on)
        return _next(self.end, at, zone) if is_quiet else None


def _next(clock: time, after: datetime, zone: ZoneInfo) -> datetime:
    """The next time at which the clocks of this zone show `clock`."""
    day = after.astimezone(zone).date()
    while (found := datetime.combine(day, clock, zone).astimezone(UTC)) <= after:
        day += timedelta(days=1)
    return found


@dataclass(slots=True)
class Inbox(Aggregate):
    """What an account wants to be told, and up to when it has read everything.

    `choices` holds, for each type of notification, the channels that the owner has chosen for it. A type without a
    choice is told as its row says. Everything that has been unread since `read_before` or longer is read.
    """

    resource_type: ClassVar[str] = "inbox"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType(
            "inbox.changed",
            "account",
            "The owner wants to be told of other things, or otherwise.",
            changes=("choices", "quiet_hours", "digest"),
        ),
        EventType(
            "inbox.read",
            "account",
            "All notifications up to a time were read, on some device.",
            {"before": "Up to when they were made, or made unread."},
        ),
    )

    id: AccountId
    choices: Mapping[str, frozenset[Medium]] = field(default_factory=dict)
    quiet_hours: QuietHours | None = None
    digest: Digest = Digest.OFF
    read_before: datetime | None = None

    def choose(
        self,
        choices: Mapping[str, frozenset[Medium]],
        quiet_hours: QuietHours | None,
        digest: Digest,
        at: datetime,
    ) -> None:
        """Replace everything that the owner wants."""
        new = {"choices": choices, "quiet_hours": quiet_hours, "digest": digest}
        old = {name: getattr(self, name) for name in new}
        changes = {name: (_plain(old[name]), _plain(new[name])) for name in new if old[name] != new[name]}
        if changes:
            self.choices, self.quiet_hours, self.digest = choices, quiet_hours, digest
            self._announce("inbox.changed", account_stream(self.id), self.id, at, self.id, changes)

    def read(self, before: datetime, at: datetime) -> None:
        """Mark everything up to `before` as read, which is now at the latest. What comes later stays unread."""
        before = min(before, at)
        if self.read_before is None or before > self.read_before:
            self.read_before = before
            self._announce("inbox.read", account_stream(self.id), self.id, at, self.id, data={"before": before})

    def unread_at(self, now: datetime) -> datetime:
        """The time of what becomes unread now, which is after everything that was read together.

        That may lie ahead: clocks of processes differ.
        """
        return now if self.read_before is None else max(now, self.read_before + TICK)

    def letter_at(self, now: datetime, zone: ZoneInfo) -> datetime:
        """When a letter about what happens now is sent: now, or later if the owner wants that."""
        at = now
        if self.digest is Digest.HOURLY:
            at = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        elif self.digest is Digest.DAILY:
            at = _next(DAILY_AT, now, zone)
        quiet_until = self.quiet_hours.end_of(at, zone) if self.quiet_hours else None
        return quiet_until or at


def _plain(value: object) -> object:
    """The value in a form whose JSON is the same each time."""
    if isinstance(value, QuietHours):
        return {"begin": f"{value.begin:%H:%M}", "end": f"{value.end:%H:%M}"}
    if isinstance(value, Mapping):
        return {name: sorted(channels) for name, channels in sorted(value.items())}
    return value
