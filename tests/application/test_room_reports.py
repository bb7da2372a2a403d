"""What players tell of themselves: a repetition asks no store, and news reach the room once."""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.principal import Principal
from application.rooms import Keeping, RoomLeads, RoomReport, RoomReports, RoomSteps
from application.rooms.measures import DRIFT, REPORTS_PER_PARTICIPANT
from domain.channels import Channel
from domain.errors import Exhausted, NotFound, Unavailable
from domain.ids import RoomId
from domain.rooms import ROOM, STATUS, PlaybackStatus
from tests.application.cinema import Cinema


class Desk:
    """A cinema with a room of Ada's and Bob's that loads an item, and the players of both."""

    def __init__(self, cinema: Cinema) -> None:
        self.cinema = cinema
        self.units = 0
        self.is_away = False
        house = cinema.house
        self.leads = RoomLeads(house.newest())
        steps = RoomSteps(
            self._counted, Keeping(house.guests(), cinema.clock), self.leads, cinema.clock, cinema.observer
        )
        self.reports = RoomReports(steps, house.room_queries(), house.newest(), house.limits(), cinema.observer)

    def _counted(self) -> AbstractAsyncContextManager[Any]:
        self.units += 1
        if self.is_away:
            raise Unavailable("The store is away.")
        return self.cinema.work()

    async def open(self) -> "Desk":
        self.room = await self.cinema.room(self.cinema.bob)
        self.items = await self.cinema.put(self.room.id, count=3)
        self.state = await self.cinema.control(self.room.id, action="load", item_id=self.items[0])
        return self

    def join(self, other: "Desk") -> "Desk":
        """Another process, with the room of the first."""
        self.room, self.items, self.state = other.room, other.items, other.state
        return self

    @property
    def id(self) -> RoomId:
        return RoomId(self.room.id)

    def report(self, **values: Any) -> RoomReport:
        return RoomReport(self.state.epoch, self.state.item_id, 0, **values)

    async def tell(self, who: Principal, **values: Any) -> int:
        """How many units of work it took."""
        before = self.units
        await self.reports.told(who, self.id, self.report(**values))
        return self.units - before

    async def status(self) -> dict[str, bytes]:
        values = await self.cinema.house.newest().of([Channel(STATUS, Channel(ROOM, self.id))])
        return {value.key: bytes(value.data) for value in values}


@pytest.fixture
async def desk() -> Desk:
    return await Desk(await Cinema.open()).open()


async def test_what_a_player_repeats_asks_no_store(desk: Desk) -> None:
    ada = desk.cinema.ada
    assert await desk.tell(ada, rtt_ms=40) == 1
    for rtt_ms in range(5):
        assert await desk.tell(ada, rtt_ms=rtt_ms, drift_ms=-rtt_ms) == 0
    assert await desk.tell(ada, ready=True) == 1
    assert await desk.tell(ada, ready=True) == 0


async def test_the_room_plays_when_everybody_is_ready_as_far_ahead_as_the_slowest_way_is_long(desk: Desk) -> None:
    ada, bob = desk.cinema.ada, desk.cinema.bob
    await desk.tell(ada, ready=True, rtt_ms=700)
    assert (await desk.cinema.show(desk.room.id)).state.status is PlaybackStatus.LOADING
    await desk.tell(bob, ready=True, rtt_ms=30)
    state = (await desk.cinema.show(desk.room.id)).state
    assert state.status is PlaybackStatus.PLAYING
    assert state.anchor_at == desk.cinema.clock.now() + timedelta(milliseconds=850)
    assert await desk.leads(desk.id) == 850


async def test_operators_see_how_far_players_are_from_where_they_should_be(desk: Desk) -> None:
    for drift_ms, sync in ((-40, "strict"), (400, "relaxed"), (9_000, "free"), (None, "strict")):
        await desk.tell(desk.cinema.ada, drift_ms=drift_ms, sync=sync)
    assert list(desk.cinema.observer.values[DRIFT.name]) == [0.04, 0.4]


async def test_operators_see_whether_rooms_wait_in_vain(desk: Desk) -> None:
    cinema, counted = desk.cinema, []

    def waits() -> list[str]:
        return [outcome for what, outcome in cinema.observer.happenings if what == "room_waited"]

    for each in (cinema.ada, cinema.bob):
        await desk.tell(each, ready=True)
        counted.append(waits())
    cinema.wait(seconds=5)
    desk.state = (await cinema.show(desk.room.id)).state
    await desk.tell(cinema.bob, buffering=True)
    for seconds in (3, 11):
        await cinema.pass_time(seconds=seconds)
        counted.append(waits())
    assert counted == [[], ["ready"], ["ready", "buffering"], ["ready", "buffering", "overdue"]]


async def test_operators_see_how_many_players_catch_up_and_how_many_cannot(desk: Desk) -> None:
    for values in ({}, {"rate": 1.0}, {"rate": 1.04}, {"rate": 1.04}, {"rate": 1.0}, {"rate": 1.0, "sync": "lagging"}):
        await desk.tell(desk.cinema.ada, **values)
    desk.state = await desk.cinema.control(desk.room.id, action="rate", rate=1.5)
    await desk.tell(desk.cinema.ada, rate=1.5)
    counted = desk.cinema.observer.happenings
    assert [counted["room_reported", outcome] for outcome in ("steady", "corrected", "lagging")] == [4, 2, 1]


