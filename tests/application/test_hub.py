"""Every reader sees 1, 2, 3, … of its stream, wherever and whenever it starts, and whatever becomes of the journal."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from uuid import UUID

import pytest
from msgspec import Raw

from adapters.memory.database import MemoryDatabase
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from application.lease import Lease
from application.ports.events import Entry, Span
from application.realtime.hub import HEAD_CHECK_SECONDS, Hub
from application.realtime.pages import PAGE
from application.realtime.reader import HINTS_MAX, JournalReader, StartedOver
from domain.errors import Unavailable
from entrypoints.container import in_memory
from tests.application.live_house import turns
from tests.support.faulty_broker import Fate, FaultyBroker, WatchedJournal, dealing
from tests.support.promised import stretched

DEADLINE_SECONDS = 60.0
STREAM = "workspace:one"
# Made once, as thousands of orders of what happens are tried.
CHANNELS = in_memory().channels()


class Alone:
    """One stream in memory that is written to without use cases, and a hub that reads it.

    `failing` says whether the next calls of the journal fail, `counts` how many events are published at a point (see
    `WatchedJournal`) the next time; `reads` has an item for every time that the journal was read.
    """

    def __init__(self, fate: Fate = Fate.ARRIVES) -> None:
        self.failing: list[bool] = []
        self.counts: dict[str, int] = {}
        self.reads: list[str] = []
        self.broker = FaultyBroker(MemoryBroker(), dealing([fate]))
        self._database = MemoryDatabase(MovableClock())
        self.hub = Hub(
            WatchedJournal(MemoryJournalQueries(self._database), self.at),
            self.broker,
            MemoryObserver(),
            Lease(),
            CHANNELS,
        )

    def prune(self, tail: int) -> None:
        """Keep only what is behind this offset."""
        kept = self._database.committed
        kept.streams[STREAM] = kept.streams[STREAM][tail - kept.tail(STREAM) :]
        kept.tails[STREAM] = tail

    def restore(self, head: int, epoch: str) -> None:
        """Become the journal of a backup that ended there."""
        kept = self._database.committed
        kept.streams[STREAM] = kept.streams[STREAM][: head - kept.tail(STREAM)]
        self._database.epoch = epoch

    @property
    def epoch(self) -> str:
        return self._database.epoch

    @property
    def head(self) -> int:
        return self._database.committed.head(STREAM)

    def publish(self, count: int = 1, size: int = 0) -> None:
        for _ in range(count):
            entry = an_entry(self.head + 1, size)
            self._database.committed.append(entry)
            self.broker.publish([entry])

    async def at(self, point: str) -> None:
        await turns(1)
        self.publish(self.counts.pop(point, 0))
        if point == "before read":
            self.reads.append(point)
        if point.startswith("before") and self.failing and self.failing.pop(0):
            raise Unavailable("The journal is away.")


def an_entry(offset: int, size: int = 0) -> Entry:
    return Entry(STREAM, offset, "task.created", UUID(int=offset), Raw(b'{"x":"%b"}' % (b"x" * size)))


@pytest.mark.parametrize("since", [None, 0, 2, 3, 9])
@pytest.mark.parametrize("fate", Fate)
async def test_no_event_is_missed_whenever_it_is_published_during_a_subscription(since: int | None, fate: Fate) -> None:
    """All ways to publish none, one or two events at each point where others can come in."""
    points = ("before heads", "after heads", "registered", "before read", "after read")
    for counts in itertools.product(range(3), repeat=len(points)):
        await subscribe_while_publishing(dict(zip(points, counts, strict=True)), since, fate)


async def subscribe_while_publishing(counts: dict[str, int], since: int | None, fate: Fate) -> None:
    store = Alone(fate)
    store.publish(3)
    store.counts = counts
    async with store.hub.reader(STREAM, since) as reader:
        # Whoever resumes begins there; whoever does not, or cannot, begins behind what was there before.
        assert reader.position == since if since is not None and since <= 3 else reader.position >= 3
        begun = reader.position
        if begun != since and since is not None:
            with pytest.raises(StartedOver, match="offset"):
                await reader.read()
        await store.at("registered")
        if fate in {Fate.IS_LOST, Fate.IS_LATE}:
            await store.hub.check_heads()
        store.broker.release()
        seen: list[int] = []
        while reader.position < store.head:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(reader.read())
                await turns(10)
                if not reading.done():  # only a head check can find what was published after the last one
                    assert fate not in {Fate.ARRIVES, Fate.IS_DOUBLED} or begun < (since or 0)
                    await store.hub.check_heads()
            seen += [entry.offset for entry in reading.result()]
            store.broker.release()
    assert seen == list(range(begun + 1, store.head + 1))


async def read_until(reader: JournalReader, head: int) -> list[int]:
    offsets: list[int] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while reader.position < head:
            entries = await reader.read()
            assert 1 <= len(entries) <= HINTS_MAX
            offsets += [entry.offset for entry in entries]
    return offsets


@pytest.mark.parametrize("behind", [HINTS_MAX - 1, HINTS_MAX, HINTS_MAX + 1, 3 * HINTS_MAX + 7])
async def test_a_reader_that_falls_far_behind_misses_nothing_and_keeps_few_hints(behind: int) -> None:
    store = Alone()
    store.publish(5)
    async with store.hub.reader(STREAM, None) as reader:
        for _ in range(behind):
            store.publish()
            assert len(reader._hints) <= HINTS_MAX
        assert await read_until(reader, 5 + behind) == list(range(6, 6 + behind))
        store.publish(2)
        assert await read_until(reader, 7 + behind) == [6 + behind, 7 + behind]


async def test_a_position_of_another_lineage_begins_at_the_head_and_shows_it() -> None:
    store = Alone()
    store.publish(3)
    async with store.hub.reader(STREAM, 40) as reader:
        assert reader.position == 3
        store.publish(2)
        with pytest.raises(StartedOver, match="offset"):
            await reader.read()
        assert await read_until(reader, 5) == [4, 5]


@pytest.mark.parametrize("since", [0, 2, 4])
async def test_a_position_before_the_tail_begins_at_the_head_and_says_why(since: int) -> None:
    store = Alone()
    store.publish(8)
    store.prune(4)
    async with store.hub.reader(STREAM, since) as reader:
        if since < 4:
            with pytest.raises(StartedOver, match="pruned"):
                await reader.read()
            assert reader.position == 8
            store.publish()
        assert await read_until(reader, store.head) == ([9] if since < 4 else [5, 6, 7, 8])


@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("tail", [PAGE + 1, 2 * PAGE, 2 * PAGE + 5])
async def test_a_reader_that_the_tail_overtakes_says_so_before_it_shows_what_is_behind_the_hole(
    fate: Fate, tail: int
) -> None:
    """Whether the check or the page of the journal is what shows it, and whether anything is left or nothing."""
    for is_checked in (False, True):
        store = Alone(fate)
        store.publish(2 * PAGE + 5)
        async with store.hub.reader(STREAM, 0) as reader:
            assert await read_until(reader, PAGE) == list(range(1, PAGE + 1))
            store.prune(tail)
            if is_checked or tail == store.head:
                await store.hub.check_heads()
            with pytest.raises(StartedOver, match="pruned"):
                await reader.read()
            assert reader.position == (store.head if is_checked else tail)
            begun = reader.position
            store.publish()
            store.broker.release()
            await store.hub.check_heads()
            assert await read_until(reader, store.head) == list(range(begun + 1, store.head + 1))


async def test_a_reader_that_reads_nothing_keeps_a_mebibyte_of_hints_and_reads_the_rest_from_the_journal() -> None:
    store = Alone()
    async with store.hub.reader(STREAM, None) as reader:
        store.publish(100, size=50_000)
        assert not store.reads
        assert await read_until(reader, 100) == list(range(1, 101))
        assert store.reads
        store.reads.clear()
        store.publish(15, size=50_000)
        assert await read_until(reader, 115) == list(range(101, 116))
        assert not store.reads  # these were few enough to wait


async def test_those_who_follow_a_stream_apart_from_each_other_read_what_they_missed_together() -> None:
    store = Alone()
    store.publish(3)
    async with store.hub.reader(STREAM, 0) as one, store.hub.reader(STREAM, 1) as other:
        assert await read_until(one, 3) == [1, 2, 3]
        assert await read_until(other, 3) == [2, 3]
        assert len(store.reads) == 1


async def entries_until(reader: JournalReader, offset: int) -> AsyncIterator[Entry]:
    while reader.position < offset:
        for entry in await reader.read():
            yield entry


@pytest.mark.parametrize("since", [None, 0, 9])
async def test_what_was_remembered_is_forgotten_once_the_journal_turns_out_to_have_lost_its_end(
    since: int | None,
) -> None:
    """And not because somebody says that they have been further than it goes."""
    store = Alone(Fate.IS_LOST)
    store.publish(3)
    async with store.hub.reader(STREAM, 0) as reader:
        assert await read_until(reader, 3) == [1, 2, 3]
        async with store.hub.reader(STREAM, since):
            await store.hub.check_heads()
            async with store.hub.reader(STREAM, 0) as another:
                assert await read_until(another, 3) == [1, 2, 3]
            assert len(store.reads) == 1
        store.restore(2, store.epoch)
        await store.hub.check_heads()
        store.publish(2, size=9)
        async with store.hub.reader(STREAM, 0) as another:
            found = [entry async for entry in entries_until(another, 4)]
        assert [len(entry.body) > 9 for entry in found] == [False, False, True, True]


@pytest.mark.parametrize("point", ["before heads", "after heads"])
async def test_a_check_that_was_asked_for_before_an_entry_came_takes_nobody_back(point: str) -> None:
    store = Alone()
    store.publish(3)
    async with store.hub.reader(STREAM, None) as reader:
        store.counts[point] = 2
        checking = asyncio.create_task(store.hub.check_heads())
        assert await read_until(reader, 5) == [4, 5]
        await checking
        store.publish()
        assert await read_until(reader, 6) == [6]


@pytest.mark.parametrize("grown", [0, 2, 3, 9])
@pytest.mark.parametrize("renewed", [True, False])
async def test_a_reader_of_a_journal_that_was_restored_under_it_starts_over(grown: int, renewed: bool) -> None:
    """However far the restored journal has come again: an epoch tells it always, the head alone if it is lower."""
    store = Alone(Fate.IS_LOST)
    store.publish(5)
    async with store.hub.reader(STREAM, 1) as reader:
        assert await read_until(reader, 5) == [2, 3, 4, 5]
        store.restore(3, "another" if renewed else store.epoch)
        store.publish(grown)
        await store.hub.check_heads()
        if renewed or grown < 2:
            with pytest.raises(StartedOver, match="epoch" if renewed else "offset"):
                await reader.read()
            assert reader.position == store.head
        await store.hub.check_heads()
        store.publish()
        await store.hub.check_heads()
        expected = [store.head] if renewed or grown < 2 else list(range(6, store.head + 1))
        assert await read_until(reader, store.head) == expected


async def test_a_read_that_is_under_way_while_the_journal_is_restored_shows_nothing_of_the_old_one() -> None:
    store = Alone()
    store.publish(5)
    async with store.hub.reader(STREAM, 1) as reader:
        reading = asyncio.create_task(reader.read())
        await turns(1)
        store.restore(2, "another")
        reader.learn("another", Span(0, 2), 1)
        with pytest.raises(StartedOver, match="epoch"):
            await reading
        store.publish()
        assert await read_until(reader, 3) == [3]


class Held(Alone):
    """Whose first opening asks, and whose first check is answered, only when a test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.may_ask, self.may_answer = asyncio.Event(), asyncio.Event()
        self._gates = {"before heads": [self.may_ask], "after heads": [self.may_answer]}

    async def at(self, point: str) -> None:
        if gates := self._gates.get(point):
            await gates.pop().wait()


