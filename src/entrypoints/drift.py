"""How far the clocks of a process and its store are apart: tokens, sessions and limits rest on both."""

import asyncio
import contextlib

from application.ports.store import StoreQueries
from application.ports.system import Clock
from domain.errors import DomainError

ASK_EVERY_SECONDS = 30.0


class Drift:
    """`seconds` by which the clock of this process is ahead of the store's, or None until the store has answered."""

    def __init__(self, store: StoreQueries, clock: Clock) -> None:
        self.seconds: float | None = None
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Ask until cancelled; while the store is away, what it last said stands."""
        while True:
            with contextlib.suppress(DomainError):  # others say so
                self.seconds = await self._measure()
            await asyncio.sleep(ASK_EVERY_SECONDS)

    async def _measure(self) -> float:
        asked = self._clock.now()
        theirs = await self._store.now()
        # The answer was made somewhere between the question and its arrival.
        return (asked + (self._clock.now() - asked) / 2 - theirs).total_seconds()
