"""Workers that are killed at any await, for tests of what holds all the same."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from adapters.memory.system import MovableClock
from application.consumers import Consumers


def fates(workers: int) -> st.SearchStrategy[tuple[str, int]]:
    """What can become of that many workers: one begins a turn or is killed, the loop runs for a bit, time passes."""
    return st.one_of(
        st.tuples(st.just("begin"), st.integers(0, workers - 1)),
        st.tuples(st.just("let"), st.integers(1, 12)),
        st.tuples(st.just("kill"), st.integers(0, workers - 1)),
        st.tuples(st.just("pass"), st.integers(1, 6)),
    )


class KilledWorkers:
    """Lets happen what `fates` say to these workers, each of which has one turn at a time."""

    def __init__(self, workers: Sequence[Consumers[Any]], clock: MovableClock) -> None:
        self._workers = workers
        self._clock = clock
        self._turns: dict[int, asyncio.Task[int]] = {}

    async def meet(self, fate: str, value: int) -> None:
        match fate:
            case "begin" if value not in self._turns or self._turns[value].done():
                self._turns[value] = asyncio.create_task(self._workers[value].turn())
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