async def test_what_a_check_found_before_a_reader_began_is_no_news_to_it() -> None:
    store = Held()
    store.publish(2)
    async with AsyncExitStack() as stack:
        opening = asyncio.create_task(stack.enter_async_context(store.hub.reader(STREAM, 9)))
        await turns(3)
        checking = asyncio.create_task(store.hub.check_heads())
        await turns(3)
        store.may_ask.set()
        reader = await opening
        with pytest.raises(StartedOver, match="offset"):
            await reader.read()
        store.publish(3)
        assert await read_until(reader, 5) == [3, 4, 5]
        store.may_answer.set()
        await checking
        store.publish()
        assert await read_until(reader, 6) == [6]


async def test_a_stream_that_is_opened_after_a_restore_has_all_others_checked_at_once() -> None:
    store = Alone(Fate.IS_LOST)
    store.publish(5)
    async with running(store.hub), store.hub.reader(STREAM, None) as reader:
        await turns(5)
        store.restore(3, "another")
        async with asyncio.timeout(stretched(HEAD_CHECK_SECONDS - 0.2)), store.hub.reader("workspace:two", None):
            with pytest.raises(StartedOver, match="epoch"):
                await reader.read()
    assert store.hub.epoch == "another"


async def test_a_hint_beyond_the_journal_delays_but_hides_nothing() -> None:
    store = Alone()
    store.publish(3)
    async with store.hub.reader(STREAM, 1) as reader:
        store.broker.publish([an_entry(50)])
        assert await read_until(reader, 3) == [2, 3]
        reading = asyncio.ensure_future(reader.read())
        await turns(10)
        reads = len(store.reads)
        await turns(10)
        assert len(store.reads) == reads  # it waits, and does not ask again and again
        store.publish(1)
        assert [entry.offset for entry in await reading] == [4]


