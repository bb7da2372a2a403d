"""Whoever follows a stream gets every entry of it once and in order, whatever comes between."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from uuid import UUID

import msgspec
import pytest
from msgspec import Raw

from adapters.memory.events import MemoryBroker
from adapters.memory.observer import MemoryObserver
from application.feeds import Feed
from application.lease import Lease
from application.paging import Page
from application.ports.events import Entry, EventFilter, EventView, JournalQueries, Span, Survey
from application.realtime.frames import Reason
from application.realtime.hub import Hub
from application.realtime.pages import PAGE
from application.realtime.piece import PIECE_BYTES
from application.realtime.stream import Following, FollowingState, Stream
from domain.channels import Channel
from domain.ids import AccountId
from domain.tasks import TASK
from domain.workspaces import WORKSPACE
from entrypoints.container import in_memory
from entrypoints.websocket.wire import JSON_FRAMES
from tests.application.live_house import texts, turns

STREAM = "workspace:one"
# Made once: thousands of orders of steps are tried, and an assembly for each would cost more than they do.
CHANNELS = in_memory().channels()
ADA, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))
EVERYTHING = Feed(Channel(WORKSPACE, UUID(int=7)), STREAM)
DEADLINE_SECONDS = 60.0


def task(number: int) -> Feed:
    return Feed(Channel(TASK, UUID(int=number)), STREAM, UUID(int=number))


class Journal(JournalQueries):
    """One stream; what it answers is held back while it is `shut`."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.tail = 0
        self.reads: list[int] = []
        self._open = asyncio.Event()
        self._open.set()

    def shut(self, is_shut: bool) -> None:
        (self._open.clear if is_shut else self._open.set)()

    async def read(self, stream: str, after: int, limit: int) -> Sequence[Entry]:
        self.reads.append(after)
        begin = max(after, self.tail)
        found = self.entries[begin : begin + limit]
        await self._open.wait()
        return found

    async def heads(self, streams: Collection[str]) -> Mapping[str, int]:
        return {stream: len(self.entries) for stream in streams}

    async def page(
        self, stream: str, wanted: EventFilter, newest_first: bool, cursor: str | None, limit: int
    ) -> Page[EventView]:
        raise NotImplementedError

    async def within(self, streams: Collection[str]) -> Mapping[str, str]:
        return {}

    async def survey(self, streams: Collection[str]) -> Survey:
        return Survey("epoch", {stream: Span(self.tail, len(self.entries)) for stream in streams})


class Desk:
    """A journal with one stream, and the hub that reads it."""

    stream: Stream

    def __init__(self) -> None:
        self.journal, self.broker, self.lease = Journal(), MemoryBroker(), Lease()
        self.hub = Hub(self.journal, self.broker, MemoryObserver(), self.lease, CHANNELS)

    def write(self, count: int = 1, type: str = "task.updated", body: bytes = b"{}", tasks: int = 2) -> None:
        """Entries that are about one task after the other."""
        for _ in range(count):
            offset = len(self.journal.entries) + 1
            entry = Entry(STREAM, offset, type, UUID(int=offset % tasks), Raw(body))
            self.journal.entries.append(entry)
            self.broker.publish([entry])

    def remove(self, account: AccountId) -> None:
        self.write(type="member.removed", body=msgspec.json.encode({"data": {"account_id": account}}))


@asynccontextmanager
async def opened(behind: int = 0) -> AsyncIterator[Desk]:
    desk = Desk()
    desk.write(behind)
    desk.stream = await desk.hub.stream(STREAM)
    try:
        yield desk
    finally:
        for following in list(desk.stream.followings):
            following.end()
        desk.hub.release(desk.stream)
        await turns(5)


class Listener:
    """A peer that notes the offsets that it got, or only counts them."""

    format = JSON_FRAMES

    def __init__(self, desk: Desk, account: AccountId = ADA, recheck: Callable[[], None] = lambda: None) -> None:
        self.offsets: list[int] = []
        self.count = self.unread = self.most_unread = 0
        self.is_in_order = True
        self._lease = desk.lease
        self.restarts: list[Reason] = []
        self._flows = asyncio.Event()
        self._flows.set()
        self._rechecked = recheck
        self.following = Following(desk.stream, self, account, self._recheck, self._restarted)

    def write(self, data: bytes) -> None:
        assert self._lease.is_held
        self.unread += len(data)
        self.most_unread = max(self.most_unread, self.unread)
        for text in texts(data):
            self.offsets.append(msgspec.json.decode(text)["offset"])

    @property
    def keeps_up(self) -> bool:
        return self._flows.is_set()

    def fail(self) -> None:
        raise AssertionError("nothing fails here")

    async def caught_up(self) -> None:
        self.unread = 0
        await self._flows.wait()

    def congested(self) -> None:
        self._flows.clear()
        self.following.stream.fall_behind(self.following)

    def relieved(self) -> None:
        self._flows.set()
        self.following.relieved()

    def show(self, name: str, feed: Feed, since: int | None) -> int:
        begins = self.following.show(name, feed, since)
        self.following.go_on()
        return begins

    async def _recheck(self, _: Following) -> None:
        self._rechecked()

    def _restarted(self, _: Following, reason: Reason) -> None:
        self.restarts.append(reason)

    async def reaches(self, *offsets: int) -> None:
        await self.until(lambda: set(offsets) <= set(self.offsets))

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not met():
                await asyncio.sleep(0)


