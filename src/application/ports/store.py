"""The store's figures about itself, for operators."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class Pool(Struct, frozen=True):
    """The connections of this process to the store: the open ones, the idle ones among them, and the most allowed.

    `waiting` is the number of calls that wait for a connection.
    """

    open: int
    idle: int
    most: int
    waiting: int


class StoreQueries(Protocol):
    """Figures about the store. It is made with the tables that contexts want counted, by the names of their figures."""

    async def now(self) -> datetime:
        """The time by the store's clock."""
        ...

    async def stored(self) -> Mapping[str, int]:
        """Estimates of the number of rows of each table, and of the `events` in the journals of `streams`.

        They are exact where counting is cheap. The cost does not grow with the store.
        """
        ...

    async def figure(self, name: str) -> int:
        """One of these estimates by its name, at its own price. KeyError if there is none."""
        ...

    def pool(self) -> Pool:
        """The connections at this moment; all figures are 0 for a store without connections."""
        ...
