"""The change that one unit of work makes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from adapters.postgres.statement import Part
from application.quotas import Use


class Count(NamedTuple):
    """By how much the usage of a quota changes, and its limit."""

    use: Use
    change: int
    most: int


class Record(NamedTuple):
    """An event for the journal that has no offset yet, the names of the consumers that want it, and `Event.within`."""

    stream: str
    id: UUID
    type: str
    resource_id: UUID
    actor: UUID | None
    at: datetime
    body: str
    consumers: Sequence[str] = ()
    within: str | None = None


class Change(NamedTuple):
    """Everything that one unit of work changes, in the order in which it takes its locks.

    `parts` verify and write rows, exactly one each, in the order of their places. `counts` are the quotas whose usage
    changes, each at most once. `records` are the events, which have `size` bytes together. `quiet`
    are the writes without an event, one row each, in the order of their places too.

    So every unit locks rows by table and key, then counts, then streams, and finally quiet rows. A unit that holds a
    lock only waits for locks that come later in this order, so there is no deadlock.
    """

    parts: Sequence[Part]
    counts: Sequence[Count]
    records: Sequence[Record]
    size: int
    quiet: Sequence[Part] = ()

    @property
    def is_wanted(self) -> bool:
        """Whether a consumer wants one of its events."""
        return any(record.consumers for record in self.records)

    @property
    def stream(self) -> str | None:
        """The stream of all its events; None if they have several streams, or there are none."""
        if len(self.records) == 1:
            return self.records[0].stream
        streams = {record.stream for record in self.records}
        return streams.pop() if len(streams) == 1 else None
