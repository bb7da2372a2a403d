"""Keeps long work from blocking the event loop."""

import asyncio
from time import perf_counter

TURN_SECONDS = 0.005


class Turn:
    """One turn of the event loop in work that may be long. The work calls `share` between its pieces."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = perf_counter() + TURN_SECONDS

    async def share(self) -> None:
        """Let the other ready tasks of the loop run, if this turn has lasted 5 ms."""
        if perf_counter() > self._ends:
            await asyncio.sleep(0)
            self._ends = perf_counter() + TURN_SECONDS
