"""The upkeep of the store beside the use cases, by workers and operators."""

from datetime import datetime, timedelta
from typing import Protocol

from domain.ids import AccountId


class Upkeep(Protocol):
    """Drops data that was kept for long enough, and begins a new lineage after a restore.

    Each call drops at most `most` things and returns their number; fewer than `most` means that nothing is left to
    drop. Any number of processes may do this at the same time, and none waits for another. A reader or writer waits no
    longer than one call takes.
    """

    async def forget_events(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop events that happened longer than `kept` before `now`, the oldest of their stream first.

        The tail of the stream moves with them; its head never moves. An event stays as long as an event with a lower
        offset in its stream stays, so that there is no hole, even if the clocks of their writers differed. It also
        stays as long as a consumer has a cursor in front of it.
        """
        ...

    async def forget_sessions(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop the sessions that ended, or reached their greatest age, longer than `kept` before `now`."""
        ...

    async def forget_invitations(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop the invitations that expired longer than `kept` before `now`, even if used up or withdrawn before."""
        ...

    async def forget_removals(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop the removals of members that happened longer than `kept` before `now`."""
        ...

    async def drop_history(self, stream: str, until: int | None, now: datetime, most: int) -> tuple[int, bool]:
        """Drop the events of a stream up to and including offset `until`, whatever their age, the oldest first.

        Without `until` those of the whole stream, and of all streams within it. The tails move as in `forget_events`,
        and a consumer holds them as there. Returns how many were dropped, and whether nothing was left to drop.
        """
        ...

    async def erase_account(self, account: AccountId, most: int) -> int:
        """Drop what was for an account alone: its sessions, second factors, mailed links, and kept answers.

        Of each at most `most`.
        """
        ...

    async def forget_address(self, address: str) -> int:
        """Drop the invitations that were mailed to this address, used or not. Returns their number."""
        ...

    async def begin_lineage(self) -> str:
        """Give the journal a new epoch, and return it. From now on no earlier position of a reader means anything."""
        ...