STEPS = ("new", "congest", "relieve", "shut", "open", "lose", "regain", "turn")


@pytest.mark.parametrize("since", [None, 0, 2])
async def test_no_entry_is_missed_or_repeated_at_any_interleaving_of_news_congestion_and_reads(
    since: int | None,
) -> None:
    """All orders of four of the steps, each with a turn of the loop behind it."""
    for steps in itertools.product(STEPS, repeat=4):
        async with opened(behind=3) as desk:
            ada = Listener(desk)
            begins = ada.show("everything", EVERYTHING, since)
            for step in steps:
                await take(step, desk, ada)
            desk.journal.shut(False)
            desk.lease.renew(monotonic())
            ada.relieved()
            desk.write()
            await ada.reaches(len(desk.journal.entries))
            await turns(4)
            assert ada.offsets == list(range(begins + 1, len(desk.journal.entries) + 1)), steps


async def take(step: str, desk: Desk, listener: Listener) -> None:
    match step:
        case "new":
            desk.write()
        case "congest":
            listener.congested()
        case "relieve":
            listener.relieved()
        case "shut" | "open":
            desk.journal.shut(step == "shut")
        case "lose" | "regain":
            desk.lease.renew(monotonic() - (60 if step == "lose" else 0))
        case _:
            await turns(2)
    await turns(1)


@pytest.mark.parametrize("second", [None, 0, 3])
async def test_channels_that_are_added_and_removed_at_any_moment_leave_no_hole_and_repeat_nothing(
    second: int | None,
) -> None:
    """One task from the beginning, another added at each point; each is complete, whatever comes between."""
    for steps in itertools.product(("new", "congest", "relieve", "shut", "turn", "hide"), repeat=3):
        for point in range(4):
            async with opened(behind=6) as desk:
                ada = Listener(desk)
                ada.show("extra", task(3), None)
                ada.show("even", task(0), 2)
                begins = 0
                for index, step in enumerate((*steps, "turn")):
                    if index == point:
                        begins = ada.show("odd", task(1), second)
                    if step == "hide" and "extra" in ada.following.channels:
                        ada.following.hide("extra")
                        await turns(1)
                    else:
                        await take(step, desk, ada)
                desk.journal.shut(False)
                ada.relieved()
                desk.write(2)
                last = len(desk.journal.entries)
                await ada.reaches(last - 1, last)
                await turns(4)
                assert [o for o in ada.offsets if o % 2 == 0] == list(range(4, last + 1, 2)), (steps, point)
                odd = [offset for offset in range(begins + 1, last + 1) if offset % 2]
                assert [o for o in ada.offsets if o % 2] == odd, (steps, point)


async def test_a_channel_that_is_asked_for_again_from_further_back_repeats_nothing() -> None:
    async with opened(behind=6) as desk:
        ada = Listener(desk)
        for since, expected in ((4, [5, 6]), (1, [2, 3, 4]), (5, []), (0, [1])):
            before = len(ada.offsets)
            ada.show("everything", EVERYTHING, since)
            await ada.until(lambda: ada.following.state is FollowingState.LIVE)
            assert ada.offsets[before:] == expected
        desk.write()
        await ada.reaches(7)
        assert sorted(ada.offsets) == [1, 2, 3, 4, 5, 6, 7]


async def test_a_following_is_held_until_its_peer_was_told_and_ends_for_good() -> None:
    async with opened(behind=3) as desk:
        ada = Listener(desk)
        states = [ada.following.state]

        def go_on() -> None:
            ada.following.go_on()
            states.append(ada.following.state)

        ada.following.show("everything", EVERYTHING, 1)
        desk.write()
        await turns(5)
        states.append(ada.following.state)
        assert ada.offsets == []
        go_on()
        await ada.until(lambda: ada.following.is_live)
        assert ada.offsets == [2, 3, 4]
        ada.congested()
        states.append(ada.following.state)
        ada.relieved()
        states.append(ada.following.state)
        ada.following.end()
        go_on()
        held, behind, stalled = FollowingState.HELD, FollowingState.BEHIND, FollowingState.STALLED
        assert states == [held, held, behind, stalled, FollowingState.LIVE, FollowingState.ENDED]


