"""The time for which data from the store may be delivered without asking the store again."""

import asyncio
import math
import time

LEASE_SECONDS = 5.0


class Lease:
    """Whether this process may deliver anything: it may for 5 s after it last asked the store with success.

    A process that is cut off from the store cannot know which sessions or memberships have ended since. So nothing is
    delivered without the lease. What waits meanwhile is sent in order when the lease is held again. Before the first
    renewal the lease is held, because nothing can have been read yet.
    """

    def __init__(self, seconds: float = LEASE_SECONDS) -> None:
        self._seconds = seconds
        self._renewed_at = math.inf
        self._again: asyncio.Future[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the lease is held. Can be read from any thread."""
        return time.monotonic() - self._renewed_at <= self._seconds

    def renew(self, asked_at: float) -> None:
        """Renew the lease after the store has answered and its answer has taken effect.

        `asked_at` is the time of `time.monotonic()` before the store was asked.
        """
        self._renewed_at = asked_at
        if self._again is not None and self.is_held:
            self._again.set_result(None)
            self._again = None

    async def held(self) -> None:
        """Return once it is held."""
        while not self.is_held:
            if self._again is None:
                self._again = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._again)
