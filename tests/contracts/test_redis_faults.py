"""What becomes of limits and hints when Redis dies, hangs, forgets everything or throws its clients out."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from msgspec import Raw
from redis import Redis

from adapters.memory.limits import MemoryRateLimiter
from adapters.redis.broker import QUEUE_MAX, SUBSCRIBE_AT_ONCE, RedisBroker
from adapters.redis.limits import RedisRateLimiter
from adapters.system import SystemClock
from application.ports.events import Entry
from application.ports.limits import RateLimiter, Verdict
from domain.errors import Unavailable
from tests.contracts.house import eventually
from tests.support.services import RedisService

HOUR_MS = 3_600_000
LONGEST_WAIT_SECONDS = 0.25


@pytest.fixture(scope="module")
def _own_redis() -> Iterator[RedisService]:
    service = RedisService()
    yield service
    service.stop()


@pytest.fixture
def redis(_own_redis: RedisService) -> Iterator[RedisService]:
    """A Redis to do anything to; it runs and is empty at the beginning."""
    _own_redis.empty()
    yield _own_redis
    _own_redis.kill()
    _own_redis.start()


@pytest.fixture
def admin(redis: RedisService) -> Iterator[Redis]:
    """A client that looks at Redis from outside."""
    with Redis.from_url(redis.url, protocol=2) as client:
        yield client


# Limits


class NoFallback(RateLimiter):
    """What must not be asked as long as Redis is there."""

    async def take(self, key: str, limit: int, window_ms: int) -> Verdict:
        raise AssertionError(f"{key} was counted in the process: {limit} in {window_ms} ms")

    async def forget(self, key: str) -> None: ...


@pytest.fixture
def new_limiter(redis: RedisService) -> Iterator[Callable[..., RedisRateLimiter]]:
    """Makes limiters as separate processes would, each with a fallback; those that may not use it are patient."""
    limiters: list[RedisRateLimiter] = []

    def make(fallback: RateLimiter | None = None) -> RedisRateLimiter:
        if fallback:
            limiter = RedisRateLimiter(redis.url, fallback, answer_seconds=10)
        else:
            limiter = RedisRateLimiter(redis.url, MemoryRateLimiter(SystemClock()))
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
        assert max(waited for _, waited in outcomes) < LONGEST_WAIT_SECONDS
    # Only the first had to find out.
    assert sum(waited for _, waited in one_by_one) < 2 * LONGEST_WAIT_SECONDS


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_when_redis_is_back_the_limit_is_shared_again(
    redis: RedisService, new_limiter: Callable[..., RedisRateLimiter], admin: Redis, fault: str
) -> None:
    one, other = new_limiter(), new_limiter()
    assert await count_together(one, other)
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
    assert max(waited for _, waited in outcomes) < LONGEST_WAIT_SECONDS


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
    assert await count_together(one, other)
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


# Hints


class Post:
    """A process's broker, and what arrived there."""

    def __init__(self, broker: RedisBroker) -> None:
        self.broker = broker
        self.offsets: list[int] = []
        self.reconnects = 0
        broker.listen(lambda entry: self.offsets.append(entry.offset), self._count)

    def _count(self) -> None:
        self.reconnects += 1

    async def are_in_touch_with(self, sender: "Post") -> bool:
        """Whether a hint that the other sends now arrives here."""
        sender.broker.publish([entry(0)])
        with suppress(TimeoutError):
            await eventually(lambda: bool(self.offsets), seconds=0.1)
        arrived = bool(self.offsets)
        self.offsets.clear()
        return arrived


def entry(offset: int, stream: str = "workspace:w") -> Entry:
    id = UUID(int=offset)
    return Entry(stream, offset, "task.updated", id, Raw(b'{"id":"\xc3\xa4","changes":{"title":["a","\\u0000"]}}'))


@asynccontextmanager
async def running(broker: RedisBroker) -> AsyncIterator[Post]:
    """The broker at work, as it is in a process of its own."""
    post = Post(broker)
    carrying = asyncio.create_task(broker.run())
    try:
        yield post
    finally:
        carrying.cancel()
        with suppress(asyncio.CancelledError):
            await carrying


NewPost = Callable[..., Any]
PATIENT, HASTY = 10.0, 0.5  # how many seconds a broker waits for its canary


@pytest_asyncio.fixture
async def new_post(redis: RedisService) -> AsyncIterator[NewPost]:
    """Starts brokers; patient ones, so that a busy machine is not taken for a Redis that hangs."""
    async with AsyncExitStack() as posts:

        async def start(patience: float = PATIENT) -> Post:
            broker = RedisBroker(redis.url, canary_seconds=0.1, canary_lost_seconds=patience)
            return await posts.enter_async_context(running(broker))

        yield start


async def in_touch(new_post: NewPost, patience: float) -> tuple[Post, Post]:
    """A sender, and a receiver that follows its stream; both connected."""
    sender, receiver = await new_post(patience), await new_post(patience)
    receiver.broker.follow("workspace:w")
    await eventually(lambda: receiver.are_in_touch_with(sender))
    await eventually(lambda: sender.broker.connected and receiver.broker.connected)
    return sender, receiver


