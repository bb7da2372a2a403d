"""Consumers of the journal, and where each of them has come to in each stream."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from msgspec import Raw, Struct

from application.ports.events import EventView, Signal

NEWS = "consumers"
"""The topic on which is told that there is news for some consumer."""
NEWS_SIGNAL = Signal(NEWS, "", 0, Raw(b"null"))

W_contra = TypeVar("W_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Consumer(Generic[W_contra]):
    """One follow-up of events: its `name`, the event types that it `wants`, and its `effect`.

    `effect(work, event, now)` notes what has to change in an open unit of work, and returns whether that is all. If
    not, this piece is applied and the effect is asked again, until it is; so it must find out for itself what is left
    to do. It meets the events of a stream one after the other in their order, each of them once.
    """

    name: str
    wants: frozenset[str]
    effect: Callable[[W_contra, EventView, datetime], Awaitable[bool]]


def wanting(consumers: Iterable[Consumer[W_contra]]) -> Mapping[str, Sequence[str]]:
    """The names of the consumers that want each type of event; types that nobody wants are missing."""
    found: dict[str, list[str]] = {}
    for consumer in consumers:
        for type in consumer.wants:
            found.setdefault(type, []).append(consumer.name)
    return found


class Cursor(Struct, frozen=True):
    """How far a consumer has come in a stream that has news for it: everything up to `position` is done.

    `version` rises with every change of it. `failures` counts attempts at the next event that failed one after the
    other.
    """

    consumer: str
    stream: str
    position: int
    version: int
    failures: int


class Backlog(Struct, frozen=True):
    """What a consumer has not done yet: in how many streams it is behind, and since when.

    `oldest_at` is no later than the oldest event that waits for it. In `failing` streams the last attempt failed.
    """

    consumer: str
    streams: int
    failing: int
    oldest_at: datetime


class CursorRepository(Protocol):
    """Cursors inside a unit of work."""

    def move(self, cursor: Cursor, position: int, at: datetime) -> Cursor:
        """Apply the unit only if the cursor is as it was claimed (`Stale` otherwise), and move it to `position`.

        That may be where it is already. `at` is when the newest event up to there happened, or the one that it stays
        in front of. Returns the cursor as it is once the unit was applied.
        """
        ...


class ConsumerWork(Protocol):
    """The slice of a unit of work that moves cursors."""

    @property
    def cursors(self) -> CursorRepository: ...


class Cursors(Protocol):
    """Which streams have news for which consumers.

    Writing an event that a consumer wants gives that consumer a cursor in front of it, in the same unit of work, unless
    it has one in that stream already. The cursor is there until all that the consumer wants of the stream is done. So
    what is asked here costs as much as there are streams with news, however many streams are at rest.
    """

    async def claim(self, consumers: Sequence[str], now: datetime, until: datetime, most: int) -> Sequence[Cursor]:
        """Take at most `most` cursors of these consumers that are due at `now`, the longest due first.

        They are due again at `until`, if nothing else becomes of them. Of many who claim, none waits for another, and
        none gets what another got.
        """
        ...

    async def next(self, cursor: Cursor, wanted: Iterable[str]) -> tuple[EventView | None, int]:
        """The first event of these types behind the cursor, and the head of the stream as of the same moment."""
        ...

    async def settle(self, cursor: Cursor, wanted: Iterable[str], head: int) -> bool:
        """Drop a cursor that has nothing of these types before it up to `head`; False, if there is some beyond that.

        What is written at the same time gets a cursor of its own or is found here: nothing falls between the two.
        A cursor that has changed since it was claimed stays as it is, and is none of the caller's business any more.
        """
        ...

    async def postpone(self, cursor: Cursor, until: datetime, has_failed: bool) -> None:
        """Let it be due again at `until`; nothing happens if it has changed since it was claimed."""
        ...

    async def backlog(self) -> Sequence[Backlog]:
        """What there is to do for each consumer that is behind in some stream, by name."""
        ...

    async def give_up(self, consumer: str, stream: str | None = None) -> int:
        """Leave undone all that a consumer has before it, in one stream or in all; returns in how many it was."""
        ...
