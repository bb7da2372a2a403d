"""What one unit of work changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

Part = tuple[str, Sequence[Any]]


class Count(NamedTuple):
    """By how much a kept number changes, and what it may be at most if it grows."""

    scope: UUID
    subject: UUID
    kind: str
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


@dataclass(frozen=True, slots=True)
class Change:
    """All that one unit of work changes: `parts` have to touch exactly one row each, `records` are what is told of it.

    `counts` are the kept numbers that change, each at most once. The bodies of the records have `size` bytes together.

    Parts that only lock come first, so that whoever waits for a membership holds no task and no stream meanwhile.
    `last` are updates for which those wait who hold a stream; so they are made once its streams are locked.
    """

    parts: Sequence[Part]
    counts: Sequence[Count]
    records: Sequence[Record]
    size: int
    last: Sequence[Part] = ()

    @property
    def stream(self) -> str | None:
        """The one stream that it tells of and all that it waits for, or None if there is more or nothing."""
        if self.last or not self.records:
            return None
        first = self.records[0].stream
        return first if all(record.stream == first for record in self.records) else None