@pytest_asyncio.fixture
async def pair(new_post: NewPost) -> tuple[Post, Post]:
    return await in_touch(new_post, PATIENT)


@pytest_asyncio.fixture
async def hasty_pair(new_post: NewPost) -> tuple[Post, Post]:
    return await in_touch(new_post, HASTY)


async def test_hints_arrive_whole_and_in_order(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    got: list[Entry] = []
    receiver.broker.listen(got.append, lambda: None)
    sent = [entry(offset) for offset in range(1, 3_001)]
    for i in range(0, 3_000, 7):
        sender.broker.publish(sent[i : i + 7])
    await eventually(lambda: len(got) == len(sent))
    assert [(e.stream, e.offset, e.type, e.resource_id, bytes(e.body)) for e in got] == [
        (e.stream, e.offset, e.type, e.resource_id, bytes(e.body)) for e in sent
    ]
    assert sender.broker.dropped == 0


async def test_what_is_published_at_once_leaves_in_few_pieces(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    sender.broker.publish([entry(offset) for offset in range(1, QUEUE_MAX + 1)])
    await eventually(lambda: len(receiver.offsets) == QUEUE_MAX)
    assert receiver.offsets == list(range(1, QUEUE_MAX + 1))


async def test_ones_own_hints_arrive_at_once_and_once(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    sender.broker.follow("workspace:w")
    sender.broker.publish([entry(1)])
    assert sender.offsets == [1]
    receiver.broker.publish([entry(2)])
    await eventually(lambda: sender.offsets == [1, 2])
    await eventually(lambda: receiver.offsets[:2] in ([1, 2], [2, 1]))
    sender.broker.publish([entry(3)])
    await eventually(lambda: receiver.offsets[2:] == [3])
    assert sender.offsets == [1, 2, 3]


async def test_only_followed_streams_are_heard(pair: tuple[Post, Post], admin: Redis) -> None:
    sender, receiver = pair
    receiver.broker.follow("workspace:w")
    receiver.broker.unfollow("workspace:never followed")
    sender.broker.publish([entry(1), entry(2, "workspace:other"), entry(3)])
    await eventually(lambda: receiver.offsets == [1, 3])
    receiver.broker.unfollow("workspace:w")
    receiver.broker.follow("workspace:other")
    await eventually(lambda: _hears(receiver, sender, "workspace:other"))
    sender.broker.publish([entry(4), entry(5, "workspace:other")])
    await eventually(lambda: 5 in receiver.offsets)
    assert 4 not in receiver.offsets

    def is_asked_for_no_more() -> bool:
        return admin.pubsub_numsub("signalbox:hint:workspace:w") == [(b"signalbox:hint:workspace:w", 0)]

    await eventually(is_asked_for_no_more)


async def _hears(receiver: Post, sender: Post, stream: str) -> bool:
    sender.broker.publish([entry(99, stream)])
    await asyncio.sleep(0.01)
    return 99 in receiver.offsets


async def test_the_last_word_counts_when_a_stream_is_left_and_followed_again_in_one_breath(
    pair: tuple[Post, Post],
) -> None:
    sender, receiver = pair
    for _ in range(3):
        receiver.broker.unfollow("workspace:w")
        receiver.broker.follow("workspace:w")
    assert await receiver.are_in_touch_with(sender)
    receiver.broker.unfollow("workspace:w")
    receiver.broker.follow("workspace:w")
    receiver.broker.unfollow("workspace:w")
    assert not await receiver.are_in_touch_with(sender)


async def test_thousands_of_streams_can_be_followed_at_once(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    streams = [f"account:{i}" for i in range(2 * SUBSCRIBE_AT_ONCE + 1)]
    told = receiver.reconnects
    for stream in streams:
        receiver.broker.follow(stream)
    await eventually(lambda: receiver.reconnects > told)
    sender.broker.publish([entry(offset, stream) for offset, stream in enumerate(streams)])
    await eventually(lambda: receiver.offsets == list(range(len(streams))))


async def test_after_following_another_stream_readers_are_told_to_look(pair: tuple[Post, Post]) -> None:
    _, receiver = pair
    for number in range(2):
        told = receiver.reconnects
        receiver.broker.follow(f"account:{number}")
        await eventually(lambda told=told: receiver.reconnects > told)  # type: ignore[misc]


async def test_a_redis_that_dies_and_comes_back_empty_is_found_again(
    redis: RedisService, pair: tuple[Post, Post]
) -> None:
    sender, receiver = pair
    redis.kill()
    await eventually(lambda: not receiver.broker.connected)
    with pytest.raises(Unavailable):
        await receiver.broker.check()
    told = receiver.reconnects
    redis.start()
    await eventually(lambda: receiver.reconnects > told)
    await eventually(lambda: receiver.are_in_touch_with(sender))
    await eventually(lambda: receiver.broker.connected)
    await receiver.broker.check()


async def test_a_redis_that_hangs_is_given_up_and_found_again(
    redis: RedisService, hasty_pair: tuple[Post, Post]
) -> None:
    sender, receiver = hasty_pair
    redis.pause()
    await eventually(lambda: not receiver.broker.connected and not sender.broker.connected)
    told = receiver.reconnects
    redis.resume()
    await eventually(lambda: receiver.reconnects > told)
    await eventually(lambda: receiver.are_in_touch_with(sender))


async def test_a_redis_that_hangs_for_a_moment_loses_nothing(redis: RedisService, pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    redis.pause()
    sender.broker.publish([entry(offset) for offset in range(1, 2_001)])
    await asyncio.sleep(0)
    redis.resume()
    await eventually(lambda: receiver.offsets == list(range(1, 2_001)))


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_a_client_that_redis_throws_out_comes_back(pair: tuple[Post, Post], admin: Redis, kind: str) -> None:
    sender, receiver = pair
    told = receiver.reconnects
    admin.client_kill_filter(_type=kind, skipme=True)
    await eventually(lambda: receiver.reconnects > told)
    await eventually(lambda: receiver.are_in_touch_with(sender))


async def test_a_channel_that_was_taken_away_silently_is_noticed_by_the_canary(
    hasty_pair: tuple[Post, Post], redis: RedisService
) -> None:
    sender, receiver = hasty_pair
    told = receiver.reconnects
    # As after a failover to a server that kept the connection and lost the subscriptions.
    assert receiver.broker._inbound
    receiver.broker._inbound.send(b"UNSUBSCRIBE\r\n")
    await eventually(lambda: receiver.reconnects > told)
    await eventually(lambda: receiver.are_in_touch_with(sender))


async def test_without_redis_hints_still_reach_the_process_that_publishes_them(redis: RedisService) -> None:
    redis.kill()
    async with running(RedisBroker(redis.url)) as post:
        post.broker.follow("workspace:w")
        post.broker.publish([entry(1), entry(2, "workspace:other"), entry(3)])
        assert post.offsets == [1, 3]
        await asyncio.sleep(0)
        assert post.offsets == [1, 3]


async def test_what_was_followed_and_published_before_redis_was_there_is_not_lost(
    redis: RedisService, new_post: NewPost
) -> None:
    redis.kill()
    sender, receiver = await new_post(), await new_post()
    receiver.broker.follow("workspace:w")
    redis.start()
    await eventually(lambda: receiver.reconnects > 0)
    await eventually(lambda: receiver.are_in_touch_with(sender))


async def test_a_full_queue_drops_the_oldest_and_counts_them(redis: RedisService, new_post: NewPost) -> None:
    receiver = await new_post()
    receiver.broker.follow("workspace:w")
    await eventually(lambda: receiver.reconnects > 0)
    late = RedisBroker(redis.url)
    for offset in range(1, QUEUE_MAX + 6):
        late.publish([entry(offset)])
    assert late.dropped == 5
    async with running(late):
        await eventually(lambda: len(receiver.offsets) == QUEUE_MAX)
    assert receiver.offsets == list(range(6, QUEUE_MAX + 6))


async def test_a_listener_that_fails_stops_nothing(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    got: list[int] = []

    def fail(hint: Entry) -> None:
        got.append(hint.offset)
        raise RuntimeError("a reader is broken")

    for post in (sender, receiver):
        post.broker.listen(fail, lambda: None)
    sender.broker.follow("workspace:w")
    sender.broker.publish([entry(1), entry(2)])
    await eventually(lambda: sorted(got) == [1, 1, 2, 2])


async def test_what_cannot_be_read_is_passed_over(redis: RedisService, pair: tuple[Post, Post], admin: Redis) -> None:
    sender, receiver = pair
    for noise in (b"", b"\x00", b"{}", b"0" * 16, b"0" * 16 + b"{", b"0" * 16 + b'{"stream":1}', b"\xff" * 100):
        admin.publish("signalbox:hint:workspace:w", noise)
    sender.broker.publish([entry(1)])
    await eventually(lambda: receiver.offsets == [1])


async def test_a_broker_that_ends_sends_its_last_hints_and_leaves_no_connection(
    redis: RedisService, new_post: NewPost, admin: Redis
) -> None:
    receiver = await new_post()
    receiver.broker.follow("workspace:w")
    await eventually(lambda: receiver.reconnects > 0)
    async with running(RedisBroker(redis.url)) as ending:
        await eventually(lambda: ending.broker.connected)
        ending.broker.publish([entry(1), entry(2)])
    await eventually(lambda: receiver.offsets == [1, 2])

    def are_two() -> bool:
        clients: Any = admin.client_list()
        return sorted(client["name"] for client in clients if client["name"]) == [
            "signalbox-hints-in",
            "signalbox-hints-out",
        ]

    await eventually(are_two)
    assert not ending.broker.connected
    ending.broker.publish([entry(3)])
