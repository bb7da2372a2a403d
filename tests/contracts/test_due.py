"""What `Deadlines` promises: who asks learns what is due, and nobody waits for that, however many ask."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from adapters.postgres.database import Database
from application.ports.due import DUE, Ahead, Deadlines, Late, alarm_of
from application.ports.events import Entry, Signal
from tests.support.reminders import Bedside, bedside_in_memory, bedside_on_postgres

FAR = 3_600


@pytest.fixture(params=["memory", "postgres"])
def bedside(request: pytest.FixtureRequest) -> Bedside:
    """One store after the other."""
    found: Bedside = request.getfixturevalue(f"{request.param}_bedside")
    return found


@pytest_asyncio.fixture
async def memory_bedside() -> Bedside:
    return bedside_in_memory()


@pytest_asyncio.fixture
async def postgres_bedside(database_url: str, empty_database: Database) -> AsyncIterator[Bedside]:
    async with bedside_on_postgres(database_url, empty_database) as bedside:
        yield bedside


async def late(bedside: Bedside, most: int = 99, *besides: Late) -> list[Late]:
    deadlines: Deadlines = bedside.deadlines
    return list(await deadlines.late(bedside.clock.now(), most, besides))


async def look(bedside: Bedside, most: int = 99) -> Ahead:
    return await bedside.deadlines.look(bedside.clock.now(), most)


async def test_where_nothing_will_ever_be_due_nothing_is_ahead(bedside: Bedside) -> None:
    await bedside.remind()
    assert await look(bedside) == Ahead(None, 0, None)
    assert await late(bedside) == []


async def test_what_is_due_comes_in_the_order_of_its_times_and_no_more_than_was_asked_for(bedside: Bedside) -> None:
    began = bedside.clock.now()
    ids = {seconds: await bedside.remind(seconds, FAR) for seconds in (3, 1, 2, 9)}
    assert await late(bedside) == []
    assert await look(bedside) == Ahead(began + timedelta(seconds=1), 0, began + timedelta(seconds=1))
    bedside.clock.advance(timedelta(seconds=3))
    expected = [Late(ids[seconds], began + timedelta(seconds=seconds)) for seconds in (1, 2, 3)]
    assert await late(bedside) == expected
    assert await late(bedside, 2) == expected[:2]
    assert await late(bedside, 2, expected[0]) == expected[1:]
    assert await look(bedside) == Ahead(began + timedelta(seconds=1), 3, began + timedelta(seconds=9))
    assert (await look(bedside, 2)).late == 2


async def test_what_was_passed_by_is_due_again_when_it_has_another_time(bedside: Bedside) -> None:
    id = await bedside.remind(1)
    bedside.clock.advance(timedelta(seconds=5))
    (first,) = await late(bedside)
    assert await late(bedside, 9, first) == []
    await bedside.change(id, -1)
    assert await late(bedside, 9, first) == [Late(id, bedside.clock.now() - timedelta(seconds=1))]


async def test_what_has_elapsed_is_due_at_its_next_time_or_never(bedside: Bedside) -> None:
    id = await bedside.remind(1, 5)
    bedside.clock.advance(timedelta(seconds=2))
    await bedside.elapse(id, bedside.clock.now())
    next_at = bedside.clock.now() + timedelta(seconds=3)
    assert await look(bedside) == Ahead(next_at, 0, next_at)
    bedside.clock.advance(timedelta(seconds=3))
    await bedside.elapse(id, bedside.clock.now())
    assert await look(bedside) == Ahead(None, 0, None)
    assert len(await bedside.rings(id)) == 2


async def test_a_thing_that_elapses_many_times_at_once_does_so_once_in_effect(bedside: Bedside) -> None:
    id = await bedside.remind(1)
    bedside.clock.advance(timedelta(seconds=1))
    await asyncio.gather(*(bedside.elapse(id, bedside.clock.now()) for _ in range(20)), return_exceptions=True)
    await bedside.elapse(id, bedside.clock.now())
    assert len(await bedside.rings(id)) == 1


@pytest.mark.parametrize(("seconds", "is_told"), [(-5, True), (0, True), (0.9, True), (1, False), (FAR, False)])
async def test_what_is_due_before_everybody_looks_again_is_told(
    bedside: Bedside, seconds: float, is_told: bool
) -> None:
    told: list[Entry | Signal] = []
    bedside.broker.listen(told.append, lambda: None)
    bedside.broker.follow(DUE)
    id = await bedside.remind(FAR)
    await bedside.change(id, seconds, FAR)
    at = bedside.clock.now() + timedelta(seconds=seconds)
    assert [alarm_of(signal) for signal in told if isinstance(signal, Signal)] == ([at] if is_told else [])
