"""One call answers all who ask at the same time, and nobody is answered from before they asked."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from adapters.together import Together
from tests.contracts.house import eventually

AT_ONCE = 10
PATIENCE_SECONDS = 0.1

caller: ContextVar[str] = ContextVar("caller", default="nobody")


class Oracle:
    """Answers every question with itself and the number of the call that asked it, once it is let."""

    def __init__(self) -> None:
        self.calls: list[Sequence[int]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.error: Exception | None = None
        self.asked_by: list[str] = []

    async def __call__(self, questions: Sequence[int]) -> Sequence[tuple[int, int]]:
        self.calls.append(questions)
        self.asked_by.append(caller.get())
        number = len(self.calls)
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return [(question, number) for question in questions]


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture
def together(oracle: Oracle) -> Together[int, tuple[int, int]]:
    return Together(oracle, AT_ONCE, PATIENCE_SECONDS)


async def asked(together: Together[int, tuple[int, int]], *questions: int) -> Sequence[tuple[int, int]]:
    return await together.ask(questions)


async def test_all_who_ask_in_one_turn_cost_one_call(oracle: Oracle, together: Together[int, tuple[int, int]]) -> None:
    answers = await asyncio.gather(*(asked(together, question) for question in (4, 2, 3, 2)))
    assert answers == [[(4, 1)], [(2, 1)], [(3, 1)], [(2, 1)]]
    assert oracle.calls == [[4, 2, 3, 2]]


async def test_who_has_several_questions_asks_them_with_those_of_others(
    oracle: Oracle, together: Together[int, tuple[int, int]]
) -> None:
    answers = await asyncio.gather(asked(together, 2, 3), asked(together), asked(together, 6))
    assert list(answers) == [[(2, 1), (3, 1)], [], [(6, 1)]]
    assert oracle.calls == [[2, 3, 6]]


async def test_who_asks_nothing_makes_no_call(oracle: Oracle, together: Together[int, tuple[int, int]]) -> None:
    assert not await asked(together)
    assert oracle.calls == []


async def test_what_does_not_fit_into_a_call_goes_with_the_next_in_order(
    oracle: Oracle, together: Together[int, tuple[int, int]]
) -> None:
    crowd = [range(start, start + 4) for start in range(0, 20, 4)]
    answers = await asyncio.gather(*(asked(together, *questions) for questions in crowd))
    assert [list(call) for call in oracle.calls] == [[*range(8)], [*range(8, 16)], [*range(16, 20)]]
    assert [[question for question, _ in own] for own in answers] == [[*questions] for questions in crowd]


async def test_who_asks_more_than_fits_into_a_call_gets_one_alone(
    oracle: Oracle, together: Together[int, tuple[int, int]]
) -> None:
    await asyncio.gather(asked(together, *range(AT_ONCE + 1)), asked(together, 99))
    assert [list(call) for call in oracle.calls] == [[*range(AT_ONCE + 1)], [99]]


async def test_who_asks_while_an_answer_is_awaited_goes_with_the_next_call(
    oracle: Oracle, together: Together[int, tuple[int, int]]
) -> None:
    oracle.free.clear()
    first = together.ask([2])
    await eventually(lambda: len(oracle.calls) == 1)
    later = [together.ask([question]) for question in (2, 4)]
    await asyncio.sleep(0)
    oracle.free.set()
    assert [await answer for answer in (first, *later)] == [[(2, 1)], [(2, 2)], [(4, 2)]]
    assert oracle.calls == [[2], [2, 4]]


async def test_a_failure_is_told_to_those_of_its_call_only(
    oracle: Oracle, together: Together[int, tuple[int, int]]
) -> None:
    oracle.error = OSError("away")
    oracle.free.clear()
    failing = [together.ask([question]) for question in (1, 2)]
    await eventually(lambda: len(oracle.calls) == 1)
    oracle.free.set()
    outcomes = await asyncio.gather(*failing, return_exceptions=True)
    assert outcomes == [oracle.error] * 2
    oracle.error = None
    assert await asked(together, 2) == [(2, 2)]


async def test_who_stops_waiting_stops_nobody_else(oracle: Oracle, together: Together[int, tuple[int, int]]) -> None:
    oracle.free.clear()
    impatient, patient = [asyncio.create_task(asked(together, question)) for question in (2, 3)]
    await eventually(lambda: len(oracle.calls) == 1)
    impatient.cancel()
    await asyncio.wait([impatient])
    oracle.free.set()
    assert await patient == [(3, 1)]


async def test_what_nobody_waits_for_any_more_is_not_sent(
    oracle: Oracle, together: Together[int, tuple[int, int]]
) -> None:
    oracle.free.clear()
    first = together.ask([1])
    await eventually(lambda: len(oracle.calls) == 1)
    impatient, patient = together.ask([2]), together.ask([3])
    impatient.cancel()
    oracle.free.set()
    assert [await first, await patient] == [[(1, 1)], [(3, 2)]]
    together.ask([4]).cancel()
    assert await asked(together, 5) == [(5, 3)]
    assert oracle.calls == [[1], [3], [5]]


async def test_a_call_that_hangs_holds_up_only_who_asked_it(
    oracle: Oracle, together: Together[int, tuple[int, int]]
) -> None:
    oracle.free.clear()
    hanging = together.ask([2])
    await eventually(lambda: len(oracle.calls) == 1)
    behind = together.ask([4])
    began = asyncio.get_running_loop().time()
    await eventually(lambda: asyncio.get_running_loop().time() > began + PATIENCE_SECONDS)
    after = together.ask([6])
    await eventually(lambda: len(oracle.calls) == 2)
    assert oracle.calls == [[2], [4, 6]]
    oracle.free.set()
    assert [await answer for answer in (hanging, behind, after)] == [[(2, 1)], [(4, 2)], [(6, 2)]]
    assert await asked(together, 8) == [(8, 3)]


async def test_without_patience_calls_never_overtake_each_other(oracle: Oracle) -> None:
    in_order = Together(oracle, AT_ONCE)
    oracle.free.clear()
    hanging = in_order.ask([2])
    await eventually(lambda: len(oracle.calls) == 1)
    began = asyncio.get_running_loop().time()
    await eventually(lambda: asyncio.get_running_loop().time() > began + PATIENCE_SECONDS)
    after = in_order.ask([4])
    await asyncio.sleep(0)
    assert oracle.calls == [[2]]
    oracle.free.set()
    assert [await hanging, await after] == [[(2, 1)], [(4, 2)]]


async def test_a_call_is_on_the_account_of_none_and_leaves_no_task(
    oracle: Oracle, together: Together[int, tuple[int, int]]
) -> None:
    tasks = asyncio.all_tasks()
    mine = caller.set("me")
    try:
        assert await asked(together, 2) == [(2, 1)]
    finally:
        caller.reset(mine)
    assert oracle.asked_by == ["nobody"]
    await eventually(lambda: asyncio.all_tasks() <= tasks)
