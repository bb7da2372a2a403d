"""A live connection while the world moves: rights that come and go, events between two steps, silence, and time."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from dependency_injector import providers

from application.realtime.connection import COMMAND_SECONDS
from application.realtime.conversation import CONNECT_SECONDS, GONE_SECONDS, PING_SECONDS
from application.realtime.frames import CloseCode
from application.realtime.live import BACKLOG_MAX_BYTES, CONGESTED_SECONDS, TICK_SECONDS
from domain.errors import Unavailable
from tests.application.live_house import House, Visitor, turns
from tests.support.badges import Badges
from tests.support.builders import principal
from tests.support.faulty_broker import Fate

UNSUBSCRIBED = "unsubscribed"


async def test_who_is_removed_hears_it_and_nothing_after_it() -> None:
    house = await House().settle()
    task = await house.task()
    async with house.visit(house.bob) as bob, house.visit(house.ada) as ada:
        for visitor in (bob, ada):
            for id, channel in enumerate((house.channel, f"task:{task.id}", "me"), 2):
                await visitor.say(type="subscribe", id=id, channel=channel)
        await house.dismiss(house.bob)
        await house.rename(task, "A secret")
        await ada.until(lambda v: len(v.events()) == 2)
        await bob.until(lambda v: len(v.events()) == 2)
        assert ada.of(UNSUBSCRIBED) == []
        assert [(frame["channel"], frame["code"]) for frame in bob.of(UNSUBSCRIBED)] == [
            (house.channel, "not_found"),
            (f"task:{task.id}", "not_found"),
        ]
        assert bob.events(house.stream) == [(4, "member.removed")]
        assert bob.events("account:") == [(3, "workspace.left")]
        assert (await bob.say(type="subscribe", id=9, channel=house.channel))["code"] == "not_found"


async def test_a_deleted_workspace_is_lost_by_everybody() -> None:
    house = await House().settle()
    async with house.visit(house.bob) as bob, house.visit(house.ada) as ada:
        for visitor in (bob, ada):
            await visitor.say(type="subscribe", id=2, channel=house.channel)
        await house.container.workspaces().delete(principal(house.ada), house.team.id)
        for visitor in (bob, ada):
            await visitor.until(lambda v: bool(v.of(UNSUBSCRIBED)))
            assert visitor.events() == [(3, "workspace.deleted")]


async def test_who_was_removed_and_is_back_resumes_from_before_it() -> None:
    house = await House().settle()
    task = await house.task()
    await house.dismiss(house.bob)
    await house.admit(house.bob)
    await house.rename(task, "News")
    async with house.visit(house.bob, connected=False) as bob:
        await bob.say(type="connect", id=1, subscribe=[house.channel], resume={house.stream: 2})
        await bob.until(lambda v: len(v.events()) == 5)
        assert [offset for offset, _ in bob.events()] == [3, 4, 5, 6, 7]
        assert bob.of(UNSUBSCRIBED) == []


@pytest.mark.parametrize("absence", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("first", ["workspace", "task", "nothing"])
@pytest.mark.parametrize("wanted", ["workspace", "task"])
async def test_who_is_removed_in_the_middle_of_subscribing_is_told_so_or_hears_everything(
    wanted: str, first: str, absence: int | None
) -> None:
    """All points at which others come in, whether the stream is followed already or not."""
    point = 0
    while await removed_while_subscribing(point, wanted, first, absence):
        point += 1
    assert point > 1 or first != "nothing"


async def removed_while_subscribing(point: int, wanted: str, first: str, absence: int | None) -> bool:
    """Whether there was such a point. The removal is undone `absence` points later, or never."""
    passed = 0
    armed = False

    async def at(_: str) -> None:
        nonlocal passed
        if not armed:
            return
        passed += 1
        if passed == point + 1:
            await house.dismiss(house.bob)
        if absence is not None and passed == point + 1 + absence:
            await house.admit(house.bob)
        for _turn in range(3):
            await asyncio.sleep(0)

    house = await House(at).settle()
    task = await house.task()
    channels = {"workspace": house.channel, "task": f"task:{task.id}"}
    async with house.visit(house.bob) as bob:
        if first in channels:
            await bob.say(type="subscribe", id=2, channel=channels[first])
        armed = True
        answer = await bob.say(type="subscribe", id=3, channel=channels[wanted])
        armed = False
        head = (await house.container.journal().heads([house.stream]))[house.stream]
        armed = True
        await bob.until(lambda _: has_delivered(house, head))
        for _turn in range(20):
            await asyncio.sleep(0)
        before = bob.events()
        await house.rename(task, "A secret")

        def told(visitor: Visitor) -> bool:
            gone = [frame["channel"] for frame in visitor.of(UNSUBSCRIBED)]
            return answer.get("code") == "not_found" or channels[wanted] in gone

        await bob.until(lambda visitor: told(visitor) or len(visitor.events()) > len(before))
        for _turn in range(20):
            await asyncio.sleep(0)
        if passed > point and absence is None:
            assert told(bob)
            assert bob.events() == before
        if not told(bob):
            assert len(bob.events()) == len(before) + 1
    return passed > point


def has_delivered(house: House, head: int) -> bool:
    """Whether the stream of the house, if anybody follows it, has come that far: it pauses between two deliveries."""
    opened, _ = house.container.hub()._streams.get(house.stream, (None, None))
    return opened is None or (opened.done() and opened.result().position >= head)


@pytest.mark.parametrize("is_narrow", [True, False])
@pytest.mark.parametrize("is_live", [True, False])
@pytest.mark.parametrize("fate", [Fate.ARRIVES, Fate.IS_LOST])
@pytest.mark.parametrize("since", [None, 6, 9, 10])
async def test_a_further_channel_of_a_stream_begins_without_hole_or_repetition_whatever_comes_between(
    since: int | None, fate: Fate, is_live: bool, is_narrow: bool
) -> None:
    """All points at which others come in: around every call of the journal, and while each write is taken."""
    point = 0
    while await subscribed_while_events_come(point, since, fate, is_live, is_narrow):
        point += 1
    assert point > 3 or is_live


async def subscribed_while_events_come(
    point: int, since: int | None, fate: Fate, is_live: bool, is_narrow: bool
) -> bool:
    """Whether there was such a point: a task is followed, then a second one, and at that point both change."""
    passed = 0
    armed = False

    async def at(_: object = None) -> None:
        nonlocal passed
        if not armed:
            return
        passed += 1
        if passed == point + 1:
            await house.rename(second, "Second, between")
            await house.rename(first, "First, between")
            await house.container.hub().check_heads()
        for _turn in range(4):
            await asyncio.sleep(0)

    house = await House(at, fate).settle()
    first, second = await house.task(), await house.task()  # offsets 3 and 4
    for number in range(3):
        await house.rename(second, f"Second {number}")  # 5, 7, 9
        await house.rename(first, f"First {number}")  # 6, 8, 10
    async with house.visit(house.bob) as bob:
        bob.is_narrow = is_narrow
        await bob.say(type="subscribe", id=2, channel=f"task:{first.id}", since=7)
        if is_live:
            await bob.until(lambda v: len(v.events()) == 2)
        armed = True
        reply = await bob.say(type="subscribe", id=3, channel=f"task:{second.id}", since=since)
        assert reply["data"]["recovered"]
        await turns(20)
        armed = False
        await house.rename(second, "Second, last")
        await house.rename(first, "First, last")
        await house.container.hub().check_heads()
        last = (await house.container.journal().heads([house.stream]))[house.stream]
        await bob.until(lambda v: any(seen == last for seen, _ in v.events()))
        await turns(20)
        entries = await house.container.journal().read(house.stream, 0, 100)
        seen = [seen for seen, _ in bob.events()]
        begun = reply["data"]["offset"] if since is None else since
        assert [o for o in seen if entries[o - 1].resource_id == first.id] == [
            e.offset for e in entries if e.resource_id == first.id and e.offset > 7
        ]
        assert [o for o in seen if entries[o - 1].resource_id == second.id] == [
            e.offset for e in entries if e.resource_id == second.id and e.offset > begun
        ]
    return passed > point


async def test_events_whose_hints_were_lost_come_with_the_next_check() -> None:
    house = await House(fate=Fate.IS_LOST).settle()
    task = await house.task()
    async with house.visit(house.bob, connected=False) as bob:
        await bob.say(type="connect", id=1, subscribe=[house.channel])
        for title in ("One", "Two"):
            await house.rename(task, title)
        await house.container.hub().check_heads()
        await bob.until(lambda v: len(v.events()) == 2)
        assert [offset for offset, _ in bob.events()] == [4, 5]


async def test_a_journal_that_is_away_refuses_a_subscription_for_now_and_interrupts_none() -> None:
    failing: list[bool] = []

    async def at(point: str) -> None:
        if point.startswith("before") and failing and failing.pop():
            raise Unavailable("The journal is away.")

    house = await House(at, Fate.IS_LOST).settle()
    task = await house.task()
    async with house.visit(house.bob) as bob:
        failing.append(True)
        error = await bob.say(type="subscribe", id=2, channel=house.channel)
        assert (error["code"], error["retry"]) == ("dependency_unavailable", "later")
        assert house.followed == []
        await bob.say(type="subscribe", id=3, channel=house.channel)
        await house.rename(task, "Late")
        await house.container.hub().check_heads()
        failing.append(True)
        await bob.until(lambda v: bool(v.events()))
        assert (failing, bob.events()) == ([], [(4, "task.updated")])


def test_nothing_is_shown_while_a_right_cannot_be_checked_after_its_loss() -> None:
    hurried(shown_while_rights_are_unknown)


async def shown_while_rights_are_unknown() -> None:
    away: list[bool] = []

    async def at(point: str) -> None:
        if away and point == "before access":
            raise Unavailable("The store is away.")

    house = await House(at).settle()
    async with house.visit(house.bob, connected=False) as bob:
        await bob.say(type="connect", id=1, subscribe=[house.channel])
        task = await house.task()
        away.append(True)
        await house.dismiss(house.bob)
        await house.rename(task, "A secret")
        await asyncio.sleep(60)
        assert bob.events() == [(3, "task.created"), (4, "member.removed")]
        assert bob.of(UNSUBSCRIBED) == []
        away.clear()
        await asyncio.sleep(1)
        assert [frame["code"] for frame in bob.of(UNSUBSCRIBED)] == ["not_found"]
        assert bob.events() == [(3, "task.created"), (4, "member.removed")]
        assert house.followed == []


async def test_a_closed_connection_follows_nothing() -> None:
    house = await House().settle()
    tasks = len(asyncio.all_tasks())
    async with house.visit(house.bob, connected=False) as bob:
        await bob.say(type="connect", id=1, subscribe=[house.channel, "me", "market:ACME", f"presence:{house.channel}"])
        assert len(house.followed) == 4
        await turns(5)
        assert len(asyncio.all_tasks()) == tasks + 2
        await bob.say(type="unsubscribe", id=2, channel="me")
        await turns(5)
        assert len(asyncio.all_tasks()) == tasks + 1
    assert house.followed == []
    assert len(asyncio.all_tasks()) == tasks
    task = await house.task()
    await house.rename(task, "Unheard")
    assert bob.events() == []
    assert len(house.container.live()) == 0


@pytest.mark.parametrize("channel", ["workspace", "presence", "task"])
@pytest.mark.parametrize("first", [False, True])
async def test_a_connection_that_is_lost_at_any_moment_of_subscribing_leaves_nothing_behind(
    channel: str, first: bool
) -> None:
    point = 0
    while await lost_while_subscribing(point, channel, first):
        point += 1
    assert point > 3


async def lost_while_subscribing(point: int, wanted: str, first: bool) -> bool:
    """Whether there was such a point: so many turns of the event loop after the frame came."""

    async def at(_: str) -> None:
        await turns(2)

    house = await House(at).settle()
    task = await house.task()
    before = asyncio.all_tasks()
    channels = {"workspace": house.channel, "presence": f"presence:{house.channel}", "task": f"task:{task.id}"}
    async with house.visit(house.bob) as bob:
        if first:
            await bob.say(type="subscribe", id=2, channel="me")
        begun = len(bob.frames)
        bob.send(type="presence" if wanted == "presence" else "subscribe", id=3, channel=channels[wanted])
        await turns(point)
        was_answered = len(bob.frames) > begun
    await turns(20)
    assert house.followed == []
    assert asyncio.all_tasks() <= before
    assert (await house.container.presence().present(channels["presence"])).accounts == []
    return not was_answered


class _Selector(selectors.DefaultSelector):
    """Does not wait for a timer but counts the seconds that it would have waited."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout else timeout)
        if not ready and timeout:
            self.skipped += timeout
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """An event loop whose hours pass in no time; for what does no I/O."""

    def __init__(self) -> None:
        self._hurry = _Selector()
        super().__init__(self._hurry)

    def time(self) -> float:
        return super().time() + self._hurry.skipped


