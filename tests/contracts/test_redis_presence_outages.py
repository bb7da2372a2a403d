"""What becomes of presence when Redis dies or hangs."""

import asyncio
import time
from collections.abc import Awaitable

import pytest

from adapters.redis.presence import RedisPresence
from domain.errors import Unavailable
from domain.ids import AccountId
from tests.contracts.crowd import ADA, HALL, NewPresence, account, present, refreshed
from tests.contracts.house import eventually
from tests.support.services import RedisService

ANSWER_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 3.0


async def fails_in_time(call: Awaitable[object]) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await call
    assert time.monotonic() - began < LONGEST_WAIT_SECONDS


def take_away(redis: RedisService, fault: str) -> None:
    redis.kill() if fault == "kill" else redis.pause()


def bring_back(redis: RedisService, fault: str) -> None:
    redis.start() if fault == "kill" else redis.resume()


@pytest.mark.parametrize("fault", ["kill", "pause"])
@pytest.mark.parametrize("has_met_redis", [False, True])
async def test_without_redis_every_call_fails_in_time(
    redis: RedisService, new_presence: NewPresence, fault: str, has_met_redis: bool
) -> None:
    presence = new_presence(answer_seconds=ANSWER_SECONDS)
    if has_met_redis:
        await presence.enter(HALL, ADA, "a1")
    take_away(redis, fault)
    for _ in range(2):
        await fails_in_time(presence.enter(HALL, ADA, "a1"))
        await fails_in_time(presence.present(HALL))
        await fails_in_time(presence.refresh())
        await fails_in_time(presence.reap())
        await fails_in_time(presence.leave(HALL, "a1"))
    assert await presence.leave(HALL, "never entered") is None
    crowd = [presence.enter(HALL, account(i), f"c{i}") for i in range(100)]
    await asyncio.gather(*map(fails_in_time, (*crowd, *(presence.present(HALL) for _ in range(20)))))


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_a_refresh_makes_up_for_what_failed_while_redis_was_away(
    redis: RedisService, new_presence: NewPresence, fault: str
) -> None:
    presence, other = new_presence(answer_seconds=ANSWER_SECONDS), new_presence()
    await presence.enter(HALL, account(0), "stays")
    await presence.enter(HALL, account(1), "leaves")
    await presence.enter(HALL, account(2), "returns")
    take_away(redis, fault)
    for call in (
        presence.enter(HALL, account(3), "comes"),
        presence.enter(HALL, account(4), "looks in"),
        presence.leave(HALL, "looks in"),
        presence.leave(HALL, "leaves"),
        presence.leave(HALL, "returns"),
        presence.enter(HALL, account(2), "returns"),
    ):
        await fails_in_time(call)
    bring_back(redis, fault)
    came = await refreshed(presence)
    await eventually(lambda: _sees(other, {account(0), account(2), account(3)}))
    if fault == "kill":
        assert {attendance.account for attendance in came} == {account(0), account(2), account(3)}
    assert await refreshed(presence) == []
    assert await presence.leave(HALL, "leaves") is None
    assert [outcome and outcome.connections for outcome in [await presence.leave(HALL, "comes")]] == [0]


async def _sees(presence: RedisPresence, expected: set[AccountId]) -> bool:
    try:
        return await present(presence) == expected
    except Unavailable:
        return False


async def test_a_leave_that_failed_can_be_repeated(redis: RedisService, new_presence: NewPresence) -> None:
    presence = new_presence(answer_seconds=ANSWER_SECONDS)
    await presence.enter(HALL, ADA, "a1")
    redis.pause()
    await fails_in_time(presence.leave(HALL, "a1"))
    await fails_in_time(presence.leave(HALL, "a1"))
    redis.resume()

    async def answers() -> bool:
        try:
            await presence.leave(HALL, "a1")
        except Unavailable:
            return False
        return True

    await eventually(answers)
    assert await present(presence) == set()


async def test_what_was_given_up_and_arrives_late_enters_nobody(new_presence: NewPresence) -> None:
    presence = new_presence(instance="house-1")
    for i in range(3):
        await presence.enter(HALL, account(i), f"c{i}")
        await presence.leave(HALL, f"c{i}")
    late = new_presence(instance="house-1")  # its turns begin at 1, as those of old commands
    await fails_in_time(late.enter(HALL, ADA, "a1"))
    assert await present(presence) == set()
