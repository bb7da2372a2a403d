"""Consumers on PostgreSQL: whoever writes waits for none of them, and what they ask costs little."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest_asyncio
from dependency_injector import providers
from msgspec.structs import replace

from adapters.memory.events import MemoryBroker
from adapters.memory.system import MovableClock, SequentialIds
from domain.channels import workspace_stream
from domain.ids import WorkspaceId
from entrypoints.container import Container, offline
from tests.contracts.house import CLERK, eventually
from tests.support.builders import a_task, an_account

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
# As a unit of work notes an event that the consumer wants.
NOTE = """INSERT INTO cursors (stream, consumer, position, oldest_at, due_at) VALUES ($1, $2, 9, now(), now())
ON CONFLICT DO NOTHING"""


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[Container]:
    """An assembly on PostgreSQL with a consumer of its own."""
    house = Container(
        settings=replace(offline(), database_url=database_url),
        ids=providers.Singleton(SequentialIds),
        clock=providers.Singleton(MovableClock),
        broker=providers.Singleton(MemoryBroker),
        consumers=providers.Object((CLERK,)),
    )
    await house.database().open()
    yield house
    await house.database().close()


class Shop:
    """Where builders put what they make."""

    def __init__(self, house: Container) -> None:
        self.clock, self.ids, self.work = house.clock(), house.ids(), house.work()


async def test_who_holds_a_stream_does_not_wait_for_a_consumer_that_waits_for_the_stream(
    house: Container, database_url: str
) -> None:
    shop, cursors = Shop(house), house.cursors()
    ada = await an_account(shop)
    stream = workspace_stream(WorkspaceId(ada.id))
    task = await a_task(shop, WorkspaceId(ada.id), ada.id)
    now = shop.clock.now()
    async with shop.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.archive(ada.id, now)
        work.tasks.save(found)
    (cursor,) = await cursors.claim([CLERK.name], now, now + timedelta(seconds=5), 1)

    async def consume() -> None:
        async with shop.work() as work:
            found, _ = await work.tasks.get(task.id, ada.id)
            found.edit(ada.id, now, title="Followed up")
            work.tasks.save(found)
            work.cursors.move(cursor, 3, now)

    writer, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    try:
        async with writer.transaction():
            await writer.execute("UPDATE streams SET head = head WHERE name = $1", stream)
            consuming = asyncio.create_task(consume())

            async def waits() -> bool:
                return bool(await watcher.fetchval(WAITING))

            await eventually(waits)
            async with asyncio.timeout(0.9):  # before PostgreSQL would look for a deadlock
                await writer.execute(NOTE, stream, CLERK.name)
        await consuming
        assert await watcher.fetchval("SELECT position FROM cursors") == 3
    finally:
        await writer.close()
        await watcher.close()


async def test_what_is_claimed_is_found_by_an_index_however_many_wait_for_later(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "INSERT INTO cursors (stream, consumer, position, oldest_at, due_at) "
            "SELECT 'workspace:' || i, 'clerk', 0, now(), now() + interval '1 hour' FROM generate_series(1, 20000) AS i"
        )
        await connection.execute("ANALYZE cursors")
        rows = await connection.fetch(
            "EXPLAIN SELECT stream, consumer FROM cursors WHERE due_at <= now() AND consumer = ANY(ARRAY['clerk']) "
            "ORDER BY due_at LIMIT 8 FOR UPDATE SKIP LOCKED"
        )
    finally:
        await connection.close()
    plan = "\n".join(row[0] for row in rows)
    assert "ix_cursors_due_at" in plan
    assert "Seq Scan" not in plan
