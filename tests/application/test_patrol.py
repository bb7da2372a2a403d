"""Whoever has lost a right that no event told of is found by asking, and the others notice nothing."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from uuid import UUID

from dependency_injector import providers

from adapters.memory.access import MemoryAccessQueries
from adapters.memory.database import MemoryDatabase
from application.realtime.patrol import Patrol
from domain.errors import Unavailable
from domain.ids import AccountId, WorkspaceId
from tests.application.live_house import House, turns


class Register(MemoryAccessQueries):
    """Memberships, of which some were taken away by hand; it notes what it was asked at once."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.gone: set[AccountId] = set()
        self.asked: list[int] = []
        self.is_away = False

    async def workspaces_of(
        self, asked: Collection[tuple[UUID, AccountId]]
    ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
        self.asked.append(len(asked))
        if self.is_away:
            raise Unavailable("Not now.")
        return await super().workspaces_of([pair for pair in asked if pair[1] not in self.gone])


async def registered() -> tuple[House, Register]:
    house = House()
    register = Register(house.container.database())
    house.container.access_queries.override(providers.Object(register))
    return await house.settle(), register


@asynccontextmanager
async def patrolled(house: House) -> AsyncIterator[None]:
    patrol = asyncio.create_task(Patrol(house.container.hub(), round_seconds=0.0).run())
    try:
        yield
    finally:
        patrol.cancel()
        with suppress(asyncio.CancelledError):
            await patrol


async def test_whoever_lost_a_right_unnoticed_is_told_on_every_channel_and_hears_no_more() -> None:
    house, register = await registered()
    task = await house.task()
    channels = [house.channel, f"task:{task.id}", f"typing:{house.channel}", f"presence:{house.channel}"]
    async with house.visit(house.ada) as ada, house.visit(house.bob) as bob, patrolled(house):
        for number, channel in enumerate([*channels, "me"], 2):
            for visitor in (ada, bob):
                assert (await visitor.say(type="subscribe", id=number, channel=channel))["type"] == "reply"
        register.gone.add(house.bob.id)
        await bob.until(lambda visitor: len(visitor.of("unsubscribed")) == len(channels))
        assert {frame["channel"] for frame in bob.of("unsubscribed")} == set(channels)
        await house.rename(task, "for members")
        await ada.until(lambda visitor: bool(visitor.events(house.stream)))
        await turns(20)
        assert not bob.events(house.stream)
        assert not ada.of("unsubscribed")
        assert bob.closed is None


async def test_a_store_that_is_away_takes_no_right_away_and_is_asked_again() -> None:
    house, register = await registered()
    async with house.visit(house.bob) as bob, patrolled(house):
        await bob.say(type="subscribe", id=2, channel=house.channel)
        register.is_away = True
        register.asked.clear()
        await bob.until(lambda _: bool(register.asked))
        register.gone.add(house.bob.id)
        await turns(20)
        assert not bob.of("unsubscribed")
        register.is_away = False
        await bob.until(lambda visitor: bool(visitor.of("unsubscribed")))


async def test_those_who_may_stay_are_asked_for_together_and_go_on_undisturbed() -> None:
    house, register = await registered()
    async with AsyncExitStack() as stack:
        visits = [house.visit(account) for account in (house.ada, house.bob) for _ in range(4)]
        visitors = [await stack.enter_async_context(visit) for visit in visits]
        for visitor in visitors:
            await visitor.say(type="subscribe", id=2, channel=house.channel)
        async with patrolled(house):
            register.asked.clear()
            task = await house.task()
            await visitors[0].until(lambda _: len(register.asked) > 3)
            await house.rename(task, "for everybody")
            for visitor in visitors:
                await visitor.until(lambda visitor: len(visitor.events(house.stream)) == 2)
        assert set(register.asked) == {2}  # as many as differ