def hurried(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    def run() -> None:
        with asyncio.Runner(loop_factory=HurriedLoop) as runner:
            runner.run(asyncio.wait_for(test(), 24 * 3_600))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()


@asynccontextmanager
async def looked_after(house: House) -> AsyncIterator[None]:
    """As long as time passes for the connections."""
    task = asyncio.create_task(house.container.live().run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def closing(visitor: Visitor, within: float) -> CloseCode:
    """The code by which the connection is closed."""
    async with asyncio.timeout(within):
        while visitor.closed is None:
            await asyncio.sleep(0.1)
    return visitor.closed[0]


def test_a_silent_peer_is_pinged_and_then_given_up() -> None:
    async def test() -> None:
        house = await House().settle()
        loop = asyncio.get_running_loop()
        async with house.visit(house.bob) as bob, looked_after(house):
            begun = loop.time()
            assert await closing(bob, 2 * GONE_SECONDS) is CloseCode.NO_PONG
            assert GONE_SECONDS <= loop.time() - begun < GONE_SECONDS + 2 * TICK_SECONDS
            assert [frame["time"] for frame in bob.of("ping")] == [house.clock.now().timestamp()] * 2

    hurried(test)


def test_a_peer_that_answers_pings_stays_for_hours() -> None:
    async def test() -> None:
        house = await House().settle()
        async with house.visit(house.bob) as bob, looked_after(house):
            for _ in range(120):
                await asyncio.sleep(GONE_SECONDS - 1)
                bob.send(type="pong", time=0.0)
            assert bob.closed is None
            assert len(bob.of("ping")) >= 120 * (GONE_SECONDS - 1) // (PING_SECONDS + TICK_SECONDS)

    hurried(test)


def test_a_connection_on_which_nobody_says_who_is_there_is_kept_for_ten_seconds() -> None:
    async def test() -> None:
        house = await House().settle()
        async with house.visit(house.bob, connected=False) as bob, looked_after(house):
            await asyncio.sleep(CONNECT_SECONDS - 2 * TICK_SECONDS)
            assert bob.closed is None
            assert await closing(bob, 3 * TICK_SECONDS) is CloseCode.NOT_CONNECTED_IN_TIME

    hurried(test)


def test_who_is_looked_up_for_ever_is_told_to_come_again_and_not_that_nothing_was_said() -> None:
    async def test() -> None:
        house = House()
        badges = Badges(house.clock)
        badges.is_open.clear()
        house.container.credentials.override(providers.List(providers.Object(badges)))
        await house.settle()
        text, _ = badges.issue(house.bob.id)
        async with house.visit(connected=False) as bob, looked_after(house):
            await asyncio.sleep(CONNECT_SECONDS - 2 * TICK_SECONDS)
            bob.send(type="connect", id=1, token=text)
            assert await closing(bob, COMMAND_SECONDS + 1) is CloseCode.UNAVAILABLE
            assert [(e["id"], e["code"], e["retry"]) for e in bob.frames] == [(1, "dependency_unavailable", "later")]

    hurried(test)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda house: house.clock.advance(timedelta(days=2)), CloseCode.TOKEN_EXPIRED),
        (lambda house: house.container.authentication().end([principal(house.bob).credential_id]), CloseCode.REVOKED),
    ],
)
def test_a_connection_ends_with_its_token_and_with_its_session(end: Callable[[House], None], code: CloseCode) -> None:
    async def test() -> None:
        house = await House().settle()
        async with house.visit(house.bob) as bob, house.visit(house.ada) as ada, looked_after(house):
            await asyncio.sleep(PING_SECONDS)
            assert bob.closed is None
            end(house)
            assert await closing(bob, 1) is code
            assert (ada.closed is None) == (code is CloseCode.REVOKED)

    hurried(test)


