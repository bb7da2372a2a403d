"""What becomes of newest values when Redis dies, hangs, is emptied or lied to."""

import asyncio
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from redis import Redis

from adapters.memory.events import MemoryBroker
from adapters.memory.observer import MemoryObserver
from adapters.redis.newest import AT_ONCE, CHANNELS_AT_ONCE, RedisNewest
from adapters.values import SWEEP_AT_LEAST, Values
from application.ports.events import Broker, Entry, Signal
from domain.channels import Channel
from tests.contracts.house import eventually
from tests.contracts.test_newest import HALL, ONE, OTHER, SEATS, told, word
from tests.support.services import SEAL, RedisService

LONGEST_WAIT_SECONDS = 3.0
New = Callable[..., RedisNewest]


@pytest.fixture
def new(redis: RedisService) -> Iterator[New]:
    """Makes what each of several processes has, on a broker of its own."""
    made: list[RedisNewest] = []

    def make(answer_seconds: float = 30.0, observer: MemoryObserver | None = None, *heard: Broker) -> RedisNewest:
        (broker,) = heard or (MemoryBroker(),)
        made.append(RedisNewest(redis.url, SEAL, broker, observer or MemoryObserver(), answer_seconds=answer_seconds))
        return made[-1]

    yield make
    for newest in made:
        newest.close()


@pytest.mark.parametrize("fault", ["kill", "pause"])
@pytest.mark.parametrize("has_met_redis", [False, True])
async def test_without_redis_a_process_goes_on_by_itself_in_time_and_shares_again_later(
    redis: RedisService, new: New, fault: str, has_met_redis: bool
) -> None:
    broker, heard = MemoryBroker(), list[Entry | Signal]()
    broker.listen(heard.append, lambda: None)
    broker.follow(str(ONE))
    newest, other = new(1.0, None, broker), new()
    if has_met_redis:
        await newest.tell(ONE, "ada", word(0), 60)
    redis.kill() if fault == "kill" else redis.pause()
    began = time.monotonic()
    assert await newest.tell(ONE, "ada", word(1), 60) == (word(0) if has_met_redis else None)
    assert await newest.tell(ONE, "ada", word(2), 60) == word(1)
    assert await told(newest, ONE) == {(str(ONE), "ada"): bytes(word(2))}
    assert await newest.tell(ONE, "bob", None, 60) is None
    assert time.monotonic() - began < LONGEST_WAIT_SECONDS
    redis.start() if fault == "kill" else redis.resume()

    async def is_shared() -> bool:
        await newest.tell(ONE, "ada", word(3), 60)
        return await told(other, ONE) == {(str(ONE), "ada"): bytes(word(3))}

    await eventually(is_shared)
    versions = [signal.version for signal in heard if isinstance(signal, Signal) and signal.key == "ada"]
    assert sorted(set(versions)) == versions


async def test_what_an_emptied_redis_has_lost_comes_back_with_the_next_word(redis: RedisService, new: New) -> None:
    newest, other = new(), new()
    await newest.tell(ONE, "ada", word(1), 60)
    redis.empty()
    assert await told(other, ONE) == {}
    assert await newest.tell(ONE, "ada", word(2), 60) is None
    assert await told(other, ONE) == {(str(ONE), "ada"): bytes(word(2))}


async def test_a_value_that_nobody_here_has_put_into_redis_counts_as_missing(new: New, admin: Redis) -> None:
    observer = MemoryObserver()
    newest = new(observer=observer)
    await newest.tell(ONE, "ada", word(1), 60)
    await newest.tell(OTHER, "ada", word(2), 60)
    kept = admin.hget(f"signalbox:newest:values:{OTHER}", "ada")
    for forged in (kept, b"1 99999999999999999 {}"):  # a value of another channel, and one without a seal
        admin.hset(f"signalbox:newest:values:{ONE}", "ada", forged)
        assert await told(newest, ONE) == {}
    assert await newest.tell(ONE, "ada", word(3), 60) is None
    assert observer.happenings["hint_refused", "forged"] == 3


async def test_nothing_remains_in_redis_of_values_that_are_gone(new: New, admin: Redis) -> None:
    newest = new()
    for n in range(50):
        await newest.tell(ONE, f"guest {n}", word(n), 0.01)

    async def is_alone() -> bool:
        await newest.tell(ONE, "ada", word(1), 1)
        return admin.hkeys(f"signalbox:newest:values:{ONE}") == [b"ada"]

    await eventually(is_alone)
    await eventually(lambda: not admin.keys("signalbox:newest:*"))


async def test_many_values_and_channels_are_told_and_read_in_pieces(new: New) -> None:
    newest = new()
    channels = [Channel(SEATS, Channel(HALL, UUID(int=n))) for n in range(CHANNELS_AT_ONCE + 5)]
    keys = range(AT_ONCE // len(channels) + 2)
    await asyncio.gather(*(newest.tell(each, str(key), word(key), 60) for each in channels for key in keys))
    assert len(await told(newest, *channels)) == len(channels) * len(keys)


def test_a_process_forgets_values_that_have_ended() -> None:
    values = Values()
    for n in range(10 * SWEEP_AT_LEAST):
        values.put(Signal(f"seats:{n}", "ada", n, word(n), 1), n + 1, n)
    assert len(values) <= SWEEP_AT_LEAST
    assert values.of("seats:3", 10 * SWEEP_AT_LEAST) == []
