"""When the journal is another one, whoever follows it is told once, and sees nothing of the old one after that."""

import asyncio
from collections.abc import Callable

import pytest

from adapters.memory.database import MemoryDatabase, Tables
from tests.application.live_house import Frame, House, Visitor, turns
from tests.support.builders import a_team


class Backup:
    """What was in the memory of a house at some moment."""

    def __init__(self, house: House) -> None:
        database = house.container.database()
        assert isinstance(database, MemoryDatabase)
        self._database = database
        self._tables = database.committed.copy()
        # Those of the original are written on.
        self._tables.streams = {name: list(entries) for name, entries in self._tables.streams.items()}
        self._tables.borrowed.clear()

    def restore(self, epoch: str) -> None:
        self._database.committed = self._tables
        self._database.epoch = epoch
        self._tables = Tables()


def resyncs(visitor: Visitor) -> list[Frame]:
    return visitor.of("resync")


def since_the_last_resync(visitor: Visitor) -> list[tuple[int, str]]:
    """Offset and title of every change that was shown since then."""
    last = max(index for index, frame in enumerate(visitor.frames) if frame["type"] == "resync")
    return [
        (frame["offset"], frame["event"]["changes"]["title"][1])
        for frame in visitor.frames[last:]
        if frame["type"] == "event"
    ]


def congest(visitor: Visitor) -> None:
    visitor.connection.congested()


def narrow(visitor: Visitor) -> None:
    visitor.is_narrow = True


def wide(_: Visitor) -> None: ...


@pytest.mark.parametrize("state", [wide, congest, narrow])
@pytest.mark.parametrize("grown", [0, 3, 9])
@pytest.mark.parametrize("renewed", [True, False])
async def test_whoever_follows_is_told_once_and_hears_what_happens_from_then_on(
    state: Callable[[Visitor], None], grown: int, renewed: bool
) -> None:
    house = await House().settle()
    task = await house.task()
    async with house.visit(house.bob) as visitor:
        await visitor.say(type="subscribe", id=2, channel=house.channel)
        await visitor.say(type="subscribe", id=3, channel=f"task:{task.id}", since=0)
        await turns(20)
        backup = Backup(house)  # at offset 3
        for number in range(5):
            await house.rename(task, f"lost {number}")
        await turns(20)
        state(visitor)
        await turns(5)
        old = (await house.container.journal().survey([])).epoch
        backup.restore("another" if renewed else old)
        hub = house.container.hub()
        if not renewed:  # a head that is lower is all there is to tell it by
            await hub.check_heads()
            await turns(20)
        for number in range(grown):
            await house.rename(task, f"new {number}")
        await hub.check_heads()
        await turns(20)
        visitor.connection.relieved()
        await house.rename(task, "last")
        await hub.check_heads()
        await turns(200)
        visitor.connection.relieved()
        await visitor.until(lambda v: bool(resyncs(v)) and since_the_last_resync(v)[-1:] == [(4 + grown, "last")])
        (resync,) = resyncs(visitor)
        assert resync["reason"] == ("epoch" if renewed else "offset")
        assert resync.get("epoch") == ("another" if renewed else None)
        shown = since_the_last_resync(visitor)
        assert [offset for offset, _ in shown] == list(range(resync["offset"] + 1, 5 + grown))
        assert not [title for _, title in shown if title.startswith("lost")]


async def test_who_has_no_right_to_the_restored_workspace_is_told_so_and_shown_nothing_of_it() -> None:
    house = await House().settle()
    team = await a_team(house, house.ada.id, {})
    channel = f"workspace:{team.id}"
    backup = Backup(house)
    house.team = team
    await house.admit(house.bob)
    async with house.visit(house.bob) as visitor:
        reply = await visitor.say(type="subscribe", id=2, channel=channel)
        assert reply["type"] == "reply"
        backup.restore("another")
        await house.container.hub().check_heads()
        await visitor.until(lambda v: bool(v.of("unsubscribed")))
        await house.task()
        await turns(50)
        assert [frame["channel"] for frame in visitor.of("unsubscribed")] == [channel]
        assert visitor.events(channel) == []


async def test_pages_of_the_old_journal_are_shown_to_nobody_who_resumes_in_the_new_one() -> None:
    house = await House().settle()
    task = await house.task()
    backup = Backup(house)  # at offset 3
    for number in range(5):
        await house.rename(task, f"lost {number}")
    async with house.visit(house.bob) as visitor:
        await visitor.say(type="subscribe", id=2, channel=house.channel, since=3)
        await visitor.until(lambda v: len(v.events()) == 5)
    backup.restore("another")
    for number in range(5):
        await house.rename(task, f"new {number}")
    await house.container.hub().check_heads()
    async with house.visit(house.bob, connected=False) as visitor:
        wanted = {"subscribe": [house.channel], "resume": {house.stream: 3}, "epoch": "another"}
        await visitor.say(type="connect", id=1, token=house.token(house.bob), **wanted)
        await visitor.until(lambda v: len(v.events()) == 5)
        titles = [frame["event"]["changes"]["title"][1] for frame in visitor.of("event")]
    assert titles == [f"new {number}" for number in range(5)]


@pytest.mark.parametrize("wanted", ["connect", "subscribe"])
async def test_a_restore_in_the_middle_of_a_resumption_is_never_taken_for_a_success(wanted: str) -> None:
    point = 0
    while await restored_while_resuming(point, wanted):
        point += 1
    assert point > 3


async def restored_while_resuming(point: int, wanted: str) -> bool:
    """Resume while the journal is restored at one of the points where others come in; whether there is that one."""
    passed, is_armed = 0, False
    backup: list[Backup] = []

    async def at(_: str) -> None:
        nonlocal passed, is_armed
        if is_armed:
            if passed == point:
                is_armed = False
                backup.pop().restore("another")
                await house.container.hub().check_heads()
                await turns(10)
            passed += 1

    house = await House(at).settle()
    task = await house.task()
    backup.append(Backup(house))  # at offset 3
    for number in range(6):
        await house.rename(task, f"lost {number}")
    async with house.visit(house.bob, connected=False) as visitor:
        epoch = (await house.container.journal().survey([])).epoch
        if wanted == "connect":
            is_armed = True
            reply = await visitor.say(
                type="connect", id=1, subscribe=[house.channel], resume={house.stream: 7}, epoch=epoch
            )
            where = reply["data"]["channels"][house.channel]
        else:
            await visitor.say(type="connect", id=1)
            is_armed = True
            reply = await visitor.say(type="subscribe", id=2, channel=house.channel, since=7)
            where = reply["data"]
        was_passed, is_armed = bool(not backup), False
        if backup:  # later than everything
            backup.pop().restore("another")
            await house.container.hub().check_heads()
        await turns(50)
        for number in range(9):
            await house.rename(task, f"new {number}")
            await house.container.hub().check_heads()
        await asyncio.wait_for(visitor.until(lambda v: (12, "task.updated") in v.events()), 20)
        assert resyncs(visitor) or not where["recovered"]
        start = where["offset"] if not where["recovered"] else 0
        last = max(
            [i for i, f in enumerate(visitor.frames) if f["type"] == "resync" or f.get("id") == reply["id"]],
        )
        offset = visitor.frames[last].get("offset", start)
        shown = [f for f in visitor.frames[last:] if f["type"] == "event"]
        assert [f["offset"] for f in shown] == list(range(offset + 1, 13))
        assert all(f["event"]["changes"]["title"][1].startswith("new") for f in shown)
    return was_passed