async def test_a_journal_that_is_away_is_told_to_the_reader_who_loses_nothing_by_it() -> None:
    store = Alone(Fate.IS_LOST)
    store.publish(2)
    store.failing[:] = [True]
    with pytest.raises(Unavailable):
        async with store.hub.reader(STREAM, 0):
            pytest.fail("there is no reader without a journal")
    assert store.broker.followed == []
    async with store.hub.reader(STREAM, 0) as reader:
        store.failing[:] = [True, True]
        for _ in range(2):
            with pytest.raises(Unavailable):
                await reader.read()
            assert reader.position == 0
        assert await read_until(reader, 2) == [1, 2]


async def test_a_stream_is_followed_once_however_many_read_it() -> None:
    store = Alone()
    async with store.hub.reader(STREAM, None) as first:
        async with store.hub.reader(STREAM, None) as second:
            assert store.broker.followed == [STREAM]
            store.publish()
            assert [await read_until(reader, 1) for reader in (first, second)] == [[1], [1]]
        assert store.broker.followed == [STREAM]
        store.publish()
        assert await read_until(first, 2) == [2]
        assert second.position == 1
    assert store.broker.followed == []


@pytest.mark.parametrize("fate", [Fate.ARRIVES, Fate.IS_DOUBLED])
async def test_a_reader_that_keeps_up_lives_on_hints_alone(fate: Fate) -> None:
    store = Alone(fate)
    store.publish(3)
    async with store.hub.reader(STREAM, 1) as reader:
        assert await read_until(reader, 3) == [2, 3]
        reads = len(store.reads)
        for offset in range(4, 14, 2):
            store.publish(2)
            assert await read_until(reader, offset + 1) == [offset, offset + 1]
        assert len(store.reads) == reads


async def test_a_lost_last_hint_is_found_by_the_check_that_runs_beside_the_readers() -> None:
    store = Alone(Fate.IS_LOST)
    async with running(store.hub), store.hub.reader(STREAM, None) as reader:
        store.publish()
        assert await read_until(reader, 1) == [1]


@pytest.mark.parametrize("failures", [0, 1])
async def test_a_broken_connection_and_a_journal_that_is_back_are_reasons_to_check_at_once(failures: int) -> None:
    store = Alone(Fate.IS_LOST)
    async with running(store.hub), store.hub.reader(STREAM, None) as reader:
        await turns(5)
        store.failing[:] = [True] * failures
        store.publish()
        store.broker.forget()
        async with asyncio.timeout(stretched((1 + failures) * HEAD_CHECK_SECONDS - 0.2)):
            assert await read_until(reader, 1) == [1]
        assert store.failing == []


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[None]:
    task = asyncio.create_task(hub.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
