"""What is asked of the journal, and of the broker that hints at its news."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Raw, Struct

from application.paging import InvalidCursor, Page


class Entry(Struct, frozen=True):
    """One event at its place in the journal; `body` is its JSON as written once, at commit, for all who read it."""

    stream: str
    offset: int
    type: str
    resource_id: UUID
    body: Raw


class Signal(Struct, frozen=True):
    """Something that passes by without the journal: the newest value of a key, or a word on an ephemeral channel.

    On a keyed channel `version` rises with every value of the key, so that the newer of two can be told; an ephemeral
    word has version 0 and the account that said it as its key. `data` is JSON.
    """

    channel: str
    key: str
    version: int
    data: Raw


class ResourceRef(Struct, frozen=True):
    """What an event is about; `version` is the version that the resource has since."""

    type: str
    id: UUID
    version: int


class EventBody(Struct, frozen=True):
    """An event without its place: what happened (`type`, in the past tense), to what, by whom, when and why.

    `version` is the version of this schema, `actor` the account or null for the system. `changes` maps a field to
    its old and new value. `request_id` and `traceparent` lead back to the request that caused it. `via` is the
    credential by which the actor did it, or null if that was a session.
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


class EventView(Struct, frozen=True):
    """An event of the journal at its place: `stream` and the gapless `offset` in it (1, 2, 3, …).

    The other fields are those of the event on a live channel: what happened (`type`, in the past tense), to which
    resource, by which account (null: the system) and credential (`via`, null: a session), with the old and new value of
    every changed field.
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


class EventFilter(Struct, frozen=True, omit_defaults=True):
    """Which events of a stream are wanted; `type` may end in `*`, times are inclusive below and exclusive above."""

    type: str | None = None
    resource_id: UUID | None = None
    actor: UUID | None = None
    after: datetime | None = None
    before: datetime | None = None


class Span(Struct, frozen=True):
    """What is kept of a stream: the entries after offset `tail`, up to `head`."""

    tail: int
    head: int


class Survey(Struct, frozen=True):
    """The lineage of the journal, and what it keeps of some streams, as of one moment.

    After a restore from a backup the lineage is another (`epoch`), and offsets of the one before mean nothing.
    """

    epoch: str
    spans: Mapping[str, Span]


class HistoryGone(InvalidCursor):
    """What comes next in this order is kept no longer."""

    code = "history_gone"


class JournalQueries(Protocol):
    """The journal as it is committed: streams of events with gapless offsets from 1.

    Entries are kept for a while or for ever, and go oldest first. Whoever reads a stream from a position on, and finds
    that its next entry has a higher offset than the next one, or that the tail is beyond the position, has missed some.
    """

    async def read(self, stream: str, after: int, limit: int) -> Sequence[Entry]:
        """The entries of a stream after offset `after`, in order, at most `limit`; without a hole between them.

        They end where their bodies would be more than `PAGE_BYTES`; one at least comes, if there is any. Those that are
        kept no longer are missing at the beginning.
        """
        ...

    async def heads(self, streams: Collection[str]) -> Mapping[str, int]:
        """The newest offset of each of these streams; 0 for a stream that nothing was written to."""
        ...

    async def survey(self, streams: Collection[str]) -> Survey:
        """The lineage, and the span of each of these streams; 0 to 0 for a stream that nothing was written to.

        Everything that was committed before the call is in it.
        """
        ...

    async def page(
        self, stream: str, wanted: EventFilter, newest_first: bool, cursor: str | None, limit: int
    ) -> Page[EventView]:
        """A page of a stream's events that meet `wanted`; a cursor of another query is `InvalidCursor`.

        It ends by its size as every `Page` does. Where there are very many events, a page for which most of them would
        have to be looked at may be `QueryTooBroad`, and several such pages of one stream at the same time `Exhausted`.

        Newest first, the last page is the one with the oldest event that is kept. Oldest first, a cursor that leads to
        events that are kept no longer is `HistoryGone`.
        """
        ...


class Broker(Protocol):
    """Carries hints of new entries, and signals, from the process that has them to those that follow their topic.

    The topic of an entry is its stream, that of a signal its channel. Anything may be lost, doubled or reordered; who
    needs every entry checks offsets and reads the journal. So a broker never waits for a reader, never fails a writer,
    and may be down.

    `connected` tells whether other processes hear now, `reconnects` how often they do again after they did not, and
    `dropped` how much never left for them.
    """

    connected: bool = True
    reconnects: int = 0
    dropped: int = 0

    def silent_seconds(self) -> float:
        """How long ago it was last proved that what is published arrives; 0 where nothing has to travel."""
        return 0.0

    def publish(self, items: Sequence[Entry | Signal]) -> None:
        """Hint at entries that are committed, or signal. Returns at once, never raises; what cannot be sent is dropped.

        Followers in this process are told directly.
        """
        ...

    def listen(self, take: Callable[[Entry | Signal], None], reconnected: Callable[[], None]) -> None:
        """Name one more who takes what comes, before `run`; `reconnected` is called when some may have been lost."""
        ...

    def follow(self, topic: str) -> None:
        """Deliver what is published on this topic from now on (soon, not at once)."""
        ...

    def unfollow(self, topic: str) -> None: ...

    async def check(self) -> None:
        """Return if what is published travels to every process now; Unavailable otherwise."""
        ...

    async def run(self) -> None:
        """Carry until cancelled; lost connections are made again by itself."""
        ...
