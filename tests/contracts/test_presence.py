"""What everybody who knows who is where promises, for one process or for two."""

import asyncio
from uuid import UUID

import pytest

from application.ports.presence import Attendance, Presence
from domain.ids import AccountId
from tests.contracts.house import House

HALL = "presence:workspace:hall"
ADA, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))


def counted(attendance: Attendance | None) -> int:
    assert attendance is not None
    return attendance.connections


async def accounts(presence: Presence, channel: str = HALL) -> set[AccountId]:
    return set((await presence.present(channel)).accounts)


async def test_an_account_comes_with_its_first_connection_and_goes_with_its_last(house: House) -> None:
    one, other = house.presence, house.presence_elsewhere
    came = await one.enter(HALL, ADA, "a1")
    assert (came.channel, came.account, came.connections) == (HALL, ADA, 1)
    assert counted(await other.enter(HALL, ADA, "a2")) == 2
    assert counted(await one.leave(HALL, "a1")) == 1
    assert await accounts(one) == {ADA}
    gone = await other.leave(HALL, "a2")
    assert gone is not None
    assert (gone.channel, gone.account, gone.connections) == (HALL, ADA, 0)
    assert await accounts(one) == await accounts(other) == set()


async def test_each_account_of_a_channel_is_counted_by_itself(house: House) -> None:
    assert counted(await house.presence.enter(HALL, ADA, "a1")) == 1
    assert counted(await house.presence_elsewhere.enter(HALL, BOB, "b1")) == 1
    assert counted(await house.presence.enter(HALL, ADA, "a2")) == 2
    assert await accounts(house.presence) == {ADA, BOB}
    assert counted(await house.presence.leave(HALL, "a2")) == 1
    assert counted(await house.presence_elsewhere.leave(HALL, "b1")) == 0
    assert await accounts(house.presence) == {ADA}


async def test_one_connection_can_be_in_many_channels(house: House) -> None:
    channels = [HALL, f"{HALL}:x", "presence:task:hall"]
    for channel in channels:
        assert counted(await house.presence.enter(channel, ADA, "a1")) == 1
    assert counted(await house.presence.leave(channels[1], "a1")) == 0
    assert [await accounts(house.presence_elsewhere, channel) for channel in channels] == [{ADA}, set(), {ADA}]


async def test_entering_again_changes_nothing(house: House) -> None:
    first = await house.presence.enter(HALL, ADA, "a1")
    assert await house.presence.enter(HALL, ADA, "a1") == first
    assert (await house.presence.present(HALL)).version == first.version
    assert counted(await house.presence.leave(HALL, "a1")) == 0


async def test_who_was_not_there_cannot_leave(house: House) -> None:
    assert await house.presence.leave(HALL, "a1") is None
    await house.presence.enter(HALL, ADA, "a1")
    before = await house.presence.present(HALL)
    assert await house.presence.leave(HALL, "a2") is None
    assert await house.presence.leave("presence:task:elsewhere", "a1") is None
    assert (await house.presence.present(HALL)).version == before.version
    assert await house.presence.leave(HALL, "a1") is not None
    assert await house.presence.leave(HALL, "a1") is None


async def test_a_connection_can_leave_and_come_back(house: House) -> None:
    for _ in range(3):
        assert counted(await house.presence.enter(HALL, ADA, "a1")) == 1
        assert counted(await house.presence.leave(HALL, "a1")) == 0


async def test_versions_rise_with_every_change_even_while_nobody_is_there(house: House) -> None:
    one, other = house.presence, house.presence_elsewhere
    versions = [(await one.present(HALL)).version]
    for _ in range(3):
        for attendance in (
            await one.enter(HALL, ADA, "a1"),
            await other.enter(HALL, BOB, "b1"),
            await other.leave(HALL, "b1"),
            await one.leave(HALL, "a1"),
        ):
            assert attendance is not None
            versions.append(attendance.version)
        assert (await other.present(HALL)).version == versions[-1]
    assert versions == sorted(set(versions))


async def test_of_twenty_connections_of_an_account_at_once_one_is_the_first_and_one_the_last(house: House) -> None:
    processes = [house.presence, house.presence_elsewhere]
    entered = await asyncio.gather(*(processes[i % 2].enter(HALL, ADA, f"a{i}") for i in range(20)))
    assert sorted(attendance.connections for attendance in entered) == list(range(1, 21))
    left = await asyncio.gather(*(processes[i % 2].leave(HALL, f"a{i}") for i in range(20)))
    assert sorted(counted(attendance) for attendance in left) == list(range(20))
    attendances = [attendance for attendance in (*entered, *left) if attendance]
    assert len({attendance.version for attendance in attendances}) == 40
    assert max(attendances, key=lambda attendance: attendance.version).connections == 0


async def test_calls_for_one_connection_count_in_the_order_in_which_they_were_made(house: House) -> None:
    calls = [
        call for _ in range(50) for call in (house.presence.enter(HALL, ADA, "a1"), house.presence.leave(HALL, "a1"))
    ]
    outcomes = await asyncio.gather(*calls)
    assert [counted(outcome) for outcome in outcomes] == [1, 0] * 50
    assert await accounts(house.presence_elsewhere) == set()


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_nobody_comes_or_goes_while_every_process_lives(house: House, elsewhere: bool) -> None:
    await house.presence.enter(HALL, ADA, "a1")
    process = house.presence_elsewhere if elsewhere else house.presence
    for _ in range(2):
        assert list(await process.refresh()) == []
        assert list(await process.reap()) == []
    assert await accounts(house.presence) == {ADA}
