"""What becomes of presence when instances die or stand still, and when Redis dies, hangs or forgets everything."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from redis import Redis

from adapters.memory.observer import MemoryObserver
from adapters.redis.presence import AT_ONCE, RedisPresence
from application.ports.presence import Attendance
from domain.errors import Unavailable
from domain.ids import AccountId
from tests.contracts.house import eventually
from tests.support.services import RedisService

HALL = "presence:workspace:hall"
ADA, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))
SHORT_LEASE_SECONDS = 0.3
LONGEST_WAIT_SECONDS = 0.4

NewPresence = Callable[..., RedisPresence]


@pytest_asyncio.fixture
async def new_presence(redis: RedisService) -> AsyncIterator[NewPresence]:
    """Makes what each of several processes has."""
    made: list[RedisPresence] = []

    def make(lease_seconds: float = 60, instance: str = "", url: str = redis.url) -> RedisPresence:
        made.append(RedisPresence(url, MemoryObserver(), instance, lease_seconds=lease_seconds))
        return made[-1]

    yield make
    for presence in made:
        presence.close()


def account(number: int) -> AccountId:
    return AccountId(UUID(int=number + 1))


async def present(presence: RedisPresence, channel: str = HALL) -> set[AccountId]:
    return set((await presence.present(channel)).accounts)


async def enter_crowd(presence: RedisPresence, size: int, name: str = "c") -> None:
    """Let as many accounts in, each with one connection, without asking for so much at once that it takes long."""
    for start in range(0, size, 100):
        crowd = range(start, min(size, start + 100))
        await asyncio.gather(*(presence.enter(HALL, account(i), f"{name}{i}") for i in crowd))


async def reap_together(reapers: Sequence[RedisPresence]) -> list[Attendance]:
    return [gone for each in await asyncio.gather(*(reaper.reap() for reaper in reapers)) for gone in each]


def lapses(presence: RedisPresence, admin: Redis) -> Callable[[], bool]:
    """Whether the lease of an instance is over, on the clock of Redis."""

    def is_over() -> bool:
        clock: Any = admin.time()
        lease_end: Any = admin.zscore("signalbox:presence:instances", presence._instance)
        return lease_end is None or clock[0] * 1_000_000 + clock[1] > lease_end

    return is_over


async def fails_in_time(call: Awaitable[object]) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await call
    assert time.monotonic() - began < LONGEST_WAIT_SECONDS


# Instances that die


async def test_the_attendances_of_a_killed_instance_are_ended_once_by_whoever_is_there(
    new_presence: NewPresence, admin: Redis
) -> None:
    killed, reapers = new_presence(SHORT_LEASE_SECONDS), [new_presence() for _ in range(5)]
    await enter_crowd(killed, 40)
    latest = (await killed.present(HALL)).version
    assert await reap_together(reapers) == []
    await eventually(lapses(killed, admin))
    gone = await reap_together(reapers)
    assert sorted(attendance.account for attendance in gone) == [account(i) for i in range(40)]
    assert {(attendance.channel, attendance.connections) for attendance in gone} == {(HALL, 0)}
    assert sorted(attendance.version for attendance in gone) == list(range(latest + 1, latest + 41))
    assert await reap_together(reapers) == []
    assert await present(reapers[0]) == set()


async def test_who_is_on_a_living_instance_too_is_not_gone(new_presence: NewPresence, admin: Redis) -> None:
    killed, living = new_presence(SHORT_LEASE_SECONDS), new_presence()
    for connection in ("a1", "a2"):
        await killed.enter(HALL, ADA, connection)
    await killed.enter(HALL, BOB, "b1")
    await living.enter(HALL, ADA, "a3")
    await eventually(lapses(killed, admin))
    assert [attendance.account for attendance in await living.reap()] == [BOB]
    assert await present(living) == {ADA}
    left = await living.leave(HALL, "a3")
    assert left is not None
    assert left.connections == 0


async def test_a_call_ends_so_many_attendances_and_no_more(new_presence: NewPresence, admin: Redis) -> None:
    killed, also_killed, reaper = new_presence(SHORT_LEASE_SECONDS), new_presence(SHORT_LEASE_SECONDS), new_presence()
    await enter_crowd(also_killed, 10, "also ")
    await enter_crowd(killed, AT_ONCE + 20)
    # Ten accounts are on both, so they count in two of the calls and are gone in one.
    await eventually(lapses(killed, admin))
    await eventually(lapses(also_killed, admin))
    calls = [await reaper.reap() for _ in range(3)]
    assert len(calls[0]) <= AT_ONCE
    assert Counter(gone.account for call in calls for gone in call) == Counter(account(i) for i in range(AT_ONCE + 20))
    assert calls[2] == []
    assert admin.zcard("signalbox:presence:instances") == 0


@pytest.mark.parametrize("oddity", ["", " ", "a\r\nb", "ä", "\ud800", "x" * 10_000])
async def test_any_name_can_be_entered_left_and_reaped(new_presence: NewPresence, admin: Redis, oddity: str) -> None:
    killed, reaper = new_presence(SHORT_LEASE_SECONDS), new_presence()
    usual, odd = await asyncio.gather(killed.enter(HALL, ADA, "a1"), killed.enter(oddity, ADA, oddity))
    assert (usual.connections, odd.connections) == (1, 1)
    assert await present(reaper, oddity) == {ADA}
    await killed.leave(oddity, oddity)
    assert (await killed.enter(oddity, ADA, f"\0{oddity}\0")).connections == 1
    await eventually(lapses(killed, admin))
    assert {gone.channel for gone in await reaper.reap()} == {HALL, oddity}
    assert await present(reaper, oddity) == set()


async def test_a_lease_that_is_kept_holds(new_presence: NewPresence, admin: Redis) -> None:
    keeper, reaper = new_presence(SHORT_LEASE_SECONDS), new_presence()
    await keeper.enter(HALL, ADA, "a1")
    deadline = time.monotonic() + 3 * SHORT_LEASE_SECONDS
    while time.monotonic() < deadline:
        assert list(await keeper.refresh()) == []
        assert list(await reaper.reap()) == []
        await asyncio.sleep(SHORT_LEASE_SECONDS / 20)
    assert await present(reaper) == {ADA}


async def test_an_instance_that_stood_still_brings_its_accounts_back(new_presence: NewPresence, admin: Redis) -> None:
    sleeper, other = new_presence(SHORT_LEASE_SECONDS), new_presence()
    await sleeper.enter(HALL, ADA, "a1")
    await sleeper.enter(HALL, BOB, "b1")
    await other.enter(HALL, BOB, "b2")
    await eventually(lapses(sleeper, admin))
    (gone,) = await other.reap()
    (came,) = await sleeper.refresh()
    assert (came.channel, came.account, came.connections) == (HALL, ADA, 1)
    assert came.version > gone.version
    assert await present(other) == {ADA, BOB}


async def test_an_instance_that_nobody_reaped_in_time_has_lost_nothing(new_presence: NewPresence, admin: Redis) -> None:
    sleeper, other = new_presence(SHORT_LEASE_SECONDS), new_presence()
    await sleeper.enter(HALL, ADA, "a1")
    await eventually(lapses(sleeper, admin))
    assert list(await sleeper.refresh()) == []
    assert list(await other.reap()) == []
    assert await present(other) == {ADA}


async def test_an_instance_does_not_end_its_own_attendances(new_presence: NewPresence, admin: Redis) -> None:
    sleeper = new_presence(SHORT_LEASE_SECONDS)
    await sleeper.enter(HALL, ADA, "a1")
    await eventually(lapses(sleeper, admin))
    assert list(await sleeper.reap()) == []
    assert await present(sleeper) == {ADA}


async def test_an_entrance_after_a_reaping_does_not_hide_what_was_lost(new_presence: NewPresence, admin: Redis) -> None:
    sleeper, other = new_presence(SHORT_LEASE_SECONDS), new_presence()
    await sleeper.enter(HALL, ADA, "a1")
    await eventually(lapses(sleeper, admin))
    await other.reap()
    assert (await sleeper.enter(HALL, BOB, "b1")).connections == 1
    assert [came.account for came in await sleeper.refresh()] == [ADA]
    assert await present(other) == {ADA, BOB}


# A Redis that forgets


async def test_after_a_flush_each_account_is_brought_back_once_and_versions_go_on(
    new_presence: NewPresence, admin: Redis
) -> None:
    one, other = new_presence(), new_presence()
    await enter_crowd(one, 2 * AT_ONCE + 1, "one ")
    await enter_crowd(other, 20, "other ")
    before = await one.present(HALL)
    admin.flushall()
    empty = await one.present(HALL)
    assert (len(empty.accounts), empty.version > before.version) == (0, True)
    first, second = await one.refresh(), await other.refresh()
    assert len(first) == 2 * AT_ONCE + 1
    assert min(came.version for came in first) > empty.version
    assert list(second) == []
    after = await other.present(HALL)
    assert set(after.accounts) == {account(i) for i in range(2 * AT_ONCE + 1)}
    assert len(after.accounts) == len(set(after.accounts))
    assert list(await one.refresh()) == []
    left = await one.leave(HALL, "one 0")
    assert left is not None
    assert left.connections == 1


@pytest.mark.parametrize("change", ["enter", "leave"])
async def test_a_change_after_a_flush_does_not_hide_what_was_lost(
    new_presence: NewPresence, admin: Redis, change: str
) -> None:
    presence = new_presence()
    await presence.enter(HALL, ADA, "a1")
    await presence.enter(HALL, BOB, "b1")
    admin.flushall()
    if change == "enter":
        assert (await presence.enter(HALL, account(7), "c1")).connections == 1
        expected = {ADA, BOB, account(7)}
    else:
        assert await presence.leave(HALL, "b1") is None
        expected = {ADA}
    await presence.refresh()
    assert await present(presence) == expected


async def test_scripts_that_redis_forgot_are_sent_again(new_presence: NewPresence, admin: Redis) -> None:
    presence = new_presence()
    for i in range(3):
        admin.script_flush()
        assert (await presence.enter(HALL, account(i), f"c{i}")).connections == 1
        admin.script_flush()
        assert len((await presence.present(HALL)).accounts) == i + 1


async def test_nothing_is_left_of_those_who_left_but_their_place_in_history(
    new_presence: NewPresence, admin: Redis
) -> None:
    presence = new_presence()
    await presence.enter(HALL, ADA, "a1")
    assert admin.ttl(f"signalbox:presence:version:{HALL}") == -1
    await presence.leave(HALL, "a1")
    keys: Any = admin.keys()
    lifetimes: dict[str, Any] = {key.decode(): admin.ttl(key) for key in keys}
    assert 86_000 < lifetimes.pop(f"signalbox:presence:version:{HALL}") <= 86_400
    assert lifetimes.pop(f"signalbox:presence:turn:{presence._instance}") > 0
    assert list(lifetimes) == ["signalbox:presence:instances"]


# A Redis that is away


def take_away(redis: RedisService, fault: str) -> None:
    redis.kill() if fault == "kill" else redis.pause()


def bring_back(redis: RedisService, fault: str) -> None:
    redis.start() if fault == "kill" else redis.resume()


async def refreshed(presence: RedisPresence) -> list[Attendance]:
    """What the first refresh says that succeeds."""
    came: list[Attendance] = []

    async def succeeds() -> bool:
        try:
            came.extend(await presence.refresh())
        except Unavailable:
            return False
        return True

    await eventually(succeeds)
    return came


@pytest.mark.parametrize("fault", ["kill", "pause"])
@pytest.mark.parametrize("has_met_redis", [False, True])
async def test_without_redis_every_call_fails_in_time(
    redis: RedisService, new_presence: NewPresence, fault: str, has_met_redis: bool
) -> None:
    presence = new_presence()
    if has_met_redis:
        await presence.enter(HALL, ADA, "a1")
    take_away(redis, fault)
    for _ in range(2):
        await fails_in_time(presence.enter(HALL, ADA, "a1"))
        await fails_in_time(presence.present(HALL))
        await fails_in_time(presence.refresh())
        await fails_in_time(presence.reap())
        await fails_in_time(presence.leave(HALL, "a1"))
    assert await presence.leave(HALL, "never entered") is None
    crowd = [presence.enter(HALL, account(i), f"c{i}") for i in range(100)]
    await asyncio.gather(*map(fails_in_time, (*crowd, *(presence.present(HALL) for _ in range(20)))))


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_a_refresh_makes_up_for_what_failed_while_redis_was_away(
    redis: RedisService, new_presence: NewPresence, fault: str
) -> None:
    presence, other = new_presence(), new_presence()
    await presence.enter(HALL, account(0), "stays")
    await presence.enter(HALL, account(1), "leaves")
    await presence.enter(HALL, account(2), "returns")
    take_away(redis, fault)
    for call in (
        presence.enter(HALL, account(3), "comes"),
        presence.enter(HALL, account(4), "looks in"),
        presence.leave(HALL, "looks in"),
        presence.leave(HALL, "leaves"),
        presence.leave(HALL, "returns"),
        presence.enter(HALL, account(2), "returns"),
    ):
        await fails_in_time(call)
    bring_back(redis, fault)
    came = await refreshed(presence)
    await eventually(lambda: _sees(other, {account(0), account(2), account(3)}))
    if fault == "kill":
        assert {attendance.account for attendance in came} == {account(0), account(2), account(3)}
    assert await refreshed(presence) == []
    assert await presence.leave(HALL, "leaves") is None
    assert [outcome and outcome.connections for outcome in [await presence.leave(HALL, "comes")]] == [0]


async def _sees(presence: RedisPresence, expected: set[AccountId]) -> bool:
    try:
        return await present(presence) == expected
    except Unavailable:
        return False


async def test_a_leave_that_failed_can_be_repeated(redis: RedisService, new_presence: NewPresence) -> None:
    presence = new_presence()
    await presence.enter(HALL, ADA, "a1")
    redis.pause()
    await fails_in_time(presence.leave(HALL, "a1"))
    await fails_in_time(presence.leave(HALL, "a1"))
    redis.resume()

    async def answers() -> bool:
        try:
            await presence.leave(HALL, "a1")
        except Unavailable:
            return False
        return True

    await eventually(answers)
    assert await present(presence) == set()


async def test_what_was_given_up_and_arrives_late_enters_nobody(new_presence: NewPresence) -> None:
    presence = new_presence(instance="house-1")
    for i in range(3):
        await presence.enter(HALL, account(i), f"c{i}")
        await presence.leave(HALL, f"c{i}")
    late = new_presence(instance="house-1")  # its turns begin at 1, as those of old commands
    await fails_in_time(late.enter(HALL, ADA, "a1"))
    assert await present(presence) == set()


async def test_a_connection_that_redis_closed_is_replaced(new_presence: NewPresence, admin: Redis) -> None:
    presence = new_presence()
    for i in range(5):
        await presence.enter(HALL, account(i), f"c{i}")
        admin.client_kill_filter(_type="normal", skipme=True)
        await eventually(lambda: presence._line._link is None)
    assert len(await present(presence)) == 5


async def test_callers_who_stop_waiting_leave_the_outcomes_of_others_alone(new_presence: NewPresence) -> None:
    presence = new_presence()
    chance = random.Random(7)
    for turn in range(20):
        waiting = [asyncio.create_task(presence.enter(f"{HALL}{turn}", ADA, f"a{i}")) for i in range(20)]
        for _ in range(1 + chance.randrange(6)):  # at least until they have called
            await asyncio.sleep(0)
        cancelled = chance.sample(range(20), 5)
        for i in cancelled:
            waiting[i].cancel()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        counts = [outcome.connections for outcome in outcomes if isinstance(outcome, Attendance)]
        assert all(one < next_one for one, next_one in pairwise(counts))
        await presence.refresh()
        assert (await presence.enter(f"{HALL}{turn}", ADA, "a0")).connections == 20


@pytest.mark.parametrize("seed", range(5))
async def test_after_any_confusion_a_refresh_makes_the_store_right(
    new_presence: NewPresence, admin: Redis, seed: int
) -> None:
    chance = random.Random(seed)
    faults: list[Callable[[], object]] = [
        admin.flushall,
        admin.script_flush,
        lambda: admin.client_kill_filter(_type="normal"),
    ]
    processes = [new_presence() for _ in range(3)]
    here: dict[tuple[str, str], AccountId] = {}
    calls: list[asyncio.Task[object]] = []
    for _ in range(600):
        number, channel, seat = chance.randrange(3), f"room:{chance.randrange(3)}", chance.randrange(10)
        process, connection = processes[number], f"c{number}{seat}"
        if chance.random() < 0.5:
            here[channel, connection] = account(seat % 4)
            calls.append(asyncio.create_task(process.enter(channel, account(seat % 4), connection)))
        else:
            here.pop((channel, connection), None)
            calls.append(asyncio.create_task(process.leave(channel, connection)))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
            if chance.random() < 0.3:
                calls[-1].cancel()
        if chance.random() < 0.05:
            calls.append(asyncio.create_task(process.refresh()))
        if chance.random() < 0.02:
            chance.choice(faults)()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(o, Attendance | Unavailable | asyncio.CancelledError | list | None) for o in outcomes)
    for process in processes:
        await refreshed(process)
    for channel in ("room:0", "room:1", "room:2"):
        expected = Counter(str(who).encode() for (place, _), who in here.items() if place == channel)
        stored: Any = admin.hgetall(f"signalbox:presence:accounts:{channel}")
        assert {who: int(count) for who, count in stored.items()} == dict(expected)
        assert {str(who).encode() for who in await present(processes[0], channel)} == set(expected)


# Neighbours, cost and the end


async def test_installations_in_different_databases_of_one_redis_do_not_see_each_other(
    redis: RedisService, new_presence: NewPresence, admin: Redis
) -> None:
    here, there = new_presence(SHORT_LEASE_SECONDS), new_presence(url=redis.url.removesuffix("/0") + "/1")
    await here.enter(HALL, ADA, "a1")
    assert (await there.enter(HALL, ADA, "a1")).connections == 1
    await there.leave(HALL, "a1")
    assert (await present(here), await present(there)) == ({ADA}, set())
    await eventually(lapses(here, admin))
    assert list(await there.reap()) == []


async def test_all_who_come_at_the_same_time_cost_few_calls(new_presence: NewPresence, admin: Redis) -> None:
    presence = new_presence()
    await presence.enter(HALL, ADA, "first")
    admin.config_resetstat()
    attendances = await asyncio.gather(*(presence.enter(HALL, account(i), f"c{i}") for i in range(300)))
    assert [attendance.connections for attendance in attendances] == [2] + [1] * 299
    statistics: Any = admin.info("commandstats")
    assert statistics["cmdstat_evalsha"]["calls"] == 1


async def test_a_closed_presence_lets_go_and_says_so(new_presence: NewPresence, admin: Redis) -> None:
    presence = new_presence()
    await presence.enter(HALL, ADA, "a1")

    def connections() -> int:
        clients: Any = admin.client_list()
        return sum(client["name"] == "signalbox-presence" for client in clients)

    assert connections() == 1
    presence.close()
    await eventually(lambda: connections() == 0)
    await fails_in_time(presence.enter(HALL, BOB, "b1"))
    await fails_in_time(presence.present(HALL))
    presence.close()
    assert connections() == 0
