"""A real standby answers what it answers as the primary would, and whatever becomes of it nobody sees a difference."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import asyncpg
import pytest
import pytest_asyncio
from msgspec.structs import replace

from adapters.memory.observer import MemoryObserver
from adapters.postgres.database import Database
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.replica import Replica
from application.ports.events import EventFilter, EventView
from application.ports.observer import Service
from application.principal import Principal
from application.tasks import NewTask
from domain.channels import workspace_stream
from domain.errors import Unavailable
from domain.ids import WorkspaceId
from entrypoints.container import Container, assembled, offline
from entrypoints.http.health import Health
from entrypoints.lifetimes import furnished
from tests.support.builders import an_account, principal
from tests.support.clients import until
from tests.support.promised import within
from tests.support.services import PostgresService, PostgresStandby

PAGE = 5
TASKS = 17


class Calls(MemoryObserver):
    """What was asked of one database."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def called(self, service: Service, operation: str, began: float, error: BaseException | None = None) -> None:
        self.operations.append(operation)


class House:
    """The assembly on a primary, somebody with tasks in it, and its journal with a replica."""

    actor: Principal
    stream: str
    journal: PostgresJournalQueries
    replica: Replica
    plain: PostgresJournalQueries

    def __init__(self, url: str, standby: PostgresStandby) -> None:
        self.url, self.standby = url, standby
        self.container = assembled(settings=replace(offline(), database_url=url))
        self.work, self.clock, self.ids = self.container.work(), self.container.clock(), self.container.ids()
        self.calls = Calls()

    async def open(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(furnished(self.container))
        self.actor = principal(await an_account(self))
        self.stream = workspace_stream(WorkspaceId(self.actor.account_id))
        self.plain = PostgresJournalQueries(self.container.database(), self.container.long_reads())
        await self.open_tasks(TASKS)
        self.replica = Replica(Database(self.standby.url(self.url), 2, self.calls), self.container.database())
        await self.replica.open()
        stack.push_async_callback(self.replica.close)
        self.journal = PostgresJournalQueries(self.container.database(), self.container.long_reads(), self.replica)

    async def open_tasks(self, many: int) -> None:
        for number in range(many):
            await self.container.tasks().open(self.actor, NewTask(f"Task {number}"))

    async def is_level(self) -> bool:
        """Whether the replica has everything."""
        connection = await asyncpg.connect(self.standby.url(self.url))
        try:
            head = await connection.fetchval("SELECT head FROM streams WHERE name = $1", self.stream)
        finally:
            await connection.close()
        return bool(head == (await self.plain.heads([self.stream]))[self.stream])

    async def pages(self, journal: PostgresJournalQueries, *, newest_first: bool, type: str | None = None) -> list[int]:
        """The offsets on all pages, and in between how often the replica was asked for events."""
        found: list[EventView] = []
        cursor = None
        while True:
            page = await journal.page(self.stream, EventFilter(type=type), newest_first, cursor, PAGE)
            found += page.data
            cursor = page.next_cursor
            if cursor is None:
                return [event.offset for event in found]

    async def assert_equal(self) -> None:
        """Every page is as the primary has it, in either order and filtered."""
        for newest_first in (True, False):
            for type in (None, "task.*", "workspace.created"):
                told = await self.pages(self.journal, newest_first=newest_first, type=type)
                assert told == await self.pages(self.plain, newest_first=newest_first, type=type)

    @property
    def asked(self) -> int:
        """How many pages the replica was asked for."""
        return self.calls.operations.count("SELECT events")


@pytest.fixture(scope="module")
def standby(postgres_service: PostgresService) -> Iterator[PostgresStandby]:
    standby = postgres_service.standby()
    yield standby
    standby.stop()


@pytest_asyncio.fixture
async def house(new_database: Callable[[], str], standby: PostgresStandby) -> AsyncIterator[House]:
    house = House(new_database(), standby)
    await until(lambda: has(standby.url(house.url)))
    async with AsyncExitStack() as stack:
        await house.open(stack)
        await until(house.is_level)
        yield house


async def has(url: str) -> bool:
    """Whether a database that was just made is there already."""
    try:
        await (await asyncpg.connect(url)).close()
    except asyncpg.InvalidCatalogNameError:
        return False
    return True


async def test_pages_of_the_past_come_from_the_replica_and_are_those_of_the_primary(house: House) -> None:
    total = TASKS + 1
    assert await house.pages(house.journal, newest_first=True) == list(range(total, 0, -1))
    assert house.asked == total // PAGE  # the newest page never
    assert await house.pages(house.journal, newest_first=False) == list(range(1, total + 1))
    assert house.asked == total // PAGE + total // PAGE + 1  # the last page is the primary's in the end
    await house.assert_equal()


async def test_who_has_just_written_reads_it_though_the_replica_is_behind(house: House) -> None:
    house.standby.hold_back()
    try:
        await house.open_tasks(2 * PAGE)
        assert not await house.is_level()
        await house.assert_equal()
        # Where it has come to is enough for what is older.
        before = house.asked
        assert (await house.pages(house.journal, newest_first=True))[0] == TASKS + 1 + 2 * PAGE
        assert house.asked == before + TASKS // PAGE
    finally:
        house.standby.go_on()
    await until(house.is_level)
    await house.assert_equal()


async def test_a_replica_that_is_gone_costs_nobody_an_answer_and_is_left_alone_for_a_while(house: House) -> None:
    await house.replica.check()
    house.standby.halt()
    try:
        with within(3):
            await house.assert_equal()
        with pytest.raises(Unavailable):
            await house.replica.check()
    finally:
        house.standby.start()
    await until(lambda: is_well(house.replica))


async def is_well(replica: Replica) -> bool:
    try:
        await replica.check()
    except Unavailable:
        return False
    return True


async def test_a_replica_of_another_journal_is_not_believed(house: House) -> None:
    house.standby.hold_back()
    try:
        await house.container.upkeep().begin_lineage()
        await house.assert_equal()
        assert house.asked == 0
        with pytest.raises(Unavailable):
            await house.replica.check()
    finally:
        house.standby.go_on()


async def test_health_tells_of_the_replica_and_is_degraded_without_it(house: House) -> None:
    settings = replace(offline(), database_url=house.url, database_read_replica_url=house.standby.url(house.url))
    container = assembled(settings=settings)
    async with furnished(container):
        assert (await container.health().health()).checks["replica"].status == "healthy"
        house.standby.halt()
        try:
            await until(lambda: is_degraded(container))
            assert (await container.health().ready()).ready
        finally:
            house.standby.start()


async def is_degraded(container: Container) -> bool:
    health: Health = await container.health().health()
    return health.status == "degraded" and health.checks["replica"].status == "unhealthy"


async def test_without_a_replica_nothing_is_said_of_one(house: House) -> None:
    health = await house.container.health().health()
    assert "replica" not in health.checks
    assert await asyncio.wait_for(house.container.journal().heads([house.stream]), 5)
