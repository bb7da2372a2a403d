"""Measures how far the clocks of a process and its store differ: tokens, sessions and limits use both."""

import asyncio
import contextlib

from application.ports.store import StoreQueries
from application.ports.system import Clock
from domain.errors import DomainError

ASK_EVERY_SECONDS = 30.0


class Drift:
    """`seconds` is how far the clock of this process is ahead of the store's. None until the store has answered."""

    def __init__(self, store: StoreQueries, clock: Clock) -> None:
        self.seconds: float | None = None
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Measure until cancelled. While the store is unavailable the last value stays."""
        while True:
            with contextlib.suppress(DomainError):  # other parts report that the store is unavailable
                self.seconds = await self._measure()
            await asyncio.sleep(ASK_EVERY_SECONDS)

    async def _measure(self) -> float:
        asked = self._clock.now()
        theirs = await self._store.now()
        # The store read its clock between the question and the arrival of its answer: we take the middle.
        return (asked + (self._clock.now() - asked) / 2 - theirs).total_seconds()
