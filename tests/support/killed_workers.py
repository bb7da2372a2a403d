"""Workers that are killed at any await, for tests of what holds all the same."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from hypothesis import strategies as st

from adapters.memory.system import MovableClock


def fates(workers: int, seconds: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[str, int]]:
    """What can become of that many workers: one begins a turn or is killed, the loop runs for a bit, `seconds` pass."""
    return st.one_of(
        st.tuples(st.just("begin"), st.integers(0, workers - 1)),
        st.tuples(st.just("let"), st.integers(1, 12)),
        st.tuples(st.just("kill"), st.integers(0, workers - 1)),
        st.tuples(st.just("pass"), seconds),
    )


class KilledWorkers:
    """Lets happen what `fates` say. `turn` is what the worker of a number does, one at a time."""

    def __init__(self, turn: Callable[[int], Awaitable[object]], clock: MovableClock) -> None:
        self._turn = turn
        self._clock = clock
        self._turns: dict[int, asyncio.Future[object]] = {}

    async def meet(self, fate: str, value: int) -> None:
        match fate:
            case "begin" if value not in self._turns or self._turns[value].done():
                self._turns[value] = asyncio.ensure_future(self._turn(value))
            case "let":
                for _ in range(value):
                    await asyncio.sleep(0)
            case "kill" if value in self._turns:
                self._turns[value].cancel()
            case "pass":
                self._clock.advance(timedelta(seconds=value))

    async def end(self) -> None:
        """Kill whoever still has a turn."""
        for turn in self._turns.values():
            turn.cancel()
        await asyncio.gather(*self._turns.values(), return_exceptions=True)
