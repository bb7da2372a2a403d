"""What every rate limiter promises."""

import asyncio
from datetime import timedelta

import pytest

from adapters.memory.limits import KEYS_MAX, MemoryRateLimiter
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from adapters.redis.limits import RedisRateLimiter
from tests.contracts.house import House

MINUTE_MS = 60_000


async def test_of_a_hundred_calls_at_once_as_many_pass_as_the_limit_says(house: House) -> None:
    verdicts = await asyncio.gather(*(house.limiter.take("crowd", 10, 10 * MINUTE_MS) for _ in range(100)))
    assert sum(verdict.allowed for verdict in verdicts) == 10
    assert sorted(verdict.remaining for verdict in verdicts if verdict.allowed) == list(range(10))
    assert all(verdict.remaining == 0 for verdict in verdicts if not verdict.allowed)


async def test_a_verdict_tells_what_is_left_and_when_to_come_back(house: House) -> None:
    first = await house.limiter.take("told", 2, MINUTE_MS)
    second = await house.limiter.take("told", 2, MINUTE_MS)
    refused = await house.limiter.take("told", 2, MINUTE_MS)
    assert (first.allowed, first.remaining, first.retry_after_seconds) == (True, 1, 0)
    assert first.reset_seconds == pytest.approx(30, abs=2)
    assert (second.allowed, second.remaining, second.retry_after_seconds) == (True, 0, 0)
    assert second.reset_seconds == pytest.approx(60, abs=2)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.reset_seconds == pytest.approx(60, abs=2)
    assert refused.retry_after_seconds == pytest.approx(30, abs=2)


async def test_calls_are_refilled_evenly_over_the_window(house: House) -> None:
    window_ms = 3_000
    for _ in range(2):
        assert (await house.limiter.take("refilled", 2, window_ms)).allowed
    refused = await house.limiter.take("refilled", 2, window_ms)
    assert not refused.allowed
    assert 0 < refused.retry_after_seconds <= 1.5
    await house.pass_time(timedelta(seconds=refused.retry_after_seconds + 0.02))
    assert (await house.limiter.take("refilled", 2, window_ms)).allowed
    assert not (await house.limiter.take("refilled", 2, window_ms)).allowed


async def test_after_the_reset_all_calls_are_there_again(house: House) -> None:
    for _ in range(3):
        await house.limiter.take("reset", 3, 1_500)
    verdict = await house.limiter.take("reset", 3, 1_500)
    await house.pass_time(timedelta(seconds=verdict.reset_seconds + 0.02))
    assert (await house.limiter.take("reset", 3, 1_500)).remaining == 2


async def test_a_refused_call_does_not_count(house: House) -> None:
    await house.limiter.take("patient", 1, MINUTE_MS)
    waits = [(await house.limiter.take("patient", 1, MINUTE_MS)).retry_after_seconds for _ in range(20)]
    assert all(wait <= 60 for wait in waits)


async def test_each_key_is_counted_for_itself(house: House) -> None:
    assert (await house.limiter.take("one", 1, MINUTE_MS)).allowed
    assert not (await house.limiter.take("one", 1, MINUTE_MS)).allowed
    assert (await house.limiter.take("another", 1, MINUTE_MS)).allowed


async def test_a_forgotten_key_starts_anew(house: House) -> None:
    for _ in range(3):
        await house.limiter.take("forgotten", 2, MINUTE_MS)
        await house.limiter.take("kept", 1, MINUTE_MS)
    await house.limiter.forget("forgotten")
    await house.limiter.forget("never counted")
    assert (await house.limiter.take("forgotten", 2, MINUTE_MS)).remaining == 1
    assert not (await house.limiter.take("kept", 1, MINUTE_MS)).allowed


async def test_a_call_that_is_given_back_is_as_if_it_had_not_been_made(house: House) -> None:
    for _ in range(3):
        assert (await house.limiter.take("given back", 3, MINUTE_MS)).allowed
    await house.limiter.give_back("given back", 3, MINUTE_MS)
    assert [(await house.limiter.take("given back", 3, MINUTE_MS)).allowed for _ in range(2)] == [True, False]
    for _ in range(5):
        await house.limiter.give_back("given back", 3, MINUTE_MS)
        await house.limiter.give_back("never counted", 3, MINUTE_MS)
    for key in ("given back", "never counted"):
        assert [(await house.limiter.take(key, 3, MINUTE_MS)).remaining for _ in range(3)] == [2, 1, 0]
        assert not (await house.limiter.take(key, 3, MINUTE_MS)).allowed


