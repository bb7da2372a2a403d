"""Consumers of the journal, and the position of each consumer in each stream."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from msgspec import Raw, Struct

from application.ports.events import EventView, Signal
from domain.kernel import Event

NEWS = "consumers"
"""The topic on which is told that there is news for some consumer."""
NEWS_SIGNAL = Signal(NEWS, "", 0, Raw(b"null"))

W_contra = TypeVar("W_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Consumer(Generic[W_contra]):
    """One follow-up of events: its `name`, the event types that it `wants`, and its `effect`.

    `effect(work, event, now)` notes changes in an open unit of work, and returns whether the event is done. If it is
    not, the changes are applied and the effect is called again with the same event, so it must find out for itself what
    is left to do. It gets the events of a stream in their order, and each event takes effect once.

    If most events of a type concern nobody, `concerns` tells those that do while the event is written, and only they
    cost anything. The effect may get the others too, if they are written while it has work in their stream.
    """

    name: str
    wants: frozenset[str]
    effect: Callable[[W_contra, EventView, datetime], Awaitable[bool]]
    concerns: Callable[[Event], bool] | None = None


class Wanted:
    """Who wants an event that is being written."""

    def __init__(self, consumers: Iterable[Consumer[W_contra]] = ()) -> None:
        self._by_type: dict[str, list[tuple[str, Callable[[Event], bool] | None]]] = {}
        for consumer in consumers:
            for type in consumer.wants:
                self._by_type.setdefault(type, []).append((consumer.name, consumer.concerns))

    def by(self, event: Event) -> Sequence[str]:
        """The names of the consumers that this event concerns."""
        wanting = self._by_type.get(event.type)
        if wanting is None:
            return ()
        return [name for name, concerns in wanting if concerns is None or concerns(event)]


class Cursor(Struct, frozen=True):
    """The position of a consumer in a stream that has news for it: everything up to `position` is done.

    `version` rises with every change of the cursor. `failures` counts the attempts at the next event that failed in a
    row.
    """

    consumer: str
    stream: str
    position: int
    version: int
    failures: int


class Backlog(Struct, frozen=True):
    """The work that a consumer has not done yet: the number of streams in which it is behind, and since when.

    `oldest_at` is no later than the oldest event that waits for it. `failing` is the number of streams in which the
    last attempt failed.
    """

    consumer: str
    streams: int
    failing: int
    oldest_at: datetime


class CursorRepository(Protocol):
    """Cursors inside a unit of work."""

    def move(self, cursor: Cursor, position: int, at: datetime) -> Cursor:
        """Move the cursor to `position`, and apply the unit only if the cursor is as it was claimed; `Stale` otherwise.

        `position` may be where the cursor is already. `at` is the time of the newest event up to `position`, or of the
        event in front of which the cursor stays. Returns the cursor as it is after the unit was applied.
        """
        ...


class ConsumerWork(Protocol):
    """The slice of a unit of work that moves cursors."""

    @property
    def cursors(self) -> CursorRepository: ...


class Cursors(Protocol):
    """Which streams have news for which consumers.

    Writing an event that a consumer wants gives the consumer a cursor in front of that event, in the same unit of work,
    unless it has a cursor in that stream already. The cursor stays until the consumer has done all the events that it
    wants of the stream. So the cost of these methods grows with the number of streams with news, not of all streams.
    """

    async def claim(self, consumers: Sequence[str], now: datetime, until: datetime, most: int) -> Sequence[Cursor]:
        """Take at most `most` cursors of these consumers that are due at `now`, the longest due first.

        Unless they change, they are due again at `until`. Callers that claim at the same time do not wait for each
        other, and never get the same cursor.
        """
        ...

    async def next(self, cursor: Cursor, wanted: Iterable[str]) -> tuple[EventView | None, int]:
        """The first event of these types after the cursor, and the head of the stream at the same moment."""
        ...

    async def settle(self, cursor: Cursor, wanted: Iterable[str], head: int) -> bool:
        """Drop a cursor that has no event of these types after it up to `head`; False if there is one after `head`.

        An event that is written at the same time is found here or gets a new cursor, so none is missed. A cursor that
        has changed since it was claimed stays as it is; then it no longer concerns the caller.
        """
        ...

    async def postpone(self, cursor: Cursor, until: datetime, has_failed: bool) -> None:
        """Make the cursor due again at `until`. Nothing happens if it has changed since it was claimed."""
        ...

    async def backlog(self) -> Sequence[Backlog]:
        """The backlog of each consumer that is behind in some stream."""
        ...

    async def give_up(self, consumer: str, stream: str | None = None) -> int:
        """Skip all events that wait for a consumer, in one stream or in all. Returns the number of streams."""
        ...
