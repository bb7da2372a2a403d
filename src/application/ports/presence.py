"""The port to presence: which accounts are in which channel, over all instances."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from domain.channels import Channel, ChannelKind
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
    """The accounts that are in a channel at `version`.

    Without `is_complete` there may be more: the store has lost all entries, and processes are still entering theirs.
    """

    version: int
    accounts: Collection[AccountId]
    is_complete: bool = True


Changed = Callable[[Channel, AccountId, bool, Literal["", "bye", "lost"], datetime], Awaitable[None]]
"""Called with a place, an account, whether it is there now, why it left, and when this was noticed."""


class Attended(NamedTuple):
    """A row: the context of the places of this `kind` is told who comes to them and who leaves.

    `changed` is called for the first connection of an account at a place, and after its last one: at once if it left by
    itself (`bye`), and 10 s after a connection was lost (`lost`). The process that makes the change calls it. If a
    process is killed, another one finds within 15 s who is gone. Several processes may tell the same, and of several
    changes that wait only the newest is told. So `changed` has to be idempotent, and asks `Presence.present` if it must
    be certain. It is called again after Unavailable; any other error ends the call alone. A change may be lost with the
    process that is about to tell it.
    """

    kind: ChannelKind
    changed: Changed


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
        """The accounts in a channel now. A process that has just lost its lease may still count.

        It is not complete for some seconds after the store was emptied, and after it was used for the first time.
        """
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