async def test_reports_are_shown_by_account_for_a_quarter_of_a_minute(desk: Desk) -> None:
    await desk.tell(desk.cinema.ada, ready=True, sync="relaxed")
    ((key, data),) = (await desk.status()).items()
    assert (key, b'"sync":"relaxed"' in data) == (str(desk.cinema.ada.account_id), True)
    desk.cinema.wait(seconds=15)
    assert await desk.status() == {}
    assert await desk.tell(desk.cinema.ada, ready=True) == 1


async def test_news_that_did_not_reach_the_room_are_brought_with_the_next_report(desk: Desk) -> None:
    desk.is_away = True
    with pytest.raises(Unavailable):
        await desk.tell(desk.cinema.ada, ready=True)
    desk.is_away = False
    assert await desk.tell(desk.cinema.ada, ready=True) == 1


async def test_news_are_not_brought_again_because_their_values_were_lost(desk: Desk) -> None:
    ada = desk.cinema.ada
    assert await desk.tell(ada, ready=True) == 1
    await desk.cinema.house.newest().tell(Channel(STATUS, Channel(ROOM, desk.id)), str(ada.account_id), None, 1)
    assert await desk.tell(ada, ready=True) == 0


async def test_what_another_process_has_brought_since_is_no_repetition(desk: Desk) -> None:
    elsewhere = Desk(desk.cinema).join(desk)
    ada = desk.cinema.ada
    for each, buffering in ((desk, False), (elsewhere, True), (desk, False)):
        assert await each.tell(ada, buffering=buffering) == 1


async def test_ten_players_at_the_end_of_an_item_go_on_by_one(desk: Desk) -> None:
    cinema = desk.cinema
    crowd = await cinema.crowd(8)
    for each in crowd:
        await cinema.enter(desk.room, each)
    everybody = [cinema.ada, cinema.bob, *crowd]
    await cinema.connect(desk.room.id, *crowd)
    for each in everybody:
        await desk.tell(each, ready=True)
    desk.state = (await cinema.show(desk.room.id)).state
    cinema.wait(seconds=60)
    for each in everybody:
        await desk.tell(each, ended=True)
    state = (await cinema.show(desk.room.id)).state
    assert (state.status, state.item_id) == (PlaybackStatus.LOADING, desk.items[1])
    for each in everybody:
        await desk.tell(each, ended=True)
    assert (await cinema.show(desk.room.id)).state == state


async def test_a_report_of_somebody_who_is_not_in_the_room_is_refused_and_shown_to_nobody(desk: Desk) -> None:
    eve, bob = desk.cinema.eve, desk.cinema.bob
    for hear in (desk.reports.report, desk.reports.told):
        with pytest.raises(NotFound):
            await hear(eve, desk.id, desk.report())
    with pytest.raises(NotFound):
        await desk.reports.report(bob, RoomId(UUID(int=1)), desk.report())
    assert await desk.status() == {}
    await desk.reports.report(bob, desk.id, desk.report())
    assert list(await desk.status()) == [str(bob.account_id)]


async def test_a_player_that_changes_all_the_time_does_not_keep_the_store_busy(desk: Desk) -> None:
    with pytest.raises(Exhausted):
        for n in range(REPORTS_PER_PARTICIPANT.limit + 1):
            await desk.tell(desk.cinema.ada, buffering=bool(n % 2))


async def test_reports_that_come_together_cost_their_room_one_unit_and_each_gets_its_own_answer(desk: Desk) -> None:
    cinema = desk.cinema
    crowd = await cinema.crowd(6)
    for each in crowd:
        await cinema.enter(desk.room, each)
    everybody = [cinema.ada, cinema.eve, cinema.bob, *crowd]
    before = desk.units
    answers = await asyncio.gather(
        *(desk.reports.told(each, desk.id, desk.report(ready=True)) for each in everybody), return_exceptions=True
    )
    # The first brings its own; meanwhile all others gather.
    assert desk.units - before == 2
    assert [type(answer) for answer in answers] == [type(None), NotFound, *[type(None)] * 7]
    assert (await cinema.show(desk.room.id)).state.status is PlaybackStatus.PLAYING
    assert str(cinema.eve.account_id) not in await desk.status()


@pytest.mark.parametrize("steps", range(12))
async def test_who_brings_reports_and_is_cut_off_leaves_them_to_the_next(desk: Desk, steps: int) -> None:
    ada, bob = desk.cinema.ada, desk.cinema.bob
    first = asyncio.create_task(desk.reports.told(ada, desk.id, desk.report(ready=True)))
    second = asyncio.create_task(desk.reports.told(bob, desk.id, desk.report(ready=True)))
    for _ in range(steps):
        await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    await second
    await desk.tell(ada, ready=True)
    assert (await desk.cinema.show(desk.room.id)).state.status is PlaybackStatus.PLAYING
