"""How long work goes on in one piece while everybody else in the process waits."""

import asyncio
from time import perf_counter

TURN_SECONDS = 0.005


class Turn:
    """A turn of the event loop for work that may be much: between two pieces of it others get theirs, if it is time."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = perf_counter() + TURN_SECONDS

    async def share(self) -> None:
        """Wait until everybody else who is ready has had a turn, if this one has lasted 5 ms."""
        if perf_counter() > self._ends:
            await asyncio.sleep(0)
            self._ends = perf_counter() + TURN_SECONDS