async def test_a_limit_of_any_size_lets_exactly_so_many_pass(house: House) -> None:
    for limit in (1, 3, 7, 97):
        verdicts = [await house.limiter.take(f"size {limit}", limit, 24 * 60 * MINUTE_MS) for _ in range(limit + 1)]
        assert [verdict.allowed for verdict in verdicts] == [True] * limit + [False]


async def test_a_call_counts_for_what_it_costs(house: House) -> None:
    window_ms = 10 * MINUTE_MS
    costly = await house.limiter.take("costly", 20, window_ms, 11)
    half = await house.limiter.take("costly", 20, window_ms, 1.5)
    assert (costly.allowed, costly.remaining, half.allowed, half.remaining) == (True, 9, True, 7)
    assert costly.reset_seconds == pytest.approx(330, abs=2)
    assert half.reset_seconds == pytest.approx(375, abs=2)
    assert (await house.limiter.take("costly", 20, window_ms)).remaining == 6


async def test_a_call_that_costs_more_than_is_left_counts_nothing_and_leaves_room_for_cheaper_ones(
    house: House,
) -> None:
    window_ms = 10 * MINUTE_MS
    await house.limiter.take("left", 10, window_ms, 6)
    refused = await house.limiter.take("left", 10, window_ms, 7)
    assert (refused.allowed, refused.remaining) == (False, 4)
    assert refused.reset_seconds == pytest.approx(360, abs=2)
    assert refused.retry_after_seconds == pytest.approx(180, abs=2)
    assert (await house.limiter.take("left", 10, window_ms, 4)).allowed
    assert not (await house.limiter.take("left", 10, window_ms, 0.1)).allowed


async def test_what_costs_more_than_the_limit_passes_once_nothing_is_counted(house: House) -> None:
    window_ms = 1_500
    first = await house.limiter.take("huge", 3, window_ms, 100)
    assert (first.allowed, first.remaining) == (True, 0)
    await house.pass_time(timedelta(seconds=0.6))
    refused = await house.limiter.take("huge", 3, window_ms, 100)
    assert not refused.allowed
    assert 0 < refused.retry_after_seconds <= 0.9
    await house.pass_time(timedelta(seconds=refused.retry_after_seconds + 0.02))
    assert (await house.limiter.take("huge", 3, window_ms, 100)).allowed


async def test_of_many_costly_calls_at_once_as_many_pass_as_fit(house: House) -> None:
    costs = [11.0, 1.0, 2.5] * 40
    verdicts = await asyncio.gather(*(house.limiter.take("racers", 100, 60 * MINUTE_MS, cost) for cost in costs))
    passed = sum(cost for cost, verdict in zip(costs, verdicts, strict=True) if verdict.allowed)
    # Whichever come first: those that no longer fit were refused because less than they cost was left.
    assert 99 < passed <= 100


async def test_without_its_store_a_limiter_counts_in_the_process() -> None:
    limiter = RedisRateLimiter("redis://127.0.0.1:1/0", MemoryRateLimiter(MovableClock()), MemoryObserver())
    verdicts = [await limiter.take("alone", 10, MINUTE_MS) for _ in range(30)]
    assert sum(verdict.allowed for verdict in verdicts) == 10
    assert not (await limiter.take("costly", 10, MINUTE_MS, 6), await limiter.take("costly", 10, MINUTE_MS, 5))[
        1
    ].allowed
    await limiter.forget("alone")
    assert (await limiter.take("alone", 10, MINUTE_MS)).allowed
    limiter.close()


async def test_the_process_counts_a_bounded_number_of_keys_and_forgets_the_one_counted_longest_ago() -> None:
    limiter = MemoryRateLimiter(MovableClock())
    for number in range(KEYS_MAX):
        await limiter.take(f"key {number}", 1, MINUTE_MS)
    assert not (await limiter.take("key 0", 1, MINUTE_MS)).allowed
    await limiter.take("one more", 1, MINUTE_MS)
    assert not (await limiter.take("key 0", 1, MINUTE_MS)).allowed
    assert (await limiter.take("key 1", 1, MINUTE_MS)).allowed


async def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_window() -> None:
    clock = MovableClock()
    limiter = MemoryRateLimiter(clock)
    await limiter.take("key", 1, MINUTE_MS)
    clock.advance(timedelta(days=-1))
    refused = await limiter.take("key", 1, MINUTE_MS)
    assert (refused.allowed, refused.retry_after_seconds) == (False, 60)
    clock.advance(timedelta(minutes=1))
    assert (await limiter.take("key", 1, MINUTE_MS)).allowed
