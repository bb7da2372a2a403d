"""What becomes of those who are present on instances that die or stand still."""

import asyncio
import time
from collections import Counter

import pytest
from redis import Redis

from adapters.redis.presence import AT_ONCE
from tests.contracts.crowd import ADA, BOB, HALL, NewPresence, account, enter_crowd, lapse, present, reap_together

SHORT_LEASE_SECONDS = 0.3


async def test_the_attendances_of_a_killed_instance_are_ended_once_by_whoever_is_there(
    new_presence: NewPresence, admin: Redis
) -> None:
    killed, reapers = new_presence(), [new_presence() for _ in range(5)]
    await enter_crowd(killed, 40)
    latest = (await killed.present(HALL)).version
    assert await reap_together(reapers) == []
    lapse(killed, admin)
    gone = await reap_together(reapers)
    assert sorted(attendance.account for attendance in gone) == [account(i) for i in range(40)]
    assert {(attendance.channel, attendance.connections) for attendance in gone} == {(HALL, 0)}
    assert sorted(attendance.version for attendance in gone) == list(range(latest + 1, latest + 41))
    assert await reap_together(reapers) == []
    assert await present(reapers[0]) == set()


async def test_who_is_on_a_living_instance_too_is_not_gone(new_presence: NewPresence, admin: Redis) -> None:
    killed, living = new_presence(), new_presence()
    for connection in ("a1", "a2"):
        await killed.enter(HALL, ADA, connection)
    await killed.enter(HALL, BOB, "b1")
    await living.enter(HALL, ADA, "a3")
    lapse(killed, admin)
    assert [attendance.account for attendance in await living.reap()] == [BOB]
    assert await present(living) == {ADA}
    left = await living.leave(HALL, "a3")
    assert left is not None
    assert left.connections == 0


async def test_a_call_ends_so_many_attendances_and_no_more(new_presence: NewPresence, admin: Redis) -> None:
    killed, also_killed, reaper = new_presence(), new_presence(), new_presence()
    await enter_crowd(also_killed, 10, "also ")
    await enter_crowd(killed, AT_ONCE + 20)
    # Ten accounts are on both, so they count in two of the calls and are gone in one.
    lapse(killed, admin)
    lapse(also_killed, admin)
    calls = [await reaper.reap() for _ in range(3)]
    assert len(calls[0]) <= AT_ONCE
    assert Counter(gone.account for call in calls for gone in call) == Counter(account(i) for i in range(AT_ONCE + 20))
    assert calls[2] == []
    assert admin.zcard("signalbox:presence:instances") == 0


@pytest.mark.parametrize("oddity", ["", " ", "a\r\nb", "ä", "\ud800", "x" * 10_000])
async def test_any_name_can_be_entered_left_and_reaped(new_presence: NewPresence, admin: Redis, oddity: str) -> None:
    killed, reaper = new_presence(), new_presence()
    usual, odd = await asyncio.gather(killed.enter(HALL, ADA, "a1"), killed.enter(oddity, ADA, oddity))
    assert (usual.connections, odd.connections) == (1, 1)
    assert await present(reaper, oddity) == {ADA}
    await killed.leave(oddity, oddity)
    assert (await killed.enter(oddity, ADA, f"\0{oddity}\0")).connections == 1
    lapse(killed, admin)
    assert {gone.channel for gone in await reaper.reap()} == {HALL, oddity}
    assert await present(reaper, oddity) == set()


async def test_a_lease_that_is_kept_holds(new_presence: NewPresence, admin: Redis) -> None:
    keeper, reaper = new_presence(lease_seconds=SHORT_LEASE_SECONDS), new_presence()
    await keeper.enter(HALL, ADA, "a1")
    deadline = time.monotonic() + 3 * SHORT_LEASE_SECONDS
    while time.monotonic() < deadline:
        assert list(await keeper.refresh()) == []
        assert list(await reaper.reap()) == []
        await asyncio.sleep(SHORT_LEASE_SECONDS / 20)
    assert await present(reaper) == {ADA}


async def test_an_instance_that_stood_still_brings_its_accounts_back(new_presence: NewPresence, admin: Redis) -> None:
    sleeper, other = new_presence(), new_presence()
    await sleeper.enter(HALL, ADA, "a1")
    await sleeper.enter(HALL, BOB, "b1")
    await other.enter(HALL, BOB, "b2")
    lapse(sleeper, admin)
    (gone,) = await other.reap()
    (came,) = await sleeper.refresh()
    assert (came.channel, came.account, came.connections) == (HALL, ADA, 1)
    assert came.version > gone.version
    assert await present(other) == {ADA, BOB}


async def test_an_instance_that_nobody_reaped_in_time_has_lost_nothing(new_presence: NewPresence, admin: Redis) -> None:
    sleeper, other = new_presence(), new_presence()
    await sleeper.enter(HALL, ADA, "a1")
    lapse(sleeper, admin)
    assert list(await sleeper.refresh()) == []
    assert list(await other.reap()) == []
    assert await present(other) == {ADA}


async def test_an_instance_does_not_end_its_own_attendances(new_presence: NewPresence, admin: Redis) -> None:
    sleeper = new_presence()
    await sleeper.enter(HALL, ADA, "a1")
    lapse(sleeper, admin)
    assert list(await sleeper.reap()) == []
    assert await present(sleeper) == {ADA}


async def test_an_entrance_after_a_reaping_does_not_hide_what_was_lost(new_presence: NewPresence, admin: Redis) -> None:
    sleeper, other = new_presence(), new_presence()
    await sleeper.enter(HALL, ADA, "a1")
    lapse(sleeper, admin)
    await other.reap()
    assert (await sleeper.enter(HALL, BOB, "b1")).connections == 1
    assert [came.account for came in await sleeper.refresh()] == [ADA]
    assert await present(other) == {ADA, BOB}
