"""What the store knows about itself, for whoever runs it."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct


class Pool(Struct, frozen=True):
    """The connections of this process to the store: those that are open, idle ones among them, and the most allowed.

    `waiting` is how many calls wait for one.
    """

    open: int
    idle: int
    most: int
    waiting: int


class Stored(Struct, frozen=True):
    """About how much is stored; `streams` have a journal each, of `events`."""

    accounts: int
    workspaces: int
    tasks: int
    comments: int
    streams: int
    events: int


class StoreQueries(Protocol):
    """Figures about the store."""

    async def now(self) -> datetime:
        """What the clock of the store says."""
        ...

    async def stored(self) -> Stored:
        """About how much is stored, at a cost that does not grow with it: exact only where that is cheap."""
        ...

    def pool(self) -> Pool:
        """The connections at this moment; all of them 0 where there are none."""
        ...
