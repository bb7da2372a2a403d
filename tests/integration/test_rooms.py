"""Rooms that several processes change at once, on one PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from application.rooms import Command, JoinRoom, RoomJoined
from domain.rooms import RoomFull, StaleEpoch, Visibility, room_stream
from tests.integration.test_journal import Process, several_processes
from tests.support.builders import a_room, an_account, an_item, principal


@pytest_asyncio.fixture
async def processes(database_url: str) -> AsyncIterator[list[Process]]:
    async with several_processes(database_url, 3) as processes:
        yield processes


async def test_of_forty_who_come_by_three_processes_exactly_ten_are_in_and_each_has_the_offset_of_what_it_sees(
    processes: list[Process],
) -> None:
    ada = await an_account(processes[0])
    room = await a_room(processes[0], ada.id, visibility=Visibility.LINK)
    async with processes[0].work() as work:
        there = await work.rooms.get(room.id)
        there.leave(ada.id, ada.id, processes[0].clock.now())
        work.rooms.save(there)
    people = [principal(await an_account(processes[0])) for _ in range(40)]
    came = await asyncio.gather(
        *(
            processes[number % 3].container.entrance().join(who, room.id, JoinRoom())
            for number, who in enumerate(people)
        ),
        return_exceptions=True,
    )
    joined = [each for each in came if isinstance(each, RoomJoined)]
    assert len(joined) == 10
    assert [type(each) for each in came if not isinstance(each, RoomJoined)] == [RoomFull] * 30
    types = [entry.type for entry in await processes[1].entries(room_stream(room.id))]
    assert types.count("participant.joined") == 10
    for each in joined:
        told = types[: each.offset]
        assert len(each.room.participants) == told.count("participant.joined")
        assert each.participant in each.room.participants


async def test_of_three_who_seek_from_one_epoch_by_three_processes_one_wins(processes: list[Process]) -> None:
    ada = await an_account(processes[0])
    room = await a_room(processes[0], ada.id)
    now = processes[0].clock.now()
    async with processes[0].work() as work:
        there, queue = await work.rooms.get(room.id), await work.queues.get(room.id)
        queue.add(there.seat(ada.id), [an_item(processes[0], ada.id)], now)
        there.load(queue, queue.items[0].id, ada.id, now, 300)
        work.queues.save(queue)
        work.rooms.save(there)
    epoch = there.playback.epoch
    sought = await asyncio.gather(
        *(
            process.container.rooms().control(principal(ada), room.id, Command("seek", position_ms=number, epoch=epoch))
            for number, process in enumerate(processes)
        ),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in sought) == sorted(["StateView", *[StaleEpoch.__name__] * 2])
