"""What one unit of work changes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from adapters.postgres.statement import Part
from application.quotas import Use


class Count(NamedTuple):
    """By how much a kept number changes, and what it may be at most if it grows."""

    use: Use
    change: int
    most: int


class Record(NamedTuple):
    """An event as the journal keeps it, still without its offset, and the names of the consumers that want it."""

    stream: str
    id: UUID
    type: str
    resource_id: UUID
    actor: UUID | None
    at: datetime
    body: str
    consumers: Sequence[str] = ()


class Change(NamedTuple):
    """All that one unit of work changes, in the order in which it locks what it changes.

    `parts` verify and write rows, each exactly one; they stand in the order of their places. `counts` are the kept
    numbers that change, each at most once. `records` are what is told, and have `size` bytes together; `is_wanted` says
    whether consumers want one of them. `quiet` are the writes that nobody is told of, one row each, in the order of
    their places too.

    So everybody locks rows by table and key, then numbers, then streams, and at last what is quiet: whoever has a lock
    waits only for what comes behind it, and nobody waits in a ring.
    """

    parts: Sequence[Part]
    counts: Sequence[Count]
    records: Sequence[Record]
    size: int
    quiet: Sequence[Part] = ()
    is_wanted: bool = False

    @property
    def stream(self) -> str | None:
        """The one stream that it tells of, or None if there are more or none."""
        streams = {record.stream for record in self.records}
        return streams.pop() if len(streams) == 1 else None