async def test_whoever_is_congested_is_written_nothing_until_it_is_relieved() -> None:
    async with opened() as desk:
        ada, bob = Listener(desk), Listener(desk, BOB)
        for listener in (ada, bob):
            listener.show("everything", EVERYTHING, None)
        ada.congested()
        for _ in range(3):
            desk.write(2)
            await turns(10)
        await bob.until(lambda: len(bob.offsets) == 6)
        assert ada.offsets == []
        ada.show("again", task(0), None)
        await turns(10)
        assert ada.offsets == []
        ada.relieved()
        await ada.until(lambda: len(ada.offsets) == 6)
        assert ada.offsets == [1, 2, 3, 4, 5, 6]


async def test_a_hundred_thousand_missed_events_come_in_order_and_in_pieces() -> None:
    total = 100_000
    async with opened() as desk:
        desk.journal.entries = [Entry(STREAM, o, "x", UUID(int=0), Raw(b"{}")) for o in range(1, total + 1)]
        ada = Listener(desk)
        desk.stream.reader.start_at(total)
        desk.stream.position = total
        ada.show("everything", EVERYTHING, 0)
        await ada.until(lambda: len(ada.offsets) == total)
        assert ada.offsets == list(range(1, total + 1))
        page = PAGE * 100
        assert ada.most_unread < 2 * PIECE_BYTES + page
        assert len(desk.journal.reads) == total // PAGE


async def test_hundreds_who_resume_at_the_same_place_read_each_page_once() -> None:
    async with opened(behind=3 * PAGE) as desk:
        listeners = [Listener(desk) for _ in range(400)]
        desk.journal.shut(True)
        for listener in listeners:
            listener.show("everything", EVERYTHING, PAGE)
        await turns(5)
        desk.journal.shut(False)
        await listeners[-1].until(lambda: all(len(each.offsets) == 2 * PAGE for each in listeners))
        assert desk.journal.reads == [PAGE, 2 * PAGE]
        assert all(each.following.is_live for each in listeners)


@pytest.mark.parametrize("is_live", [True, False])
async def test_nothing_is_shown_behind_a_loss_of_rights_before_they_were_asked_for_again(is_live: bool) -> None:
    for steps in itertools.product(("new", "congest", "relieve", "turn"), repeat=3):
        async with opened(behind=2) as desk:
            asked: list[list[int]] = []

            def lose(desk: Desk = desk, asked: list[list[int]] = asked) -> None:
                bob = next(f for f in desk.stream.followings if f.account == BOB)
                assert isinstance(bob.peer, Listener)
                asked.append(list(bob.peer.offsets))
                bob.hide("everything")

            ada, bob = Listener(desk), Listener(desk, BOB, lose)
            if is_live:
                bob.show("everything", EVERYTHING, 0)
            ada.show("everything", EVERYTHING, 0)
            desk.remove(BOB)
            desk.write(2)
            await turns(3)
            if not is_live:
                bob.show("everything", EVERYTHING, 0)
            for step in steps:
                await take(step, desk, bob)
            bob.relieved()
            desk.write()
            await bob.until(lambda asked=asked: bool(asked))  # type: ignore[misc]
            await ada.reaches(len(desk.journal.entries))
            await turns(4)
            assert asked == [[1, 2, 3]]
            assert bob.offsets == [1, 2, 3]


@pytest.mark.parametrize("tail", [3, PAGE + 3, 2 * PAGE + 5])
@pytest.mark.parametrize("is_checked", [True, False])
async def test_whoever_is_so_far_behind_that_the_tail_overtakes_it_is_told_so_and_goes_on(
    tail: int, is_checked: bool
) -> None:
    async with opened() as desk:
        listener = Listener(desk)
        listener.show("all", EVERYTHING, None)
        listener.congested()
        desk.write(2 * PAGE + 5)
        await turns(20)
        desk.journal.tail = tail
        if is_checked:
            await desk.hub.check_heads()
        listener.relieved()
        await turns(20)
        await desk.hub.check_heads()
        await listener.until(lambda: listener.following.is_live)
        assert listener.restarts == ["pruned"]
        assert listener.offsets == []
        desk.write(2)
        await listener.reaches(2 * PAGE + 7)
        assert listener.offsets == [2 * PAGE + 6, 2 * PAGE + 7]


async def test_the_stream_of_nobody_is_read_no_longer() -> None:
    async with opened() as desk:
        ada = Listener(desk)
        ada.show("everything", EVERYTHING, None)
        desk.hub.release(desk.stream)
        assert await desk.hub.stream(STREAM) is desk.stream
        ada.following.end()
        desk.hub.release(desk.stream)
        again = await desk.hub.stream(STREAM)
        assert again is not desk.stream
        desk.hub.release(again)
        with suppress(asyncio.CancelledError):
            await turns(3)