@pytest.mark.parametrize("is_full", [True, False])
def test_a_peer_that_takes_nothing_is_cut(is_full: bool) -> None:
    async def test() -> None:
        house = await House().settle()
        async with house.visit(house.bob) as bob, house.visit(house.ada) as ada, looked_after(house):
            if is_full:
                bob.waiting = BACKLOG_MAX_BYTES + 1
                assert await closing(bob, 2 * TICK_SECONDS) is CloseCode.SLOW_CONSUMER
            else:
                bob.connection.congested()
                await asyncio.sleep(CONGESTED_SECONDS - 2 * TICK_SECONDS)
                assert bob.closed is None
                assert await closing(bob, 4 * TICK_SECONDS) is CloseCode.SLOW_CONSUMER
            assert ada.closed is None

    hurried(test)


def test_a_peer_of_whom_little_waits_is_cut_when_it_takes_nothing_of_that_and_not_while_it_does() -> None:
    async def test() -> None:
        house = await House().settle()
        async with house.visit(house.bob) as bob, looked_after(house):
            bob.is_stuck, bob.waiting = True, 10
            for _ in range(3):
                await asyncio.sleep(CONGESTED_SECONDS - 2 * TICK_SECONDS)
                assert bob.closed is None
                bob.waiting -= 1
                bob.send(type="pong")
            await asyncio.sleep(CONGESTED_SECONDS - 2 * TICK_SECONDS)
            assert bob.closed is None
            assert await closing(bob, 4 * TICK_SECONDS) is CloseCode.SLOW_CONSUMER

    hurried(test)


def test_everybody_is_sent_away_in_time_with_a_moment_to_come_back() -> None:
    async def test() -> None:
        house = await House().settle()
        loop = asyncio.get_running_loop()
        async with house.visit(house.bob) as bob, house.visit(house.ada) as ada:
            begun = loop.time()
            await house.container.live().drain(4)
            assert loop.time() - begun == pytest.approx(4, abs=0.5)
            for visitor in (ada, bob):
                (away,) = visitor.of("going_away")
                assert 0 < away["retry_ms"] < 4_000
                assert visitor.closed == (CloseCode.DRAINING, "draining")
            await turns(1)
            assert len(house.container.live()) == 0

    hurried(test)
