"""For how long what was read from the store may be passed on without asking it again."""

import asyncio
import math
import time

LEASE_SECONDS = 5.0


class Lease:
    """Whether this process may deliver anything: it may for 5 s from the moment at which it last asked the store.

    Somebody who is cut off from the store cannot know whose session or membership has ended since. So nothing is
    delivered without the lease; what waits meanwhile goes out in order once it is held again. Until it is renewed for
    the first time it is held, since nothing can have been read.
    """

    def __init__(self, seconds: float = LEASE_SECONDS) -> None:
        self._seconds = seconds
        self._renewed_at = math.inf
        self._again: asyncio.Future[None] | None = None

    @property
    def is_held(self) -> bool:
        """Can be read from any thread."""
        return time.monotonic() - self._renewed_at <= self._seconds

    def renew(self, asked_at: float) -> None:
        """The store has answered, and what it said is acted upon; `asked_at` was `time.monotonic()` before."""
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
