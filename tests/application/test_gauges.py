"""Numbers for operators are asked for at a bounded price, and one that cannot be told hides no other."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application import gauges
from application.gauges import Gauges
from application.ports.observer import Gauge


def answering(*answers: float | Exception) -> Callable[[], Awaitable[float]]:
    left = iter(answers)

    async def ask() -> float:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


def shown(asked: Gauges) -> dict[str, float | None]:
    return {row.name: value for row, value in asked.read()}


async def test_a_number_is_missing_before_its_first_answer_and_after_a_question_that_failed() -> None:
    rooms = Gauge("rooms_open", "Rooms.", answering(3, OSError("away"), 4))
    asked = Gauges([rooms, Gauge("guests", "Guests.", answering(1, 2, 3))])
    assert shown(asked) == {"rooms_open": None, "guests": None}
    for expected in ((3, 1), (None, 2), (4, 3)):
        await asked.ask()
        assert shown(asked) == {"rooms_open": expected[0], "guests": expected[1]}


async def test_a_question_that_hangs_ends_and_the_next_one_is_asked() -> None:
    async def hang() -> float:
        await asyncio.Event().wait()
        return 0

    asked = Gauges([Gauge("rooms_open", "Rooms.", hang), Gauge("guests", "Guests.", answering(1))])
    async with asyncio.timeout(4 * gauges.DEADLINE_SECONDS):
        await asked.ask()
    assert shown(asked) == {"rooms_open": None, "guests": 1}


async def test_the_loop_asks_at_once_and_then_waits() -> None:
    asked = Gauges([Gauge("rooms_open", "Rooms.", answering(3))])  # a second question would fail
    running = asyncio.create_task(asked.run())
    async with asyncio.timeout(5):
        while shown(asked)["rooms_open"] is None:
            await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert shown(asked) == {"rooms_open": 3}
    running.cancel()


def test_two_numbers_of_one_name_and_a_name_that_is_none_are_refused() -> None:
    with pytest.raises(ValueError, match="rooms_open"):
        Gauges([Gauge("rooms_open", "Rooms.", answering()), Gauge("rooms_open", "Others.", answering())])
    with pytest.raises(ValueError, match="no name"):
        Gauge("rooms open", "Rooms.", answering())
