"""Connections are kept between two uses, unless something on them was broken off or nobody needs them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import func, select

from adapters.memory.observer import MemoryObserver
from adapters.postgres.database import LOOK_SECONDS, Database
from adapters.postgres.statement import Statement
from adapters.postgres.tables import lineage
from domain.errors import Unavailable
from tests.support.clients import until
from tests.support.postgres_proxy import PostgresProxy
from tests.support.promised import stretched

_PID = Statement(select(func.pg_backend_pid()).select_from(lineage))
_LONG = Statement(select(func.pg_sleep(60)).select_from(lineage))


@pytest_asyncio.fixture
async def database(new_database: Callable[[], str]) -> AsyncIterator[Database]:
    database = Database(new_database(), 3, MemoryObserver(), wait_seconds=0.5, idle_seconds=0.6)
    await database.open()
    yield database
    await database.close()


async def pid(database: Database) -> int:
    row = await database.fetchrow(_PID)
    assert row
    return int(row[0])


async def test_uses_one_after_the_other_share_a_connection(database: Database) -> None:
    assert len({await pid(database) for _ in range(20)}) == 1
    assert database.pool_state() == (1, 1, 3)


async def test_uses_at_the_same_time_get_as_many_connections_as_there_may_be(database: Database) -> None:
    pids = await asyncio.gather(*(pid(database) for _ in range(50)))
    assert 1 < len(set(pids)) <= 3


async def test_whoever_waits_gets_what_is_given_back(database: Database) -> None:
    taken = [await database.acquire() for _ in range(3)]
    waiting = [asyncio.create_task(database.acquire()) for _ in range(2)]
    await until(lambda: _soon(database.waiting == 2))
    for connection in taken:
        await database.release(connection)
    for connection in await asyncio.gather(*waiting):
        await database.release(connection)
    assert database.pool_state() == (3, 3, 3)


async def test_whoever_waits_too_long_is_refused_and_leaves_the_queue(database: Database) -> None:
    taken = [await database.acquire() for _ in range(3)]
    began = asyncio.get_running_loop().time()
    refused = await asyncio.gather(*(database.fetchrow(_PID) for _ in range(10)), return_exceptions=True)
    assert asyncio.get_running_loop().time() - began < stretched(10)
    assert [type(each) for each in refused] == [Unavailable] * 10
    assert database.waiting == 0
    for connection in taken:
        await database.release(connection)
    assert database.pool_state() == (3, 3, 3)
    assert len(await asyncio.gather(*(pid(database) for _ in range(10)))) == 10


async def _soon(value: bool) -> bool:
    return value


async def test_a_use_that_is_broken_off_leaves_nothing_to_the_next_one(database: Database) -> None:
    first = await pid(database)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await database.fetchrow(_LONG)
    for _ in range(5):
        assert await pid(database) > 0
    assert first
    assert not database._broken_off
    await until(lambda: _nobody_sleeps(database))


async def _nobody_sleeps(database: Database) -> bool:
    async with database.connection() as connection:
        return not await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        )


async def test_a_connection_that_the_server_has_closed_is_not_given_to_anybody(database: Database) -> None:
    first = await pid(database)
    other = await asyncpg.connect(database._url)
    try:
        await other.fetchval("SELECT pg_terminate_backend($1)", first)
    finally:
        await other.close()
    await until(lambda: _is_empty(database))
    assert await pid(database) != first


@pytest.fixture
def proxy(new_database: Callable[[], str]) -> Iterator[PostgresProxy]:
    with PostgresProxy(new_database()) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def eight(proxy: PostgresProxy) -> AsyncIterator[Database]:
    """A pool of eight connections behind a proxy, all of them open and idle."""
    database = Database(proxy.url, 8, MemoryObserver(), wait_seconds=10)
    await database.open()
    await fill(database)
    yield database
    await database.close()


async def fill(database: Database) -> set[int]:
    """Open as many connections as there may be; the processes behind them."""
    taken = [await database.acquire() for _ in range(8)]
    pids = {await connection.fetchval("SELECT pg_backend_pid()") for connection in taken}
    for connection in taken:
        await database.release(connection)
    return pids


@pytest.mark.parametrize("at_once", [1, 3, 20])
async def test_whoever_finds_a_dead_connection_is_given_no_older_one(
    eight: Database, proxy: PostgresProxy, at_once: int
) -> None:
    other = await asyncpg.connect(proxy.direct_url)
    try:
        for _ in range(3):
            ended = await fill(eight)
            proxy.hush()
            await other.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", list(ended))
            pids = await asyncio.gather(*(pid(eight) for _ in range(at_once)))
            assert not ended.intersection(pids)
    finally:
        await other.close()


async def test_of_those_that_are_older_than_a_dead_one_the_living_are_kept(
    eight: Database, proxy: PostgresProxy
) -> None:
    everybody = await fill(eight)
    dead = await pid(eight)
    proxy.hush()
    other = await asyncpg.connect(proxy.direct_url)
    try:
        await other.execute("SELECT pg_terminate_backend($1)", dead)
    finally:
        await other.close()
    assert await pid(eight) in everybody - {dead}
    assert everybody - {dead} < await fill(eight)


async def test_older_ones_that_are_silent_after_a_dead_one_cost_half_a_second_together(
    eight: Database, proxy: PostgresProxy
) -> None:
    everybody = await fill(eight)
    eight.distrust()
    proxy.silence()
    began = asyncio.get_running_loop().time()
    assert await pid(eight) not in everybody
    assert asyncio.get_running_loop().time() - began < stretched(3 * LOOK_SECONDS)
    assert not everybody & await fill(eight)


async def test_whoever_stops_waiting_while_one_is_looked_at_leaves_a_place_for_others(
    eight: Database, proxy: PostgresProxy
) -> None:
    await fill(eight)
    eight.distrust()
    proxy.silence()
    looking = [asyncio.create_task(pid(eight)) for _ in range(8)]
    await asyncio.sleep(0)
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)
    assert len(await fill(eight)) == 8


async def test_what_nobody_uses_is_closed_after_a_while(database: Database) -> None:
    held = [await database.acquire() for _ in range(3)]
    for connection in held:
        await database.release(connection)
    assert database.pool_state() == (3, 3, 3)
    await until(lambda: _is_empty(database))


async def _is_empty(database: Database) -> bool:
    return database.pool_state() == (0, 0, 3)


async def test_a_closed_database_is_unavailable_and_takes_back_what_was_out(database: Database) -> None:
    connection = await database.acquire()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    await database.release(connection)
    await closing
    with pytest.raises(Unavailable):
        await database.acquire()
