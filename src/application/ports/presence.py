"""The port to presence: which accounts are in which channel, over all instances."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from domain.ids import AccountId


class Attendance(NamedTuple):
    """An account in a channel, the number of its connections there, and the channel's version at that moment.

    `version` rises with every change of the channel, so that a reader can tell the newer of two reports.
    """

    channel: str
    account: AccountId
    connections: int
    version: int


class Present(NamedTuple):
    """The accounts that are in a channel at `version`."""

    version: int
    accounts: Collection[AccountId]


class Presence(Protocol):
    """The accounts in each channel: an account is there as long as one of its connections is, on any instance.

    The id of a connection is unique over all instances, for ever. The attendances of a process hold as long as its
    lease, which `refresh` renews. When the lease lapses, `reap` in any other process ends them. Every method raises
    Unavailable if the store does not answer within 250 ms.
    """

    async def enter(self, channel: str, account: AccountId, connection: str) -> Attendance:
        """Enter a connection. Returns how many of its account are in the channel now (1: the account has come).

        Repeating it changes nothing. After Unavailable the connection is still noted in this process, and `refresh`
        enters it later.
        """
        ...

    async def leave(self, channel: str, connection: str) -> Attendance | None:
        """Take a connection out. Returns how many of its account are left (0: the account has gone).

        None if it was not there. After Unavailable the connection is still gone from this process, and the next
        `refresh` tells the store.
        """
        ...

    async def present(self, channel: str) -> Present:
        """The accounts in a channel now. A process that has just lost its lease may still count."""
        ...

    async def refresh(self) -> Sequence[Attendance]:
        """Renew this process's lease for 13 s, and enter again all connections that the store has lost.

        Returns the accounts that come back by this: after the store was emptied, or after the lease lapsed while the
        process stood still.
        """
        ...

    async def reap(self) -> Sequence[Attendance]:
        """End the attendances of processes whose lease has lapsed. Returns the accounts that have gone by this.

        One call ends at most 500 connections. However many processes call it at once, each connection is ended exactly
        once.
        """
        ...
