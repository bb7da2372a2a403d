"""What becomes of presence when Redis forgets everything, in any confusion, and what it costs."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from redis import Redis

from adapters.redis.presence import AT_ONCE
from application.ports.presence import Attendance
from domain.errors import Unavailable
from domain.ids import AccountId
from tests.contracts.crowd import ADA, BOB, HALL, NewPresence, account, enter_crowd, lapse, present, refreshed
from tests.contracts.house import eventually
from tests.support.services import RedisService

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
    assert set(lifetimes) == {"signalbox:presence:instances", "signalbox:presence:since"}


# Callers in confusion


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
    here, there = new_presence(), new_presence(url=redis.url.removesuffix("/0") + "/1")
    await here.enter(HALL, ADA, "a1")
    assert (await there.enter(HALL, ADA, "a1")).connections == 1
    await there.leave(HALL, "a1")
    assert (await present(here), await present(there)) == ({ADA}, set())
    lapse(here, admin)
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
    for call in (presence.enter(HALL, BOB, "b1"), presence.present(HALL)):
        with pytest.raises(Unavailable):
            await call
    presence.close()
    assert connections() == 0


async def test_what_is_present_is_not_complete_until_every_process_could_enter_its_own_again(
    new_presence: NewPresence, admin: Redis
) -> None:
    one, other = new_presence(settled_seconds=0.3), new_presence(settled_seconds=0.3)
    await one.enter(HALL, ADA, "a1")
    await other.enter(HALL, BOB, "b1")

    async def is_complete() -> bool:
        return (await one.present(HALL)).is_complete

    await eventually(is_complete)
    admin.flushall()
    assert not (await one.present(HALL)).is_complete
    await one.refresh()
    await one.refresh()
    found = await one.present(HALL)
    assert (set(found.accounts), found.is_complete) == ({ADA}, False)
    await other.refresh()
    await other.refresh()
    await eventually(is_complete)
    assert await present(one) == {ADA, BOB}
