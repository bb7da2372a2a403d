"""What becomes of the shared cache when Redis dies, hangs, forgets, or holds something else than it should."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from adapters.memory.cache import MemoryCache
from adapters.memory.observer import MemoryObserver
from adapters.redis.cache import ANSWER_SECONDS, LARGEST_BYTES, RedisCache
from adapters.redis.seal import Seal
from adapters.system import SystemClock
from tests.contracts.house import eventually
from tests.contracts.test_cache import Source, holding
from tests.support.promised import stretched
from tests.support.services import SEAL, RedisService

LONGEST_WAIT_SECONDS = 0.25
PREFIX = "signalbox:cache:"

NewCache = Callable[..., RedisCache]


@pytest.fixture
def observer() -> MemoryObserver:
    return MemoryObserver()


@pytest.fixture
def new_cache(redis: RedisService, observer: MemoryObserver) -> Iterator[NewCache]:
    """Makes caches as separate processes would, which forget at once what they do not find in Redis."""
    caches: list[RedisCache] = []

    def make(max_bytes: int = 10_000_000, answer_seconds: float = ANSWER_SECONDS) -> RedisCache:
        # Too small for a single entry, so that everything is asked of Redis.
        near = MemoryCache(100, SystemClock(), MemoryObserver())
        cache = RedisCache(redis.url, near, max_bytes, SEAL, observer, answer_seconds=answer_seconds)
        caches.append(cache)
        return cache

    yield make
    for cache in caches:
        cache.close()


async def ready(cache: RedisCache) -> RedisCache:
    """The cache, once what is put into it is there."""

    async def keeps() -> bool:
        key = f"warm {random.random()}"
        await cache.through(key, "1", holding(b"kept"))
        return await cache.through(key, "1", holding(b"lost")) == b"kept"

    await eventually(keeps)
    return cache


async def timed(cache: RedisCache, key: str) -> float:
    began = time.monotonic()
    assert await cache.through(key, "1", holding(b"made")) == b"made"
    return time.monotonic() - began


def state_of(cache: RedisCache) -> str:
    return cache.breaker.state


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_without_redis_everything_is_loaded_and_nobody_waits_for_long(
    redis: RedisService, new_cache: NewCache, fault: str
) -> None:
    cache = await ready(new_cache())
    getattr(redis, fault)()
    at_once = await asyncio.gather(*(timed(cache, f"crowd {number}") for number in range(100)))
    one_by_one = [await timed(cache, f"row {number}") for number in range(100)]
    assert max(at_once + one_by_one) < stretched(LONGEST_WAIT_SECONDS)
    # Only the first had to find out.
    assert sum(one_by_one) < stretched(2 * LONGEST_WAIT_SECONDS)


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_the_breaker_opens_without_redis_and_closes_when_it_is_back(
    redis: RedisService, new_cache: NewCache, observer: MemoryObserver, fault: str
) -> None:
    cache = await ready(new_cache())
    getattr(redis, fault)()
    await timed(cache, "finds out")
    assert state_of(cache) == "open"
    assert observer.happenings["cache", "unavailable"] > 0
    if fault == "kill":
        redis.start()
    else:
        redis.resume()
    await ready(cache)
    assert state_of(cache) == "closed"


async def test_a_long_outage_makes_nobody_wait_although_redis_is_tried_again(
    redis: RedisService, new_cache: NewCache
) -> None:
    cache = await ready(new_cache())
    redis.pause()
    await timed(cache, "finds out")
    states = set()
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        answer = asyncio.create_task(cache.through("any", "1", holding(b"made")))
        for _ in range(20):
            await asyncio.sleep(0)
        assert answer.done()
        states.add(cache.breaker.state)
        await asyncio.sleep(0.005)
    assert states == {"open", "half_open"}


async def test_a_redis_that_never_was_there_holds_nobody_up(redis: RedisService, new_cache: NewCache) -> None:
    redis.pause()
    cache = new_cache()
    assert max([await timed(cache, f"row {number}") for number in range(20)]) < 0.1


async def test_an_entry_that_nobody_of_this_installation_made_is_not_handed_out_but_counted_and_replaced(
    new_cache: NewCache, admin: Redis, observer: MemoryObserver
) -> None:
    cache = await ready(new_cache(answer_seconds=10))
    page = b"page\n1\nforged"
    for forged in (b"", page, bytes(16) + page, Seal("tests", "another secret").sealed(b"page", page)):
        before = observer.happenings["cache", "forged"]
        admin.set(f"{PREFIX}page", forged)
        assert await cache.through("page", "1", holding(b"true")) == b"true"
        assert observer.happenings["cache", "forged"] == before + 1
    await eventually(lambda: bytes(admin.get(f"{PREFIX}page")) == SEAL.sealed(b"page", b"page\n1\ntrue"))  # type: ignore[arg-type]


async def test_an_entry_that_is_another_keys_or_another_states_is_not_handed_out(
    new_cache: NewCache, admin: Redis
) -> None:
    cache = await ready(new_cache(answer_seconds=10))
    await cache.through("mine", "1", holding(b"mine"))
    admin.set(f"{PREFIX}yours", bytes(admin.get(f"{PREFIX}mine")))  # type: ignore[arg-type]
    assert await cache.through("yours", "1", holding(b"yours")) == b"yours"
    assert await cache.through("mine", "2", holding(b"newer")) == b"newer"
    for damaged in (b"", b"mine", b"mine\n", b"mine\n1"):
        admin.set(f"{PREFIX}mine", damaged)
        assert await cache.through("mine", "1", holding(b"anew")) == b"anew"


async def test_what_redis_refuses_to_show_is_loaded(new_cache: NewCache, admin: Redis) -> None:
    cache = await ready(new_cache())
    admin.rpush(f"{PREFIX}list", "no text")
    assert await cache.through("list", "1", holding(b"made")) == b"made"
    await ready(cache)
    assert state_of(cache) == "closed"


async def test_a_full_redis_fails_nobody(new_cache: NewCache, admin: Redis) -> None:
    cache = await ready(new_cache())
    admin.config_set("maxmemory", "1")
    try:
        for number in range(5):
            assert await timed(cache, f"list {number}") < LONGEST_WAIT_SECONDS
    finally:
        admin.config_set("maxmemory", "0")
    await ready(cache)


async def test_entries_end_by_themselves(new_cache: NewCache, admin: Redis) -> None:
    await ready(new_cache(answer_seconds=10))
    lifetimes = [admin.pttl(key) for key in admin.keys(f"{PREFIX}*")]
    assert lifetimes
    assert all(0 < lifetime <= 60_000 for lifetime in lifetimes)


async def test_one_process_puts_only_so_much_into_redis_in_a_minute(new_cache: NewCache, admin: Redis) -> None:
    cache = await ready(new_cache(max_bytes=100_000, answer_seconds=10))
    for number in range(50):
        await cache.through(f"list {number}", "1", Source(bytes(10_000)))
    await cache.through("list 0", "1", holding(b""))  # so all of them have arrived
    kept = sum(admin.strlen(key) for key in admin.keys(f"{PREFIX}*"))
    assert 80_000 < kept <= 100_000


async def test_what_is_very_large_stays_out_of_redis(new_cache: NewCache) -> None:
    cache = await ready(new_cache(answer_seconds=10))
    huge = Source(bytes(LARGEST_BYTES))
    for _ in range(2):
        assert await cache.through("huge", "1", huge) == huge.answer
    assert huge.loads == 2


async def test_callers_who_stop_waiting_leave_the_answers_of_others_alone(new_cache: NewCache) -> None:
    cache = await ready(new_cache(answer_seconds=10))
    keys = [str(number) for number in range(20)]
    for key in keys:
        await cache.through(key, "1", holding(key.encode()))
    chance = random.Random(7)
    for _ in range(20):
        waiting = [asyncio.create_task(cache.through(key, "1", holding(b"lost"))) for key in keys]
        cancelled = [asyncio.create_task(cache.through(f"given up {key}", "1", holding(b""))) for key in keys]
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        assert await asyncio.gather(*waiting) == [key.encode() for key in keys]


async def test_one_connection_serves_all_and_is_let_go(new_cache: NewCache, admin: Redis) -> None:
    def connections() -> int:
        return sum(client["name"] == "signalbox-cache" for client in admin.client_list())

    cache = await ready(new_cache(answer_seconds=10))
    await asyncio.gather(*(cache.through(f"list {number}", "1", Source()) for number in range(50)))
    assert connections() == 1
    cache.close()
    await eventually(lambda: connections() == 0)
    assert await cache.through("list", "1", holding(b"made")) == b"made"


async def test_a_cache_whose_connection_was_closed_has_another_one_soon(new_cache: NewCache, admin: Redis) -> None:
    cache = await ready(new_cache())
    admin.client_kill_filter(_type="normal", skipme=True)
    await ready(cache)
    assert state_of(cache) == "closed"
