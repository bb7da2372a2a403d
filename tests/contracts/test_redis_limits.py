"""What becomes of limits when Redis dies, hangs, forgets everything or throws its clients out."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.observer import MemoryObserver
from adapters.redis.limits import RedisRateLimiter
from adapters.system import SystemClock
from application.ports.limits import RateLimiter, Verdict
from tests.contracts.house import eventually
from tests.support.promised import stretched
from tests.support.services import RedisService

HOUR_MS = 3_600_000
LONGEST_WAIT_SECONDS = 0.25


class NoFallback(RateLimiter):
    """What must not be asked as long as Redis is there."""

    async def take(self, key: str, limit: int, window_ms: int, cost: float = 1) -> Verdict:
        raise AssertionError(f"{key} was counted in the process: {limit} in {window_ms} ms")

    async def give_back(self, key: str, limit: int, window_ms: int) -> None:
        raise AssertionError(f"{key} was given back in the process")

    async def forget(self, key: str) -> None: ...


@pytest.fixture
def new_limiter(redis: RedisService) -> Iterator[Callable[..., RedisRateLimiter]]:
    """Makes limiters as separate processes would, each with a fallback; those that may not use it are patient."""
    limiters: list[RedisRateLimiter] = []

    def make(fallback: RateLimiter | None = None) -> RedisRateLimiter:
        if fallback:
            limiter = RedisRateLimiter(redis.url, fallback, MemoryObserver(), answer_seconds=10)
        else:
            limiter = RedisRateLimiter(redis.url, MemoryRateLimiter(SystemClock()), MemoryObserver())
        limiters.append(limiter)
        return limiter

    yield make
    for limiter in limiters:
        limiter.close()


async def timed_take(limiter: RateLimiter, key: str, limit: int) -> tuple[Verdict, float]:
    began = time.monotonic()
    verdict = await limiter.take(key, limit, HOUR_MS)
    return verdict, time.monotonic() - began


async def count_together(one: RateLimiter, other: RateLimiter) -> bool:
    """Whether what one of them counts is known to the other."""
    key = f"together {random.random()}"
    await one.take(key, 1, HOUR_MS)
    return not (await other.take(key, 1, HOUR_MS)).allowed


def limiters_connected(admin: Redis) -> int:
    clients: Any = admin.client_list()
    return sum(client["name"] == "signalbox-limits" for client in clients)


async def test_limiters_count_together_from_the_first_call_on(new_limiter: Callable[..., RedisRateLimiter]) -> None:
    limiters = [new_limiter(NoFallback()) for _ in range(5)]
    verdicts = await asyncio.gather(*(limiters[i % 5].take("shared", 10, HOUR_MS) for i in range(100)))
    assert sum(verdict.allowed for verdict in verdicts) == 10


async def test_all_who_ask_at_the_same_time_cost_one_call(
    new_limiter: Callable[..., RedisRateLimiter], admin: Redis
) -> None:
    limiter = new_limiter(NoFallback())
    await limiter.take("first", 10, HOUR_MS)
    admin.config_resetstat()
    await asyncio.gather(*(limiter.take(f"key {i}", 10, HOUR_MS) for i in range(32)))
    statistics: Any = admin.info("commandstats")
    assert statistics["cmdstat_evalsha"]["calls"] == 1


async def test_whoever_asks_while_an_answer_is_awaited_goes_with_the_next_call(
    redis: RedisService, new_limiter: Callable[..., RedisRateLimiter], admin: Redis
) -> None:
    limiter = new_limiter(NoFallback())
    await limiter.take("first", 10, HOUR_MS)
    admin.config_resetstat()
    redis.pause()
    waiting = []
    for i in range(20):
        waiting.append(asyncio.create_task(limiter.take(f"key {i}", 10, HOUR_MS)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    redis.resume()
    assert all(verdict.remaining == 9 for verdict in await asyncio.gather(*waiting))
    statistics: Any = admin.info("commandstats")
    assert statistics["cmdstat_evalsha"]["calls"] == 2


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_without_redis_the_limit_holds_in_the_process_and_nobody_waits(
    redis: RedisService, new_limiter: Callable[..., RedisRateLimiter], fault: str
) -> None:
    limiter = new_limiter()
    await limiter.take("warm", 10, HOUR_MS)
    getattr(redis, fault)()
    at_once = await asyncio.gather(*(timed_take(limiter, "crowd", 10) for _ in range(100)))
    one_by_one = [await timed_take(limiter, "row", 10) for _ in range(100)]
    for outcomes in (at_once, one_by_one):
        assert sum(verdict.allowed for verdict, _ in outcomes) == 10
        assert max(waited for _, waited in outcomes) < stretched(LONGEST_WAIT_SECONDS)
    # Only the first had to find out.
    assert sum(waited for _, waited in one_by_one) < stretched(2 * LONGEST_WAIT_SECONDS)


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_when_redis_is_back_the_limit_is_shared_again(
    redis: RedisService, new_limiter: Callable[..., RedisRateLimiter], admin: Redis, fault: str
) -> None:
    one, other = new_limiter(), new_limiter()
    await eventually(lambda: count_together(one, other))
    getattr(redis, fault)()
    assert not await count_together(one, other)
    if fault == "kill":
        redis.start()
    else:
        redis.resume()
    await eventually(lambda: count_together(one, other))
    assert limiters_connected(admin) == 2


async def test_a_long_outage_makes_nobody_wait_although_redis_is_tried_again(
    redis: RedisService, new_limiter: Callable[..., RedisRateLimiter]
) -> None:
    limiter = new_limiter()
    await limiter.take("warm", 10, HOUR_MS)
    redis.pause()
    await limiter.take("finds out", 10, HOUR_MS)
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        answer = asyncio.create_task(limiter.take("any", 1_000_000, HOUR_MS))
        for _ in range(10):
            await asyncio.sleep(0)
        assert answer.done()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_a_limiter_that_never_met_redis_works(
    redis: RedisService, new_limiter: Callable[..., RedisRateLimiter], fault: str
) -> None:
    getattr(redis, fault)()
    limiter = new_limiter()
    outcomes = await asyncio.gather(*(timed_take(limiter, "crowd", 10) for _ in range(100)))
    assert sum(verdict.allowed for verdict, _ in outcomes) == 10
    assert max(waited for _, waited in outcomes) < stretched(LONGEST_WAIT_SECONDS)


async def test_a_script_that_redis_forgot_is_sent_again(
    new_limiter: Callable[..., RedisRateLimiter], admin: Redis
) -> None:
    limiter = new_limiter(NoFallback())
    for _ in range(3):
        admin.script_flush()
        verdicts = await asyncio.gather(*(limiter.take(f"key {i}", 10, HOUR_MS) for i in range(3)))
        assert all(verdict.allowed for verdict in verdicts)
    assert [verdict.remaining for verdict in verdicts] == [7, 7, 7]


async def test_a_limiter_whose_connection_was_closed_has_another_one_soon(
    new_limiter: Callable[..., RedisRateLimiter], admin: Redis
) -> None:
    one, other = new_limiter(), new_limiter()
    await eventually(lambda: count_together(one, other))
    admin.client_kill_filter(_type="normal", skipme=True)
    await eventually(lambda: count_together(one, other))


async def test_a_redis_that_cannot_count_counts_as_away(
    new_limiter: Callable[..., RedisRateLimiter], admin: Redis
) -> None:
    limiter = new_limiter()
    admin.rpush("signalbox:limit:list", "no number")
    verdicts = await asyncio.gather(*(limiter.take("list", 2, HOUR_MS) for _ in range(5)))
    assert sum(verdict.allowed for verdict in verdicts) == 2


@pytest.mark.parametrize("oddity", ["", " ", "a\r\nb", "\x00", "ä", "\ud800", "x" * 100_000])
async def test_any_text_can_be_counted(new_limiter: Callable[..., RedisRateLimiter], oddity: str) -> None:
    limiter = new_limiter(NoFallback())
    verdicts = await asyncio.gather(*(limiter.take(key, 5, HOUR_MS) for key in ("usual", oddity, "usual", oddity)))
    assert [verdict.remaining for verdict in verdicts] == [4, 4, 3, 3]


async def test_callers_who_stop_waiting_leave_the_answers_of_others_alone(
    new_limiter: Callable[..., RedisRateLimiter],
) -> None:
    limiter = new_limiter(NoFallback())
    for i in range(20):
        await asyncio.gather(*(limiter.take(f"key {i}", 100, HOUR_MS) for _ in range(i)))
    chance = random.Random(7)
    for already in range(20):
        waiting = [asyncio.create_task(limiter.take(f"key {i}", 100, HOUR_MS)) for i in range(20)]
        cancelled = [asyncio.create_task(limiter.take("given up", 100, HOUR_MS)) for _ in range(20)]
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        verdicts = await asyncio.gather(*waiting)
        assert [verdict.remaining for verdict in verdicts] == [99 - i - already for i in range(20)]


async def test_a_count_from_a_larger_limit_or_another_time_locks_for_one_window_at_most(
    new_limiter: Callable[..., RedisRateLimiter], admin: Redis
) -> None:
    limiter = new_limiter(NoFallback())
    in_a_year = (int(time.time()) + 365 * 86_400) * 1_000_000
    admin.set("signalbox:limit:far", in_a_year)
    refused = await limiter.take("far", 20, 1_000)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.reset_seconds == pytest.approx(1.0)
    assert refused.retry_after_seconds == pytest.approx(0.05)

    async def passes() -> bool:
        return (await limiter.take("far", 20, 1_000)).allowed

    await eventually(passes, seconds=1)


async def test_counts_do_not_outlive_their_use(new_limiter: Callable[..., RedisRateLimiter], admin: Redis) -> None:
    await new_limiter(NoFallback()).take("short", 10, 10_000)
    lifetime: Any = admin.pttl("signalbox:limit:short")
    assert 0 < lifetime <= 1_000


async def test_a_closed_limiter_counts_in_the_process(
    new_limiter: Callable[..., RedisRateLimiter], admin: Redis
) -> None:
    limiter, other = new_limiter(), new_limiter()
    await limiter.take("key", 1, HOUR_MS)
    limiter.close()
    assert (await limiter.take("key", 1, HOUR_MS)).allowed
    assert not (await limiter.take("key", 1, HOUR_MS)).allowed
    await other.take("key", 1, HOUR_MS)
    await eventually(lambda: limiters_connected(admin) == 1)
