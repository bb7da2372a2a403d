"""What becomes of hints and signals when Redis dies, hangs, forgets everything or throws its clients out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from msgspec import Raw
from redis import Redis

from adapters.memory.observer import MemoryObserver
from adapters.redis.broker import QUEUE_MAX, SUBSCRIBE_AT_ONCE, RedisBroker
from adapters.redis.seal import Seal
from application.ports.events import Entry, Signal
from domain.errors import Unavailable
from tests.contracts.house import eventually
from tests.support.services import SEAL, RedisService


class Post:
    """A process's broker, and what arrived there."""

    def __init__(self, broker: RedisBroker) -> None:
        self.broker = broker
        self.offsets: list[int] = []
        self.reconnects = 0
        broker.listen(self._take, self._count)

    def _take(self, item: Entry | Signal) -> None:
        assert isinstance(item, Entry)
        self.offsets.append(item.offset)

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
PATIENT, HASTY = 30.0, 0.5  # how many seconds a broker waits for its canary


@pytest_asyncio.fixture
async def new_post(redis: RedisService) -> AsyncIterator[NewPost]:
    """Starts brokers; patient ones, so that a busy machine is not taken for a Redis that hangs."""
    async with AsyncExitStack() as posts:

        async def start(patience: float = PATIENT, seal: Seal = SEAL) -> Post:
            broker = RedisBroker(redis.url, seal, MemoryObserver(), canary_seconds=0.1, canary_lost_seconds=patience)
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
    got: list[Entry | Signal] = []
    receiver.broker.listen(got.append, lambda: None)
    sent = [entry(offset) for offset in range(1, 3_001)]
    for i in range(0, 3_000, 7):
        sender.broker.publish(sent[i : i + 7])
    await eventually(lambda: len(got) == len(sent))
    assert got == sent
    assert sender.broker.dropped == 0


