"""What is done to the store beside the use cases: by workers, and by whoever runs it."""

from datetime import datetime, timedelta
from typing import Protocol


class Upkeep(Protocol):
    """Drops what was kept for long enough, and begins another lineage after a restore.

    What is dropped goes in pieces of at most `most`; each method returns how many it were, so less than `most` means
    that nothing is left to drop. Any number of processes may do this at the same time, none of them waits for another,
    and nobody who reads or writes waits longer than one such piece takes.
    """

    async def forget_events(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop events that happened longer ago than they are kept, the oldest of their stream first.

        The tail of the stream moves with them, and its head never does. So that there is no hole, an event stays as
        long as a lower offset of its stream does, whatever the clocks of those who wrote them said. It also stays as
        long as some consumer has a cursor in front of it.
        """
        ...

    async def forget_sessions(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop the sessions that have been over for longer than they are kept: ended, or older than one can get."""
        ...

    async def forget_invitations(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop the invitations that ran out longer ago than they are kept, used up, withdrawn or not."""
        ...

    async def forget_removals(self, now: datetime, kept: timedelta, most: int) -> int:
        """Forget removals of members that were longer ago than they are kept."""
        ...

    async def begin_lineage(self) -> str:
        """Give the journal another epoch, and return it: no position of any reader means anything from now on."""
        ...
