"""What nobody is told of is written without an event, by a context that says so of its table; nothing else is."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from dependency_injector import providers
from msgspec.structs import replace
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, insert, update

from adapters.memory.database import MemoryDatabase, Tables
from adapters.memory.database import Table as MemoryTable
from adapters.memory.events import MemoryBroker
from adapters.memory.system import MovableClock, SequentialIds
from adapters.memory.tasks import TASKS
from adapters.memory.unit import MemoryUnit
from adapters.postgres.statement import Statement
from adapters.postgres.tables import QUIET, tasks
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.due import alarm_of
from application.ports.events import Entry, Signal
from application.ports.unit_of_work import Stale
from domain.channels import account_stream
from entrypoints.container import Container, assembled, in_memory, offline
from tests.support.builders import an_account
from tests.support.services import PostgresService

attempts = Table(
    "attempts", MetaData(), Column("name", Text, primary_key=True), Column("times", BigInteger), info=QUIET
)
_BEGIN = Statement(insert(attempts).values(name=bindparam("name"), times=bindparam("times")))
_COUNT = Statement(
    update(attempts)
    .where(attempts.c.name == bindparam("of"), attempts.c.times == bindparam("before"))
    .values(times=bindparam("times"))
)
_OF_AN_AGGREGATE = Statement(update(tasks).where(tasks.c.id == bindparam("task")).values(title=bindparam("title")))
ATTEMPTS: MemoryTable[str, int] = MemoryTable("attempts", is_quiet=True)


class PostgresAttempts:
    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    def begin(self, name: str) -> None:
        self._unit.note_quietly(_BEGIN, name=name, times=1)

    def count(self, name: str, before: int) -> None:
        self._unit.note_quietly(_COUNT, of=name, before=before, times=before + 1)

    def again(self, name: str, before: int, due_at: datetime) -> None:
        self.count(name, before)
        self._unit.note_due(due_at)

    def mistake(self) -> None:
        self._unit.note_quietly(_OF_AN_AGGREGATE, task=None, title="Told to nobody")

    def forget_to_tell(self) -> None:
        self._unit.note(_OF_AN_AGGREGATE, task=None, title="Told to nobody")


class MemoryAttempts:
    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    def begin(self, name: str) -> None:
        self._unit.note_quietly(ATTEMPTS, lambda attempts: attempts.update({name: 1}))

    def count(self, name: str, before: int) -> None:
        def check(tables: Tables) -> None:
            if tables[ATTEMPTS].get(name) != before:
                raise Stale

        self._unit.require(check)
        self._unit.note_quietly(ATTEMPTS, lambda attempts: attempts.update({name: before + 1}))

    def again(self, name: str, before: int, due_at: datetime) -> None:
        self.count(name, before)
        self._unit.note_due(due_at)

    def mistake(self) -> None:
        self._unit.note_quietly(TASKS, lambda tasks: tasks.clear())

    def forget_to_tell(self) -> None:
        self._unit.note(lambda tables: tables[TASKS].clear())


class Published(MemoryBroker):
    """A broker that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Entry | Signal] = []

    def publish(self, items: Sequence[Entry | Signal]) -> None:
        self.told += items


class Shop:
    """An assembly into which a context of this test was handed; `kept` looks up how often something was tried."""

    def __init__(self, container: Container, repository: type, kept: Callable[[str], Awaitable[int | None]]) -> None:
        container.repositories.add_kwargs(attempts=repository)
        self.broker = Published()
        container.broker.override(providers.Object(self.broker))
        self.work: Any = container.work()
        self.journal, self.clock, self.ids, self.kept = container.journal(), container.clock(), container.ids(), kept

    async def head(self, stream: str) -> int:
        return (await self.journal.heads([stream]))[stream]


@pytest.fixture(params=["memory", "postgres"])
def shop(request: pytest.FixtureRequest) -> Shop:
    found: Shop = request.getfixturevalue(f"{request.param}_shop")
    return found


@pytest.fixture
def memory_shop() -> Shop:
    container = in_memory()

    async def kept(name: str) -> int | None:
        database = container.database()
        assert isinstance(database, MemoryDatabase)
        return database.committed[ATTEMPTS].get(name)

    return Shop(container, MemoryAttempts, kept)


@pytest_asyncio.fixture
async def postgres_shop(postgres_service: PostgresService, database_url: str) -> AsyncIterator[Shop]:
    postgres_service.empty(database_url)
    clock, ids = providers.Singleton(MovableClock), providers.Singleton(SequentialIds)
    container = assembled(replace(offline(), database_url=database_url), clock=clock, ids=ids)
    await container.database().open()
    looker = await asyncpg.connect(database_url)
    await looker.execute("CREATE TABLE attempts (name text PRIMARY KEY, times bigint NOT NULL)")

    async def kept(name: str) -> int | None:
        times: int | None = await looker.fetchval("SELECT times FROM attempts WHERE name = $1", name)
        return times

    yield Shop(container, PostgresAttempts, kept)
    await container.database().close()
    await looker.execute("DROP TABLE attempts")
    await looker.close()


async def test_what_nobody_is_told_of_is_kept_without_an_event(shop: Shop) -> None:
    async with shop.work() as work:
        work.attempts.begin("call home")
    async with shop.work() as work:
        work.attempts.count("call home", 1)
    assert await shop.kept("call home") == 2
    assert shop.broker.told == []


async def test_beside_what_is_told_it_is_kept_too(shop: Shop) -> None:
    ada = await an_account(shop)
    async with shop.work() as work:
        work.attempts.begin("call home")
        account = await work.accounts.get(ada.id)
        account.change(shop.clock.now(), "Ada Lovelace")
        work.accounts.save(account)
    assert await shop.kept("call home") == 1
    assert (await shop.journal.read(account_stream(ada.id), 0, 9))[-1].type == "account.updated"


async def test_who_waits_is_told_when_it_is_due_though_no_event_is(shop: Shop) -> None:
    due_at = shop.clock.now() + timedelta(minutes=5)
    async with shop.work() as work:
        work.attempts.begin("call home")
    async with shop.work() as work:
        work.attempts.again("call home", 1, due_at)
    assert await shop.kept("call home") == 2
    assert [alarm_of(item) for item in shop.broker.told if isinstance(item, Signal)] == [due_at]


async def test_one_that_was_overtaken_is_stale_and_undoes_all_that_is_told_with_it(shop: Shop) -> None:
    ada = await an_account(shop)
    stream = account_stream(ada.id)
    async with shop.work() as work:
        work.attempts.begin("call home")
    before, told = await shop.head(stream), len(shop.broker.told)
    with pytest.raises(Stale):
        async with shop.work() as work:
            account = await work.accounts.get(ada.id)
            account.change(shop.clock.now(), "Ada Lovelace")
            work.accounts.save(account)
            work.attempts.count("call home", 7)
    assert await shop.kept("call home") == 1
    assert await shop.head(stream) == before
    assert len(shop.broker.told) == told


async def test_no_row_of_an_aggregate_is_written_without_an_event(shop: Shop) -> None:
    with pytest.raises(AssertionError, match="without an event"):
        async with shop.work() as work:
            work.attempts.mistake()
    with pytest.raises(AssertionError, match="without an event"):
        async with shop.work() as work:
            work.attempts.forget_to_tell()
