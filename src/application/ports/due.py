"""What time does to things: which are due, and when the next one will be."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from application.ports.events import Signal

DUE = "due"
"""The topic on which is told that something is due sooner than everybody looks again."""
LOOK = timedelta(seconds=1)
"""So often everybody looks who waits for what is due."""


class Late(Struct, frozen=True):
    """A thing that is due, and since when."""

    id: UUID
    due_at: datetime


class Ahead(Struct, frozen=True):
    """When the first thing of all is due, how many are due now, and when the next one will be.

    A time is None if there is no such thing.
    """

    first_at: datetime | None
    late: int
    next_at: datetime | None


class Deadlines(Protocol):
    """When the things of one kind are due: their `due_at`, or None for never. It is theirs alone to change."""

    async def look(self, now: datetime, most: int) -> Ahead:
        """What is behind and ahead of this moment; of those that are due now, no more than `most` are counted."""
        ...

    async def late(self, now: datetime, most: int, besides: Collection[Late] = ()) -> Sequence[Late]:
        """At most `most` things that are due at `now` and not among `besides`, the longest due first.

        Things that somebody is changing, or asking for here, at this very moment are passed over. So nobody waits, and
        of those who ask together few get the same.
        """
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """One kind of things that time does something to: its `name`, when they are due, and what happens then.

    `elapse(id, now)` is a use case: in one unit of work it gets the thing, lets it `elapse(now)` and saves it. That
    does all that is due at `now`, and leaves a `due_at` behind that is later, or None. It may be called for one
    deadline several times, at once too: to do nothing is right then, and so is Stale or NotFound.
    """

    name: str
    deadlines: Deadlines
    elapse: Callable[[UUID, datetime], Awaitable[None]]


def alarms(times: Iterable[datetime], written_at: datetime) -> Sequence[Signal]:
    """What to publish of times that were written at that moment: the first of them, if no look comes before it."""
    first = min(times, default=None)
    if first is None or first - written_at >= LOOK:
        return ()
    return [Signal(DUE, "", 0, Raw(msgspec.json.encode(first)))]


def alarm_of(signal: Signal) -> datetime:
    """The time that such a signal tells of."""
    return msgspec.json.decode(signal.data, type=datetime)