async def test_what_is_published_at_once_leaves_in_few_pieces(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    sender.broker.publish([entry(offset) for offset in range(1, QUEUE_MAX + 1)])
    await eventually(lambda: len(receiver.offsets) == QUEUE_MAX)
    assert receiver.offsets == list(range(1, QUEUE_MAX + 1))


async def test_ones_own_hints_arrive_at_once_and_once(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair

    def told(post: Post) -> list[int]:
        return [offset for offset in post.offsets if offset]

    sender.broker.follow("workspace:w")
    await eventually(lambda: sender.are_in_touch_with(receiver))
    sender.broker.publish([entry(1)])
    assert told(sender) == [1]
    receiver.broker.publish([entry(2)])
    await eventually(lambda: told(sender) == [1, 2])
    await eventually(lambda: told(receiver)[:2] in ([1, 2], [2, 1]))
    sender.broker.publish([entry(3)])
    await eventually(lambda: told(receiver)[2:] == [3])
    assert told(sender) == [1, 2, 3]


async def test_ones_own_signals_arrive_once(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    mine, theirs = Signal("workspace:w", "key", 1, Raw(b"1")), Signal("workspace:w", "key", 2, Raw(b"2"))
    told: list[Entry | Signal] = []
    heard: list[Entry | Signal] = []
    sender.broker.listen(told.append, lambda: None)
    receiver.broker.listen(heard.append, lambda: None)
    sender.broker.follow("workspace:w")
    await eventually(lambda: _echoes(receiver, told))
    told.clear()
    sender.broker.publish([mine])
    assert told == [mine]
    await eventually(lambda: mine in heard)  # so Redis has sent it to everybody
    receiver.broker.publish([theirs])
    await eventually(lambda: theirs in told)
    assert [item for item in told if isinstance(item, Signal)] == [mine, theirs]


def _echoes(sender: Post, told: list[Entry | Signal]) -> bool:
    sender.broker.publish([entry(0)])
    return bool(told)


async def test_installations_in_different_databases_of_one_redis_do_not_hear_each_other(
    redis: RedisService, pair: tuple[Post, Post]
) -> None:
    sender, receiver = pair
    other_url = redis.url.removesuffix("/0") + "/1"
    async with (
        running(RedisBroker(other_url, SEAL, MemoryObserver())) as other,
        running(RedisBroker(other_url, SEAL, MemoryObserver())) as neighbour,
    ):
        other.broker.follow("workspace:w")
        await eventually(lambda: other.are_in_touch_with(neighbour))
        sender.broker.publish([entry(1)])
        await eventually(lambda: receiver.offsets == [1])
        neighbour.broker.publish([entry(2)])
        await eventually(lambda: 2 in other.offsets)
        assert 1 not in other.offsets
        sender.broker.publish([entry(3)])
        await eventually(lambda: 3 in receiver.offsets)
        assert receiver.offsets == [1, 3]


async def test_only_followed_streams_are_heard(pair: tuple[Post, Post], admin: Redis) -> None:
    sender, receiver = pair
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
        return admin.pubsub_numsub("signalbox:hint:0:workspace:w") == [(b"signalbox:hint:0:workspace:w", 0)]

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
    async with running(RedisBroker(redis.url, SEAL, MemoryObserver())) as post:
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
    late = RedisBroker(redis.url, SEAL, MemoryObserver())
    for offset in range(1, QUEUE_MAX + 6):
        late.publish([entry(offset)])
    assert late.dropped == 5
    async with running(late):
        await eventually(lambda: len(receiver.offsets) == QUEUE_MAX)
    assert receiver.offsets == list(range(6, QUEUE_MAX + 6))


async def test_a_listener_that_fails_stops_nothing(pair: tuple[Post, Post]) -> None:
    sender, receiver = pair
    got: list[int] = []

    def fail(item: Entry | Signal) -> None:
        assert isinstance(item, Entry)
        got.append(item.offset)
        raise RuntimeError("a reader is broken")

    for post in (sender, receiver):
        post.broker.listen(fail, lambda: None)
    sender.broker.follow("workspace:w")
    sender.broker.publish([entry(1), entry(2)])
    await eventually(lambda: sorted(got) == [1, 1, 2, 2])


CHANNEL = b"signalbox:hint:0:workspace:w"
ORIGIN = b"0" * 16
FORGED = msgspec.json.encode([entry(1)])


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(noise, id=name)
        for name, noise in {
            "nothing": b"",
            "noise": b"\xff" * 100,
            "an origin": ORIGIN,
            "without a tag": ORIGIN + b"e" + FORGED,
            "with a tag of zeros": ORIGIN + bytes(16) + b"e" + FORGED,
            "under another secret": ORIGIN + Seal("tests", "another secret").sealed(CHANNEL, b"e" + FORGED),
            "for another purpose": ORIGIN + Seal("cache", "a secret").sealed(CHANNEL, b"e" + FORGED),
            "for another channel": ORIGIN + SEAL.sealed(b"signalbox:hint:0:workspace:v", b"e" + FORGED),
            "for the end of its name": ORIGIN + SEAL.sealed(b"workspace:w", b"e" + FORGED),
            "with a change": ORIGIN + SEAL.sealed(CHANNEL, b"e" + FORGED).replace(b"task.", b"tusk."),
        }.items()
    ],
)
async def test_what_nobody_of_this_installation_published_is_dropped_and_counted(
    pair: tuple[Post, Post], admin: Redis, forged: bytes
) -> None:
    sender, receiver = pair
    before = refused(receiver, "forged")
    admin.publish(CHANNEL.decode(), forged)
    await eventually(lambda: refused(receiver, "forged") == before + 1)
    sender.broker.publish([entry(2)])
    await eventually(lambda: receiver.offsets == [2])


async def test_what_was_published_elsewhere_is_not_heard_when_it_is_repeated_on_another_topic(
    pair: tuple[Post, Post], admin: Redis
) -> None:
    sender, receiver = pair
    heard: list[Any] = []
    with admin.pubsub() as recorder:  # type: ignore[no-untyped-call]
        recorder.subscribe("signalbox:hint:0:workspace:v")

        def hears(kind: str) -> bool:
            message = recorder.get_message()
            if message is not None and message["type"] == kind:
                heard.append(message["data"])
                return True
            return False

        await eventually(lambda: hears("subscribe"))
        sender.broker.publish([entry(1, "workspace:v")])
        await eventually(lambda: hears("message"))
    admin.publish(CHANNEL.decode(), heard[-1])
    await eventually(lambda: refused(receiver, "forged") == 1)
    sender.broker.publish([entry(2)])
    await eventually(lambda: receiver.offsets == [2])


async def test_hints_under_the_secret_of_before_are_heard_and_under_one_before_that_are_not(
    redis: RedisService, new_post: NewPost
) -> None:
    receiver = await new_post(seal=Seal("hints", "new", ["old"]))
    receiver.broker.follow("workspace:w")
    newer, older, oldest = [await new_post(seal=Seal("hints", secret)) for secret in ("new", "old", "older")]
    for sender in (newer, older):
        await eventually(lambda sender=sender: receiver.are_in_touch_with(sender))  # type: ignore[misc]
    assert not await receiver.are_in_touch_with(oldest)
    await eventually(lambda: receiver.are_in_touch_with(newer))


def refused(post: Post, why: str) -> int:
    """How many messages the broker of a post refused."""
    observer = post.broker._observer
    assert isinstance(observer, MemoryObserver)
    return observer.happenings["hint_refused", why]


async def test_what_cannot_be_read_is_passed_over_and_counted(pair: tuple[Post, Post], admin: Redis) -> None:
    sender, receiver = pair
    noises = [
        kind + data for kind in (b"", b"e", b"s", b"x") for data in (b"", b"{", b"{}", b'[{"stream":1}]', b"\xff")
    ]
    for noise in noises:
        admin.publish(CHANNEL.decode(), ORIGIN + SEAL.sealed(CHANNEL, noise))
    sender.broker.publish([entry(1)])
    await eventually(lambda: receiver.offsets == [1])
    assert refused(receiver, "unreadable") == len(noises)


async def test_what_is_published_together_on_one_topic_goes_as_one_message_unless_it_is_large(
    pair: tuple[Post, Post], admin: Redis
) -> None:
    sender, receiver = pair

    def published() -> int:
        statistics: Any = admin.info("commandstats")
        return int(statistics["cmdstat_publish"]["calls"])

    before = published()
    large = msgspec.structs.replace(entry(0), body=Raw(b'"%b"' % (b"x" * 20_000)))
    sender.broker.publish([entry(offset) for offset in range(1, 301)])
    sender.broker.publish([msgspec.structs.replace(large, offset=offset) for offset in range(301, 401)])
    await eventually(lambda: receiver.offsets == list(range(1, 401)))
    # 300 of 150 bytes, and 100 of 20,000; and what canaries there were.
    assert 1 + 25 <= published() - before < 60


async def test_a_broker_that_ends_sends_its_last_hints_and_leaves_no_connection(
    redis: RedisService, new_post: NewPost, admin: Redis
) -> None:
    receiver = await new_post()
    receiver.broker.follow("workspace:w")
    await eventually(lambda: receiver.reconnects > 0)
    async with running(RedisBroker(redis.url, SEAL, MemoryObserver())) as ending:
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
