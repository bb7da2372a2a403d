"""Time and identity, so that tests can move the one and foresee the other."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """The present moment in aware UTC and whole milliseconds; it may jump when the host's clock is set."""
        ...


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self) -> UUID:
        """A UUID of version 7: unique, and rising with time within one process."""
        ...
