"""Consumers on PostgreSQL: whoever writes waits for none of them, and what they ask costs little."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest_asyncio
from dependency_injector import providers
from msgspec.structs import replace

from adapters.memory.events import MemoryBroker
from adapters.memory.system import MovableClock, SequentialIds
from application.consumers import LEASE, Consumers
from domain.channels import workspace_stream
from domain.ids import WorkspaceId
from domain.tasks import Task
from entrypoints.container import Container, assembled, offline
from tests.contracts.house import CLERK, eventually
from tests.support.builders import a_task, an_account
from tests.support.promised import stretched
from tests.support.scribe import SCRIBE, toggle, twice, written_in
from tests.support.server import JWT_SECRET, ROOT

WORKERS, KILLS, EVENTS = 3, 40, 25
WAITING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
# As a unit of work notes an event that the consumer wants.
NOTE = """INSERT INTO cursors (stream, consumer, position, oldest_at, due_at) VALUES ($1, $2, 9, now(), now())
ON CONFLICT DO NOTHING"""
AGAIN = """INSERT INTO events (stream, "offset", id, type, resource_id, actor, at, body)
SELECT stream, 4, gen_random_uuid(), type, resource_id, actor, at, body
FROM events WHERE stream = $1 AND "offset" = 3"""


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[Container]:
    """An assembly on PostgreSQL with consumers of its own."""
    house = assembled(
        settings=replace(offline(), database_url=database_url),
        ids=providers.Singleton(SequentialIds),
        clock=providers.Singleton(MovableClock),
        broker=providers.Singleton(MemoryBroker),
        consumers=providers.Object((CLERK, SCRIBE)),
    )
    await house.database().open()
    yield house
    await house.database().close()


class Shop:
    """Where builders put what they make."""

    def __init__(self, house: Container) -> None:
        clock = house.clock()
        assert isinstance(clock, MovableClock)
        self.clock, self.ids, self.work = clock, house.ids(), house.work()


async def test_who_holds_a_stream_does_not_wait_for_a_consumer_that_waits_for_the_stream(
    house: Container, database_url: str
) -> None:
    shop, cursors = Shop(house), house.cursors()
    task = await _an_archived_task(shop)
    stream, now = workspace_stream(task.workspace_id), shop.clock.now()
    (cursor,) = await cursors.claim([CLERK.name], now, now + timedelta(seconds=5), 1)

    async def consume() -> None:
        async with shop.work() as work:
            found, _ = await work.tasks.get(task.id, task.created_by)
            found.edit(task.created_by, now, title="Followed up")
            work.tasks.save(found)
            work.cursors.move(cursor, 3, now)

    writer, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    try:
        async with writer.transaction():
            await writer.execute("UPDATE streams SET head = head WHERE name = $1", stream)
            consuming = asyncio.create_task(consume())
            await eventually(lambda: watcher.fetchval(WAITING))
            async with asyncio.timeout(stretched(0.9)):  # in a deadlock one of them would fail
                await writer.execute(NOTE, stream, CLERK.name)
        await consuming
        assert await watcher.fetchval("SELECT position FROM cursors") == 3
    finally:
        await writer.close()
        await watcher.close()


async def test_a_cursor_is_dropped_only_when_those_who_are_writing_have_committed(
    house: Container, database_url: str
) -> None:
    shop, cursors = Shop(house), house.cursors()
    task = await _an_archived_task(shop)
    stream, now = workspace_stream(task.workspace_id), shop.clock.now()
    (cursor,) = await cursors.claim([CLERK.name], now, now + timedelta(seconds=5), 1)
    async with shop.work() as work:
        cursor = work.cursors.move(cursor, 3, now)
    writer, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    try:
        async with writer.transaction():
            await writer.execute("UPDATE streams SET head = head + 1 WHERE name = $1", stream)
            await writer.execute(NOTE, stream, CLERK.name)
            await writer.execute(AGAIN, stream)
            settling = asyncio.create_task(cursors.settle(cursor, CLERK.wants, 3))
            await eventually(lambda: watcher.fetchval(WAITING))
        assert not await settling
        event, _ = await cursors.next(cursor, CLERK.wants)
        assert event is not None
        assert event.offset == 4
    finally:
        await writer.close()
        await watcher.close()


async def _an_archived_task(shop: Shop) -> Task:
    ada = await an_account(shop)
    task = await a_task(shop, WorkspaceId(ada.id), ada.id)
    async with shop.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.archive(ada.id, shop.clock.now())
        work.tasks.save(found)
    return task


async def test_every_event_has_its_effect_once_and_in_order_though_workers_are_ended_in_the_middle(
    house: Container,
) -> None:
    shop, cursors, fate = Shop(house), house.cursors(), random.Random(10)
    people = [await an_account(shop) for _ in range(3)]
    tasks = [await a_task(shop, WorkspaceId(person.id), person.id) for person in people]

    def worker() -> asyncio.Task[None]:
        consumers = Consumers((SCRIBE,), house.work(), cursors, house.broker(), shop.clock, house.observer())
        return asyncio.create_task(consumers.run())

    async def write(task: Task) -> None:
        for _ in range(EVENTS):
            await toggle(shop, task)

    writing = asyncio.gather(*(write(task) for task in tasks))
    workers = [worker() for _ in range(WORKERS)]
    kills = 0
    while not writing.done() or kills < KILLS:
        await asyncio.sleep(fate.uniform(0, 0.03))
        victim = fate.randrange(WORKERS)
        workers[victim].cancel()
        await asyncio.gather(workers[victim], return_exceptions=True)
        shop.clock.advance(LEASE)
        workers[victim] = worker()
        kills += 1
    await writing

    async def is_level() -> bool:
        shop.clock.advance(LEASE)
        return not await cursors.backlog()

    await eventually(is_level, 30)
    for running in workers:
        running.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    for task in tasks:
        entries = await house.journal().read(workspace_stream(task.workspace_id), 0, 1_000)
        assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
        wanted = [entry.offset for entry in entries if entry.type in SCRIBE.wants]
        view = await house.task_queries().view(task.id, task.created_by)
        assert written_in(view.custom) == twice(wanted)
        assert len(wanted) == EVENTS


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


async def test_an_operator_sees_what_is_to_be_done_and_can_leave_it_out(database_url: str) -> None:
    store = await asyncpg.connect(database_url)
    try:
        await store.execute(
            "INSERT INTO cursors (stream, consumer, position, oldest_at, due_at) "
            "SELECT 'workspace:' || i, 'clerk', 0, '2026-01-05 09:00+00', now() FROM generate_series(1, 2) AS i"
        )
        said = await asyncio.to_thread(signalbox, database_url, "consumers")
        assert said == "clerk  behind in 2 streams, fails in 0, since 2026-01-05T09:00:00+00:00\n"
        await asyncio.to_thread(signalbox, database_url, "give-up", "clerk", "workspace:1")
        assert await store.fetchval("SELECT string_agg(stream, ' ') FROM cursors") == "workspace:2"
    finally:
        await store.close()


def signalbox(database_url: str, *command: str) -> str:
    """What a command says that worked."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "DATABASE_URL": database_url,
        "JWT_SECRET": JWT_SECRET,
    }
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", *command], env=environment, check=True, capture_output=True, text=True
    ).stdout
