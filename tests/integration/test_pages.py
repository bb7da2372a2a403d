"""What a page costs PostgreSQL: one statement, or two if something on it is large, and no byte that is not on it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg
import pytest_asyncio

from adapters.memory.events import MemoryBroker
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock, SequentialIds
from adapters.postgres.connection import Connection
from adapters.postgres.database import Database
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.long_reads import LongReads
from adapters.postgres.statement import Statement
from adapters.postgres.tasks import PostgresTaskQueries
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from application.paging import PAGE_BYTES, PAGE_MAX
from application.ports.events import EventFilter
from application.ports.tasks import TaskFilter
from domain.channels import workspace_stream
from domain.ids import AccountId, WorkspaceId
from entrypoints.container import assembled, offline
from tests.support.builders import a_new_task, an_account

LARGE = "x" * 50_000


class Watched(Database):
    """A pool that knows how many texts it got with each statement, and how long they were."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 2, MemoryObserver())
        self.fetched: list[int] = []

    async def fetch_on(
        self, connection: Connection, statement: Statement, values: Mapping[str, Any]
    ) -> Sequence[asyncpg.Record]:
        rows = await super().fetch_on(connection, statement, values)
        self.fetched.append(sum(len(value) for row in rows for value in row if isinstance(value, str)))
        return rows


class House:
    """Somebody with a workspace, and what is read of it."""

    me: AccountId

    def __init__(self, database: Watched) -> None:
        self.database = database
        self.clock, self.ids = MovableClock(), SequentialIds()
        assembly = assembled(offline())
        self.work = PostgresUnitOfWork(
            database, MemoryBroker(), self.ids, MemoryObserver(), assembly.quota_limits(), assembly.repositories()
        )
        long_reads = LongReads(database, 1, 1.0)
        self.tasks = PostgresTaskQueries(database, long_reads)
        self.journal = PostgresJournalQueries(database, long_reads)

    @property
    def stream(self) -> str:
        return workspace_stream(WorkspaceId(self.me))

    async def open_tasks(self, *descriptions: str) -> None:
        async with self.work() as work:
            for description in descriptions:
                work.tasks.add(a_new_task(self, WorkspaceId(self.me), self.me, description=description))

    async def read_everything(self) -> list[list[int]]:
        """The first page of each kind; how much came with each of its statements."""
        costs = []
        for read in (
            self.tasks.page(WorkspaceId(self.me), self.me, TaskFilter(), "created_at", None, PAGE_MAX),
            self.journal.page(self.stream, EventFilter(), False, None, PAGE_MAX),
            self.journal.read(self.stream, 0, PAGE_MAX),
        ):
            self.database.fetched.clear()
            await read
            costs.append(list(self.database.fetched))
        return costs


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    database = Watched(database_url)
    await database.open()
    house = House(database)
    house.me = AccountId((await an_account(house)).id)
    yield house
    await database.close()


async def test_a_page_without_anything_large_is_one_statement(house: House) -> None:
    await house.open_tasks(*["short"] * PAGE_MAX)
    assert [len(cost) for cost in await house.read_everything()] == [1, 1, 1]


async def test_of_what_is_large_nothing_comes_that_is_not_on_the_page(house: House) -> None:
    for _ in range(10):
        await house.open_tasks(*["short", LARGE] * 10)
    for cost in await house.read_everything():
        assert len(cost) == 2
        assert cost[0] < PAGE_BYTES / 4
        assert PAGE_BYTES / 2 < cost[1] < PAGE_BYTES


async def test_events_that_were_written_before_their_sizes_were_noted_end_a_page_as_well(house: House) -> None:
    await house.open_tasks(*["short", LARGE] * 20)
    first = await house.journal.page(house.stream, EventFilter(), False, None, PAGE_MAX)
    read = await house.journal.read(house.stream, 0, PAGE_MAX)
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM events WHERE size = octet_length(body::text)") > 40
        await connection.execute("UPDATE events SET size = NULL")
    assert await house.journal.page(house.stream, EventFilter(), False, None, PAGE_MAX) == first
    assert await house.journal.read(house.stream, 0, PAGE_MAX) == read
    assert len(read) < 42
