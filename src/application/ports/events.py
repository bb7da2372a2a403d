"""The ports to the journal, and to the broker that hints at new entries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType

from application.paging import InvalidCursor, Page


class Entry(Struct, frozen=True):
    """One event at its place in the journal. `body` is its JSON, written once at commit for every reader."""

    stream: str
    offset: int
    type: str
    resource_id: UUID
    body: Raw


class Signal(Struct, frozen=True):
    """A message outside the journal: the newest value of a key, or a message on an ephemeral channel.

    On a keyed channel `version` rises with every value of the key, so that a reader can tell the newer of two. On an
    ephemeral channel `version` is 0 and `key` is the account that sent it. `data` is JSON. On a keyed channel `GONE`
    as data means that the key has no value any more. A value with `seconds` is gone after that time, counted from now.
    """

    channel: str
    key: str
    version: int
    data: Raw
    seconds: float | None = None


GONE = Raw(b"null")


class ResourceRef(Struct, frozen=True):
    """The resource of an event. `version` is the version of the resource after the event."""

    type: str
    id: UUID
    version: int


class EventBody(Struct, frozen=True):
    """An event without its place: what happened (`type`, in the past tense), to what, by whom, when and why.

    `version` is the version of this schema, `actor` the account or null for the system. `changes` maps a field to
    its old and new value. `request_id` and `traceparent` lead back to the request that caused it. `via` is the
    credential by which the actor did it, or null if that was a session. `depth` is absent unless webhooks led to it.
    """

    id: UUID
    type: str
    version: int
    at: datetime
    actor: UUID | None
    resource: ResourceRef
    changes: Mapping[str, tuple[object, object]]
    data: Mapping[str, object]
    request_id: str
    traceparent: str
    via: UUID | None = None
    depth: int | UnsetType = UNSET


class EventView(Struct, frozen=True):
    """An event of the journal at its place: `stream` and the gapless `offset` in it (1, 2, 3, …).

    The other fields are those of the event on a live channel: what happened (`type`, in the past tense), to which
    resource, by which account (null: the system) and credential (`via`, null: a session), with the old and new value of
    every changed field. `depth` is how many webhooks in a row led to it, and absent if none did.
    """

    stream: str
    offset: int
    id: UUID
    type: str
    version: int
    at: datetime
    actor: UUID | None
    resource: ResourceRef
    changes: Mapping[str, tuple[object, object]]
    data: Mapping[str, object]
    request_id: str
    traceparent: str
    via: UUID | None = None
    depth: int | UnsetType = UNSET


class EventFilter(Struct, frozen=True, omit_defaults=True):
    """A choice of the events of a stream. `type` may end in `*`. The lower time is inclusive, the upper exclusive."""

    type: str | None = None
    resource_id: UUID | None = None
    actor: UUID | None = None
    after: datetime | None = None
    before: datetime | None = None


class Span(Struct, frozen=True):
    """The kept part of a stream: the entries after offset `tail`, up to and including `head`."""

    tail: int
    head: int


class Survey(Struct, frozen=True):
    """The lineage of the journal, and the kept parts of some streams, at one moment.

    A restore from a backup changes the lineage (`epoch`). Offsets of an earlier lineage mean nothing in the new one.
    """

    epoch: str
    spans: Mapping[str, Span]


class HistoryGone(InvalidCursor):
    """The events that come next in this order are no longer kept."""

    code = "history_gone"


class JournalQueries(Protocol):
    """The committed journal: streams of events with gapless offsets from 1.

    Entries are kept for a limited time or for ever, and are dropped oldest first. A reader at position 3 has missed
    entries if the next entry that it gets has a higher offset than 4, or if the tail is greater than 3.
    """

    async def read(self, stream: str, after: int, limit: int) -> Sequence[Entry]:
        """At most `limit` entries of a stream after offset `after`, in order and without a hole between them.

        They end before their bodies exceed `PAGE_BYTES`, but the first is always returned. Entries that are no longer
        kept are missing at the beginning.
        """
        ...

    async def heads(self, streams: Collection[str]) -> Mapping[str, int]:
        """The newest offset of each of these streams; 0 for a stream without entries."""
        ...

    async def within(self, streams: Collection[str]) -> Mapping[str, str]:
        """The stream that each of these is within (see `Event.within`). Those that are within none are missing."""
        ...

    async def survey(self, streams: Collection[str]) -> Survey:
        """The lineage, and the span of each of these streams; 0 to 0 for a stream without entries.

        It includes everything that was committed before the call.
        """
        ...

    async def page(
        self, stream: str, wanted: EventFilter, newest_first: bool, cursor: str | None, limit: int
    ) -> Page[EventView]:
        """A page of a stream's events that meet `wanted`, bounded in size like every `Page`.

        A cursor of another query is `InvalidCursor`. If the query would have to look at too many events, it may be
        `QueryTooBroad`; several such queries of one stream at the same time may be `Exhausted`.

        Newest first, the last page ends with the oldest event that is kept. Oldest first, a cursor that leads to events
        that are no longer kept is `HistoryGone`.
        """
        ...


class Broker(Protocol):
    """Carries hints of new entries, and signals, from the process that publishes them to those that follow their topic.

    The topic of an entry is its stream, the topic of a signal its channel. Any of them may be lost, doubled or
    reordered; a reader that needs every entry checks offsets and reads the journal. So a broker never waits for a
    reader, never fails a writer, and may be down.

    `connected` tells whether other processes receive now, `reconnects` how often the connection came back, and
    `dropped` how many items were never sent to them.
    """

    connected: bool = True
    reconnects: int = 0
    dropped: int = 0

    def silent_seconds(self) -> float:
        """The seconds since it was last proved that published items arrive; 0 where they stay in the process."""
        return 0.0

    def publish(self, items: Sequence[Entry | Signal]) -> None:
        """Publish committed entries and signals. Returns at once and never raises.

        Listeners in this process get the items directly. Items that cannot be sent to other processes are dropped.
        """
        ...

    def listen(self, take: Callable[[Entry | Signal], None], reconnected: Callable[[], None]) -> None:
        """Add a listener, before `run`. `take` gets each item; `reconnected` is called when some may have been lost."""
        ...

    def follow(self, topic: str) -> None:
        """Deliver the items that are published on this topic from soon on, not at once.

        Several may follow one topic. It is followed until `unfollow` was called as often.
        """
        ...

    def unfollow(self, topic: str) -> None:
        """Follow once less. Nothing happens if nobody follows the topic."""
        ...

    async def check(self) -> None:
        """Return if published items reach every process now; Unavailable otherwise."""
        ...

    async def run(self) -> None:
        """Carry items until cancelled, and replace lost connections."""
        ...
