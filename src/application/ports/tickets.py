"""What is asked of whoever keeps the tickets of live connections until they are used."""

from typing import Protocol

from application.principal import Principal


class TicketStore(Protocol):
    """Tickets that are each good for one use, known by the digest of their secret. None belongs to a unit of work.

    So many of one account are kept at most as the store was told.
    """

    async def keep(self, digest: bytes, principal: Principal, opening: bytes, lifetime_ms: int) -> None:
        """Keep a new ticket for so long, by the store's clock, which is the same for every process.

        Of the older ones of the same account, all but the newest give way.
        """
        ...

    async def take(self, digest: bytes) -> tuple[Principal, bytes] | None:
        """Whom the ticket stands for and its opening, as they were kept; None if there is none, or no longer.

        It is gone afterwards: of all who ask at once, on whatever instance, one gets it.
        """
        ...

    async def forget_old(self, most: int) -> int:
        """Drop tickets that have expired, at most so many at a time; how many it were.

        Several may do this at once: each drops others, and none waits.
        """
        ...
