"""What `Cache` promises, in memory and with Redis behind it, and the bounds of the one in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from adapters.memory.cache import ENTRY_BYTES, KEPT_SECONDS, LARGEST_SHARE, MemoryCache
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from application.ports.cache import Cache
from domain.errors import Unavailable
from tests.contracts.house import House, eventually


class Source:
    """Where things come from, if they are not kept: what is asked of it is counted, and waits until it is `open`."""

    def __init__(self, answer: bytes | None = b"made") -> None:
        self.loads = 0
        self.answer = answer
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self) -> bytes | None:
        self.loads += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return self.answer


def holding(answer: bytes) -> Callable[[], Awaitable[bytes | None]]:
    async def load() -> bytes | None:
        return answer

    return load


async def test_what_was_loaded_is_not_loaded_again_in_the_same_state(house: House) -> None:
    source = Source()
    for _ in range(3):
        assert await house.cache.through("list", "1", source) == b"made"
    assert source.loads == 1


async def test_what_is_of_another_state_counts_for_nothing(house: House) -> None:
    assert await house.cache.through("list", "1", holding(b"first")) == b"first"
    assert await house.cache.through("list", "2", holding(b"second")) == b"second"
    assert await house.cache.through("list", "2", holding(b"never asked")) == b"second"
    assert await house.cache.through("list", "1", holding(b"not the second")) == b"not the second"


async def test_each_key_has_its_own(house: House) -> None:
    keys = ["one", "another", "", " ", "ä…\n", 'a "quoted" one', "x" * 2_000]
    for key in keys:
        await house.cache.through(key, "1", holding(key.encode()))
    for key in keys:
        assert await house.cache.through(key, "1", holding(b"lost")) == key.encode()


async def test_any_bytes_can_be_kept(house: House) -> None:
    for number, value in enumerate([b"", b"\n", b"\x00\xff\r\n", bytes(range(256)) * 100]):
        assert await house.cache.through(f"bytes {number}", "1", holding(value)) == value
        assert await house.cache.through(f"bytes {number}", "1", holding(b"lost")) == value


async def test_of_twenty_who_ask_at_once_one_loads(house: House) -> None:
    source = Source()
    source.open.clear()
    racers = [asyncio.create_task(house.cache.through("list", "1", source)) for _ in range(20)]
    await eventually(lambda: source.loads > 0)
    source.open.set()
    assert await asyncio.gather(*racers) == [b"made"] * 20
    assert source.loads == 1


async def test_those_who_ask_as_of_another_state_wait_for_nobody(house: House) -> None:
    before, after = Source(b"before"), Source(b"after")
    before.open.clear()
    waiting = asyncio.create_task(house.cache.through("list", "1", before))
    await eventually(lambda: before.loads == 1)
    assert await house.cache.through("list", "2", after) == b"after"
    before.open.set()
    assert await waiting == b"before"


async def test_nothing_is_told_to_all_who_wait_and_is_not_kept(house: House) -> None:
    source = Source(None)
    source.open.clear()
    racers = [asyncio.create_task(house.cache.through("list", "1", source)) for _ in range(5)]
    await eventually(lambda: source.loads > 0)
    source.open.set()
    assert await asyncio.gather(*racers) == [None] * 5
    source.answer = b"something"
    assert await house.cache.through("list", "1", source) == b"something"
    assert source.loads == 2


async def test_a_failure_is_told_to_all_who_wait_and_is_not_kept(house: House) -> None:
    source = Source()
    source.error = Unavailable("It is away.")
    source.open.clear()
    racers = [asyncio.create_task(house.cache.through("list", "1", source)) for _ in range(5)]
    await eventually(lambda: source.loads > 0)
    source.open.set()
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
    source.error = None
    assert await house.cache.through("list", "1", source) == b"made"
    assert source.loads == 2


async def test_who_stops_waiting_stops_nobody_else(house: House) -> None:
    source = Source()
    source.open.clear()
    first, second = [asyncio.create_task(house.cache.through("list", "1", source)) for _ in range(2)]
    await eventually(lambda: source.loads == 1)
    first.cancel()
    await asyncio.wait([first])
    source.open.set()
    assert await second == b"made"
    assert first.cancelled()
    assert source.loads == 1


async def test_what_one_process_loaded_another_finds(house: House) -> None:
    number = 0

    async def is_found() -> bool:
        nonlocal number
        number += 1
        await house.cache.through(f"shared {number}", "1", holding(b"made here"))
        return await house.cache_elsewhere.through(f"shared {number}", "1", holding(b"made there")) == b"made here"

    await eventually(is_found)
    assert await house.cache_elsewhere.through(f"shared {number}", "2", holding(b"of another state")) != b"made here"


# ------------------------------------------------------------------------------------------------------- in memory


def in_memory(max_bytes: int) -> tuple[MemoryCache, MovableClock, MemoryObserver]:
    clock, observer = MovableClock(), MemoryObserver()
    return MemoryCache(max_bytes, clock, observer), clock, observer


async def is_kept(cache: Cache, key: str) -> bool:
    """Whether something is kept, without any change of that."""
    return await cache.through(key, "1", Source(None)) is not None


async def test_in_memory_nothing_is_kept_for_longer_than_a_minute() -> None:
    cache, clock, _ = in_memory(1_000_000)
    await cache.through("list", "1", Source())
    clock.advance(timedelta(seconds=KEPT_SECONDS - 1))
    assert await is_kept(cache, "list")
    clock.advance(timedelta(seconds=1))
    assert not await is_kept(cache, "list")


async def test_in_memory_what_was_asked_for_longest_ago_gives_way() -> None:
    cache, _, _ = in_memory(LARGEST_SHARE * ENTRY_BYTES * 2)
    value = b"x" * ENTRY_BYTES
    for number in range(LARGEST_SHARE):
        await cache.through(str(number), "1", Source(value))
    assert await is_kept(cache, "0")
    await cache.through("one more", "1", Source(value))
    assert [number for number in range(LARGEST_SHARE) if not await is_kept(cache, str(number))] == [1]


@pytest.mark.parametrize("size", [0, 100, 3_000, 60_000])
async def test_in_memory_the_bytes_are_bounded(size: int) -> None:
    cache, _, _ = in_memory(1_000_000)
    for number in range(2_000):
        await cache.through(str(number), "1", Source(bytes(size)))
        assert cache.size <= 1_000_000
    assert cache.size > 900_000


async def test_in_memory_one_large_thing_does_not_cost_all_the_others() -> None:
    cache, _, _ = in_memory(1_000_000)
    await cache.through("small", "1", Source())
    huge = Source(bytes(100_000))
    for _ in range(2):
        assert await cache.through("huge", "1", huge) == huge.answer
    assert huge.loads == 2
    assert await is_kept(cache, "small")


async def test_in_memory_an_observer_is_told_what_became_of_each_question() -> None:
    cache, _, observer = in_memory(1_000_000)
    for state in ("1", "1", "1", "2", "2"):
        await cache.through("list", state, Source())
    assert observer.happenings == {("cache", "miss"): 1, ("cache", "hit"): 3, ("cache", "stale"): 1}
