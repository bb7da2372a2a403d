"""Turns: of work on the event loop, and of those who want to change the same thing."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from weakref import WeakValueDictionary

TURN_SECONDS = 0.005
PATIENCE_SECONDS = 0.25


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


class OneByOne:
    """Lets those who change one thing do so one after the other, as of several units of work at once one succeeds.

    It spares the others their attempts, and promises nothing: there are other processes, and who has waited for
    0.25 s goes ahead.
    """

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, thing: Hashable) -> AsyncIterator[None]:
        """One's turn to change the thing, until the block is left."""
        turn = self._turns.setdefault(thing, asyncio.Lock())
        is_mine = False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                is_mine = await turn.acquire()
        try:
            yield
        finally:
            if is_mine:
                turn.release()
