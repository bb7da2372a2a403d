"""The port to the tickets of live connections, which are kept until they are used."""

from typing import Protocol

from application.principal import Principal


class TicketStore(Protocol):
    """Tickets, each good for one use and identified by the digest of its secret. They belong to no unit of work.

    The adapter is made with the largest number of tickets to keep for one account.
    """

    async def keep(self, digest: bytes, principal: Principal, opening: bytes, lifetime_ms: int) -> None:
        """Store a new ticket for `lifetime_ms` by the store's clock, which all processes share.

        If the account then has too many tickets, its oldest ones are dropped.
        """
        ...

    async def take(self, digest: bytes) -> tuple[Principal, bytes] | None:
        """The principal and the opening of a ticket, as they were stored; None if it is absent, used or expired.

        The ticket is gone afterwards. Of several calls at once, on any instances, one gets it.
        """
        ...

    async def forget_old(self, most: int) -> int:
        """Drop at most `most` expired tickets, and return the number dropped.

        Several processes may call this at once: each drops different tickets, and none waits.
        """
        ...
