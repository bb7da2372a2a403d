"""The ports to time and new identifiers, so that tests can move the clock and foresee the identifiers."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """The clock of the host."""

    def now(self) -> datetime:
        """The present time in aware UTC and whole milliseconds. It may jump when the host's clock is set."""
        ...


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self) -> UUID:
        """A UUID of version 7: unique, and rising with time within one process."""
        ...
