"""What is asked of whoever knows who is where, on all instances."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from domain.ids import AccountId


class Attendance(NamedTuple):
    """An account in a channel: how many of its connections are there, and the place of that in the channel's history.

    `version` rises with every change of the channel, so that of two reports on one account the newer can be told.
    """

    channel: str
    account: AccountId
    connections: int
    version: int


class Present(NamedTuple):
    """The accounts that are in a channel as of `version`."""

    version: int
    accounts: Collection[AccountId]


class Presence(Protocol):
    """Who is where: an account is in a channel as long as one of its connections is, on whichever instance.

    A connection is named by an id that no other connection of any instance ever has. What a process enters is held by
    a lease of that process, which `refresh` keeps; when it lapses, `reap` of any other process ends its attendances.
    Every method raises Unavailable when the store does not answer within 250 ms.
    """

    async def enter(self, channel: str, account: AccountId, connection: str) -> Attendance:
        """Note a connection, and say how many of its account are in the channel now (1: the account has come).

        Repeated, it changes nothing. Unavailable still notes it here, and `refresh` enters it later.
        """
        ...

    async def leave(self, channel: str, connection: str) -> Attendance | None:
        """Take a connection out, and say how many of its account are left (0: the account has gone).

        None if it was not there. Unavailable still forgets it here; the store learns it with the next `refresh`.
        """
        ...

    async def present(self, channel: str) -> Present:
        """Who is in a channel now, whose processes all hold their leases or only just lost them."""
        ...

    async def refresh(self) -> Sequence[Attendance]:
        """Keep this process's lease for another 13 s, and enter again whatever the store has lost.

        Returns the accounts that came by this (an emptied store, or a lease that lapsed while the process stood still).
        """
        ...

    async def reap(self) -> Sequence[Attendance]:
        """End the attendances of processes whose lease lapsed; returns the accounts that have gone by this.

        At most 500 connections in one call, and for any number of callers at once each of them exactly once.
        """
        ...
