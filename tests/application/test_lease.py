"""A process that has lost sight of the store delivers nothing, and everything in order once it sees it again."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from time import monotonic

import pytest
from dependency_injector import providers

from application.lease import LEASE_SECONDS, Lease
from application.ports.identity import SessionQueries
from domain.ids import SessionId
from tests.application.live_house import House, turns
from tests.support.builders import principal

GONE = LEASE_SECONDS + 1


def lose(house: House) -> None:
    """Let the last answer of the store be of a while ago."""
    house.container.lease().renew(monotonic() - GONE)


def regain(house: House) -> None:
    house.container.lease().renew(monotonic())


async def test_it_is_held_from_the_moment_of_the_question_and_at_first() -> None:
    lease = Lease(5)
    assert lease.is_held
    lease.renew(monotonic() - 4)
    assert lease.is_held
    lease.renew(monotonic() - 6)
    assert not lease.is_held
    waiting = [asyncio.create_task(lease.held()) for _ in range(3)]
    await turns(3)
    waiting[0].cancel()
    lease.renew(monotonic() - 5.5)
    await turns(3)
    assert not waiting[1].done()
    lease.renew(monotonic())
    await asyncio.gather(*waiting[1:])


@pytest.mark.parametrize("by", ["workspace", "task"])
async def test_without_it_no_event_is_delivered_and_afterwards_all_are_in_order(by: str) -> None:
    house = await House().settle()
    task = await house.task()
    channel = house.channel if by == "workspace" else f"task:{task.id}"
    async with house.visit(house.ada) as ada:
        await ada.say(type="subscribe", id=2, channel=channel)
        lose(house)
        for number in range(1_200):  # more than a reader keeps
            await house.rename(task, f"title {number}")
        await turns(50)
        assert not ada.events()
        regain(house)
        await house.rename(task, "the last")
        await ada.until(lambda visitor: len(visitor.events()) == 1_201)
        offsets = [offset for offset, _ in ada.events()]
        assert offsets == list(range(offsets[0], offsets[0] + 1_201))
        assert ada.closed is None


async def test_without_it_nothing_that_was_missed_is_caught_up_with() -> None:
    house = await House().settle()
    task = await house.task()
    async with house.visit(house.ada) as ada:
        await ada.say(type="subscribe", id=2, channel=house.channel)
        lose(house)
        joined = await ada.say(type="subscribe", id=3, channel=f"task:{task.id}", since=0)
        assert joined["data"]["recovered"]
        await turns(50)
        assert not ada.events()
        regain(house)
        await ada.until(lambda visitor: bool(visitor.events()))


async def test_without_it_words_are_dropped_and_the_newest_value_of_each_key_waits() -> None:
    house = await House().settle()
    typing, presence = f"typing:{house.channel}", f"presence:{house.channel}"
    async with house.visit(house.ada) as ada, house.visit(house.bob) as bob:
        for visitor in (ada, bob):
            await visitor.say(type="subscribe", id=2, channel=typing)
        await ada.say(type="subscribe", id=3, channel=presence)
        lose(house)
        await bob.say(type="publish", id=3, channel=typing, data="lost")
        await bob.say(type="presence", id=4, channel=presence)
        await turns(50)
        assert not ada.of("value")
        assert not ada.of("presence")
        regain(house)
        await bob.say(type="publish", id=5, channel=typing, data="heard")
        await ada.until(lambda visitor: bool(visitor.of("value")))
        assert [frame["data"] for frame in ada.of("value")] == ["heard"]
        assert [frame["joined"] for frame in ada.of("presence")] == [[str(house.bob.id)]]


async def test_a_value_that_waits_needs_no_later_one_to_go_out() -> None:
    house = await House().settle()
    presence = f"presence:{house.channel}"
    async with house.visit(house.ada) as ada, house.visit(house.bob) as bob:
        await ada.say(type="subscribe", id=2, channel=presence)
        lose(house)
        await bob.say(type="presence", id=3, channel=presence)
        regain(house)
        looking_after = asyncio.create_task(house.container.live().run())
        await ada.until(lambda visitor: bool(visitor.of("presence")))
        looking_after.cancel()


class EndedElsewhere(SessionQueries):
    """The sessions that other processes ended."""

    def __init__(self) -> None:
        self.ended: list[SessionId] = []

    async def ended_since(self, since: datetime | None) -> tuple[Collection[SessionId], datetime]:
        return self.ended, datetime.now(UTC)


async def test_whose_session_ended_meanwhile_hears_nothing_of_what_happened_since() -> None:
    house = House()
    elsewhere = EndedElsewhere()
    house.container.session_queries.override(providers.Object(elsewhere))
    await house.settle()
    task = await house.task()
    async with house.visit(house.bob) as bob, house.visit(house.ada) as ada:
        for visitor in (ada, bob):
            await visitor.say(type="subscribe", id=2, channel=house.channel)
        lose(house)
        elsewhere.ended.append(SessionId(principal(house.bob).credential_id))
        await house.rename(task, "secret")
        await turns(50)
        await house.container.authentication().refresh()
        await ada.until(lambda visitor: bool(visitor.events()))
        assert bob.closed is not None
        assert bob.closed[0] == 4004
        assert not bob.events()
