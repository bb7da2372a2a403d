"""Those who change one thing do it one after the other, and nobody waits for long."""

import asyncio

import pytest

from application.turns import OneByOne


async def test_those_who_change_one_thing_do_it_one_after_the_other_in_the_order_in_which_they_came() -> None:
    turns = OneByOne(patience_seconds=60)
    there, done = 0, []

    async def change(number: int) -> None:
        nonlocal there
        async with turns.turn("a room"):
            there += 1
            assert there == 1
            await asyncio.sleep(0)
            there -= 1
            done.append(number)

    await asyncio.gather(*map(change, range(20)))
    assert done == list(range(20))


async def test_nobody_waits_for_those_who_change_something_else() -> None:
    turns = OneByOne(patience_seconds=60)
    async with turns.turn("a room"), turns.turn("another room"):
        pass


async def test_who_has_waited_for_long_goes_ahead_and_takes_nobody_elses_turn() -> None:
    turns = OneByOne(patience_seconds=0.01)
    async with turns.turn("a room"):
        for _ in range(2):
            async with turns.turn("a room"):
                pass


async def test_a_turn_ends_with_a_failure_too_and_with_somebody_who_gave_up_waiting() -> None:
    turns = OneByOne(patience_seconds=60)
    with pytest.raises(ValueError, match="no"):
        async with turns.turn("a room"):
            waiting = asyncio.create_task(turns.turn("a room").__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            raise ValueError("no")
    async with asyncio.timeout(30), turns.turn("a room"):
        pass
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_nothing_is_remembered_of_a_thing_that_nobody_changes() -> None:
    turns = OneByOne()
    async with turns.turn("a room"):
        assert len(turns._turns) == 1
    assert len(turns._turns) == 0
