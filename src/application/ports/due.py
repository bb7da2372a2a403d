"""Deadlines: which things are due, and when the next one will be."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from application.ports.events import Signal

DUE = "due"
"""The topic of signals for deadlines that come before the next regular look."""
LOOK = timedelta(seconds=1)
"""The longest time between two looks of a process."""


class Late(Struct, frozen=True):
    """A thing that is due, and the time since which it is."""

    id: UUID
    due_at: datetime


class Ahead(Struct, frozen=True):
    """The earliest deadline of all, the number of things that are due now, and the next deadline after now.

    A time is None if there is no such deadline.
    """

    first_at: datetime | None
    late: int
    next_at: datetime | None


class Deadlines(Protocol):
    """The deadlines of the things of one kind: their `due_at`, or None for never. Only the thing itself changes it."""

    async def look(self, now: datetime, most: int) -> Ahead:
        """The deadlines around `now`. At most `most` of the things that are due are counted."""
        ...

    async def late(self, now: datetime, most: int, besides: Collection[Late] = ()) -> Sequence[Late]:
        """At most `most` things that are due at `now` and not among `besides`, the longest due first.

        Things that another process is changing, or asking for here, at this very moment are skipped. So no caller
        waits, and callers that ask at the same time get few of the same things.
        """
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """One kind of things with deadlines: its `name`, its `deadlines`, and `elapse`, which runs when one is due.

    `elapse(id, now)` is a use case: in one unit of work it gets the thing, calls its `elapse(now)` and saves it. It
    does all that is due at `now`, and leaves a later `due_at`, or None. It may be called several times for one
    deadline, even at the same time. All calls but one then do nothing, or raise Stale or NotFound.

    A process runs `at_once` of the kind together, and each of them for `deadline_seconds` at most. A kind that calls
    other servers needs more of both, because some of them hang. Its `elapse` has two units of work: the first one
    begins an attempt (`domain.attempts`), the second one records its outcome, and the call is between them.
    """

    name: str
    deadlines: Deadlines
    elapse: Callable[[UUID, datetime], Awaitable[None]]
    at_once: int = 4
    deadline_seconds: float = 5.0


def alarms(times: Iterable[datetime], written_at: datetime | None) -> Sequence[Signal]:
    """The signals to publish for deadlines that were written at `written_at`: one for the first of them.

    There is none if that deadline is so far ahead that every process looks before it anyway. `written_at` is None if no
    event says when they were written; then there always is one.
    """
    first = min(times, default=None)
    if first is None or (written_at is not None and first - written_at >= LOOK):
        return ()
    return [Signal(DUE, "", 0, Raw(msgspec.json.encode(first)))]


def alarm_of(signal: Signal) -> datetime:
    """The deadline in a signal of `alarms`."""
    return msgspec.json.decode(signal.data, type=datetime)
