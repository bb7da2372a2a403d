"""One statement answers all who ask at the same time, and nobody is answered from before they asked."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from adapters.postgres.together import AT_ONCE, PATIENCE_SECONDS, Together
from tests.contracts.house import eventually


class Oracle:
    """Answers every even number with the number of the question that asked for it, once it is let."""

    def __init__(self) -> None:
        self.questions: list[Sequence[int]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.error: Exception | None = None

    async def __call__(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.questions.append(keys)
        number = len(self.questions)
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return {key: number for key in keys if key % 2 == 0}


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture
def together(oracle: Oracle) -> Together[int, int]:
    return Together(oracle)


async def one(together: Together[int, int], key: int) -> int | None:
    return (await together.get([key])).get(key)


async def test_all_who_ask_in_one_turn_cost_one_question(oracle: Oracle, together: Together[int, int]) -> None:
    answers = await asyncio.gather(*(one(together, key) for key in (2, 3, 4, 2, 2)))
    assert answers == [1, None, 1, 1, 1]
    assert oracle.questions == [[2, 3, 4]]


async def test_who_has_several_questions_asks_them_with_those_of_others(
    oracle: Oracle, together: Together[int, int]
) -> None:
    several, single = await asyncio.gather(together.get([2, 3, 4]), one(together, 6))
    assert ({key: several.get(key) for key in (2, 3, 4)}, single) == ({2: 1, 3: None, 4: 1}, 1)
    assert oracle.questions == [[2, 3, 4, 6]]


async def test_a_question_is_not_much_longer_than_it_may_be(oracle: Oracle, together: Together[int, int]) -> None:
    crowd = [range(number, number + 10) for number in range(0, 3 * AT_ONCE, 10)]
    answers = await asyncio.gather(*(together.get(keys) for keys in crowd))
    assert [len(asked) for asked in oracle.questions] == [AT_ONCE] * 3
    assert all(answer[keys[0]] for keys, answer in zip(crowd, answers, strict=True))


async def test_who_asks_while_an_answer_is_awaited_goes_with_the_next_question(
    oracle: Oracle, together: Together[int, int]
) -> None:
    oracle.free.clear()
    first = asyncio.create_task(one(together, 2))
    await eventually(lambda: len(oracle.questions) == 1)
    later = [asyncio.create_task(one(together, key)) for key in (2, 4)]
    await asyncio.sleep(0)
    oracle.free.set()
    assert [await answer for answer in (first, *later)] == [1, 2, 2]
    assert oracle.questions == [[2], [2, 4]]


async def test_a_failure_is_told_to_those_of_its_question_only(oracle: Oracle, together: Together[int, int]) -> None:
    oracle.error = OSError("away")
    outcomes = await asyncio.gather(*(one(together, 2) for _ in range(3)), return_exceptions=True)
    assert outcomes == [oracle.error] * 3
    oracle.error = None
    assert await one(together, 2) == 2


async def test_who_stops_waiting_stops_nobody_else(oracle: Oracle, together: Together[int, int]) -> None:
    oracle.free.clear()
    impatient, patient = [asyncio.create_task(one(together, 2)) for _ in range(2)]
    await eventually(lambda: len(oracle.questions) == 1)
    impatient.cancel()
    await asyncio.wait([impatient])
    oracle.free.set()
    assert await patient == 1


async def test_a_question_that_hangs_holds_up_only_who_asked_it(oracle: Oracle, together: Together[int, int]) -> None:
    oracle.free.clear()
    hanging = asyncio.create_task(one(together, 2))
    await eventually(lambda: len(oracle.questions) == 1)
    behind = asyncio.create_task(one(together, 4))
    began = asyncio.get_running_loop().time()
    await eventually(lambda: asyncio.get_running_loop().time() > began + PATIENCE_SECONDS)
    after = asyncio.create_task(one(together, 6))
    await eventually(lambda: len(oracle.questions) == 2)
    assert oracle.questions == [[2], [4, 6]]
    oracle.free.set()
    assert [await answer for answer in (hanging, behind, after)] == [1, 2, 2]
    assert await one(together, 8) == 3
