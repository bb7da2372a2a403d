"""A stream says within which other one it is, by its first event and for ever; both stores keep that."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from adapters.memory.database import MemoryDatabase
from adapters.memory.unit import MemoryUnit
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.events import EventBody
from domain.channels import account_stream
from domain.errors import NotFound
from domain.kernel import Aggregate, EventType, declared
from entrypoints.container import Container
from entrypoints.lifetimes import furnished
from tests.http.house import house_in_memory, house_on_postgres
from tests.support.builders import an_account

HALL, YARD = "workspace:hall", "workspace:yard"


@dataclass(slots=True)
class Bell(Aggregate):
    """Rings on its stream, and says each time within which place."""

    resource_type: ClassVar[str] = "bell"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("bell.rung", "bell", "It rang.", {"where": "Within which place."})
    )

    id: UUID

    def ring(self, within: str | None, shop: "Shop", times: int = 1) -> "Bell":
        for _ in range(times):
            now = shop.container.clock().now()
            self._announce("bell.rung", f"bell:{self.id}", self.id, now, None, data={"where": within}, within=within)
        return self


class PostgresBells:
    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    def tell(self, bell: Bell) -> None:
        self._unit.saving(bell, lambda _: ())


class MemoryBells:
    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    def tell(self, bell: Bell) -> None:
        self._unit.tell(bell)


class Shop:
    """An assembly with bells; `within` looks up what its store keeps of a bell's stream."""

    def __init__(self, container: Container, kept: Callable[[str], Awaitable[str | None]]) -> None:
        self.container, self.kept = container, kept
        self.work: Any = container.work()
        self.journal, self.clock, self.ids = container.journal(), container.clock(), container.ids()

    async def tell(self, *bells: Bell) -> None:
        async with self.work() as work:
            for bell in bells:
                work.bells.tell(bell)

    async def within(self, bell: Bell) -> str | None:
        return await self.kept(f"bell:{bell.id}")


@pytest.fixture(params=["memory", "postgres"])
def shop(request: pytest.FixtureRequest) -> Shop:
    found: Shop = request.getfixturevalue(f"{request.param}_shop")
    return found


@pytest_asyncio.fixture
async def memory_shop() -> AsyncIterator[Shop]:
    container = house_in_memory()
    container.repositories.add_kwargs(bells=MemoryBells)
    database = container.database()
    assert isinstance(database, MemoryDatabase)

    async def kept(stream: str) -> str | None:
        return database.committed.within.get(stream)

    async with furnished(container):
        yield Shop(container, kept)


@pytest_asyncio.fixture
async def postgres_shop(database_url: str) -> AsyncIterator[Shop]:
    container = house_on_postgres(database_url)
    container.repositories.add_kwargs(bells=PostgresBells)
    looker = await asyncpg.connect(database_url)

    async def kept(stream: str) -> str | None:
        found: str | None = await looker.fetchval("SELECT within FROM streams WHERE name = $1", stream)
        return found

    async with furnished(container):
        yield Shop(container, kept)
    await looker.close()


async def test_a_stream_is_within_nothing_unless_its_first_event_says_so(shop: Shop) -> None:
    ada = await an_account(shop)
    assert await shop.kept(account_stream(ada.id)) is None
    bell = Bell(id=uuid4())
    await shop.tell(bell.ring(None, shop))
    assert await shop.within(bell) is None


async def test_the_first_event_of_a_stream_decides_and_none_changes_it(shop: Shop) -> None:
    hall, nowhere = Bell(id=uuid4()), Bell(id=uuid4())
    await shop.tell(hall.ring(HALL, shop), nowhere.ring(None, shop))
    for later in (YARD, None):
        await shop.tell(Bell(id=hall.id).ring(later, shop))
        await shop.tell(Bell(id=nowhere.id).ring(later, shop))
    assert (await shop.within(hall), await shop.within(nowhere)) == (HALL, None)


async def test_readers_are_told_within_what_streams_are(shop: Shop) -> None:
    hall, yard, nowhere = (Bell(id=uuid4()) for _ in range(3))
    await shop.tell(hall.ring(HALL, shop), yard.ring(YARD, shop), nowhere.ring(None, shop))
    streams = [f"bell:{bell.id}" for bell in (hall, yard, nowhere)]
    assert await shop.journal.within([*streams, "bell:absent"]) == {streams[0]: HALL, streams[1]: YARD}
    assert await shop.journal.within([streams[2], HALL]) == await shop.journal.within([]) == {}


async def test_of_several_events_that_begin_a_stream_the_first_decides(shop: Shop) -> None:
    bells = [Bell(id=uuid4()) for _ in range(3)]
    first, second, third = bells
    await shop.tell(
        first.ring(HALL, shop).ring(YARD, shop), second.ring(None, shop).ring(YARD, shop), third.ring(YARD, shop, 2)
    )
    assert [await shop.within(bell) for bell in bells] == [HALL, None, YARD]


async def test_of_many_who_begin_a_stream_at_once_the_one_that_came_first_decides(shop: Shop) -> None:
    id = uuid4()
    await asyncio.gather(*(shop.tell(Bell(id=id).ring(f"workspace:{n}", shop)) for n in range(20)))
    entries = await shop.journal.read(f"bell:{id}", 0, 100)
    assert len(entries) == 20
    assert await shop.within(Bell(id=id)) == msgspec.json.decode(entries[0].body, type=EventBody).data["where"]


async def test_a_unit_that_is_refused_begins_no_stream(shop: Shop) -> None:
    bell = Bell(id=uuid4())
    with pytest.raises(NotFound):
        async with shop.work() as work:
            work.bells.tell(bell.ring(HALL, shop))
            raise NotFound
    assert await shop.within(bell) is None
    await shop.tell(Bell(id=bell.id).ring(YARD, shop))
    assert await shop.within(bell) == YARD


async def test_a_stream_that_begins_with_a_consumer_waiting_is_within_its_place_too(shop: Shop) -> None:
    """The cursor of a consumer is written by the same statement."""
    ada = await an_account(shop)
    bell = Bell(id=uuid4())
    async with shop.work() as work:
        account = await work.accounts.get(ada.id)
        account.disable(shop.clock.now())
        work.accounts.save(account)
        work.bells.tell(bell.ring(HALL, shop))
    assert await shop.within(bell) == HALL
