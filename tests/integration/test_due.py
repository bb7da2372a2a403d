"""What is due, on PostgreSQL: once, though processes are killed; nobody waits; and what is not due costs nothing."""

import asyncio
import os
import random
import re
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest_asyncio

from adapters.memory.observer import MemoryObserver
from adapters.postgres.database import Database
from adapters.postgres.due import PostgresDeadlines
from application.ports.due import Late
from tests.contracts.house import eventually
from tests.support.reminders import REMINDERS, Bedside, RunningClock, bedside_on_postgres
from tests.support.server import ROOT

PROCESSES, KILLS, THINGS = 3, 5, 100
NOT_DUE = """INSERT INTO reminders (id, times, due_at, version)
SELECT gen_random_uuid(), '{}', now() + i * interval '1 hour', 1 FROM generate_series(1, $1) AS i"""


@pytest_asyncio.fixture
async def bedside(database_url: str) -> AsyncIterator[Bedside]:
    database = Database(database_url, 5, MemoryObserver())
    await database.open()
    async with bedside_on_postgres(database_url, database, RunningClock()) as bedside:
        yield bedside
    await database.close()


async def test_who_is_changing_a_thing_makes_nobody_wait_who_asks_what_is_due(
    bedside: Bedside, database_url: str
) -> None:
    held, free = await bedside.remind(-2), await bedside.remind(-1)
    writer = await asyncpg.connect(database_url)
    try:
        async with writer.transaction():
            await writer.execute("UPDATE reminders SET version = version WHERE id = $1", held)
            now = bedside.clock.now()
            assert [late.id for late in await bedside.deadlines.late(now, 9)] == [free]
            assert (await bedside.deadlines.look(now, 9)).late == 2
            worker = bedside.worker()
            assert await worker.turn() == 1
        assert await worker.turn() == 1
    finally:
        await writer.close()
    assert [len(await bedside.rings(id)) for id in (held, free)] == [1, 1]


async def test_who_asks_what_is_due_makes_nobody_wait_who_refers_to_it(bedside: Bedside, database_url: str) -> None:
    """As whoever inserts a row with a foreign key does."""
    id = await bedside.remind(-1)
    other = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            await other.execute("SELECT 1 FROM reminders WHERE id = $1 FOR KEY SHARE", id)
            assert [late.id for late in await bedside.deadlines.late(bedside.clock.now(), 9)] == [id]
    finally:
        await other.close()


async def test_each_thing_happens_once_though_processes_that_see_to_it_are_killed(
    bedside: Bedside, database_url: str
) -> None:
    fate = random.Random(12)

    async def process() -> asyncio.subprocess.Process:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.reminders", database_url, env=environment
        )

    processes = [await process() for _ in range(PROCESSES)]
    ids: list[UUID] = []
    try:
        first = await bedside.remind(0)
        await eventually(lambda: _is_over(bedside, [first]), 60)
        for _ in range(KILLS):
            ids += [await bedside.remind(0, fate.uniform(0, 0.5)) for _ in range(THINGS // KILLS)]
            # They are in the middle of it.
            await eventually(partial(_has_rung, bedside, ids[-1]), 60)
            victim = fate.randrange(PROCESSES)
            processes[victim].send_signal(signal.SIGKILL)
            await processes[victim].wait()
            processes[victim] = await process()
        await eventually(lambda: _is_over(bedside, ids), 60)
    finally:
        for each in processes:
            each.kill()
            await each.wait()
    for id in ids:
        assert len(await bedside.rings(id)) == 2


async def _has_rung(bedside: Bedside, id: UUID) -> bool:
    return bool(await bedside.rings(id))


async def _is_over(bedside: Bedside, ids: list[UUID]) -> bool:
    return all([(await bedside.journal.heads([f"reminder:{id}"]))[f"reminder:{id}"] > 1 for id in ids]) and (
        (await bedside.deadlines.look(bedside.clock.now() + timedelta(hours=1), 1)).first_at is None
    )


async def test_what_is_due_is_found_by_its_index_however_much_is_not(bedside: Bedside, database_url: str) -> None:
    deadlines = bedside.deadlines
    assert isinstance(deadlines, PostgresDeadlines)
    id = await bedside.remind(-1)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(NOT_DUE, 100_000)
        await connection.execute("ANALYZE reminders")
        now, failing = bedside.clock.now(), [Late(id, bedside.clock.now())]
        for statement, values in (
            (deadlines.looking, {"now": now, "most": 99}),
            (deadlines.finding, {"now": now, "most": 50, "ids": [late.id for late in failing], "times": [now]}),
        ):
            rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement.text}", *statement.args(values))
            plan = "\n".join(row[0] for row in rows)
            assert REMINDERS.name + "_due" in plan
            assert "Seq Scan" not in plan, plan
            assert max(int(hits) for hits in re.findall(r"shared hit=(\d+)", plan)) < 50, plan
    finally:
        await connection.close()
    assert [late.id for late in await deadlines.late(now, 9)] == [id]
