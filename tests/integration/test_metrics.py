"""What Prometheus is told of PostgreSQL and Redis: calls, waits for a connection, retries, clocks, the broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from dependency_injector import providers

from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from adapters.redis.broker import RedisBroker
from application.ports.unit_of_work import Stale
from application.principal import Principal
from application.tasks import NewTask, TaskPatch
from domain.errors import Unavailable
from domain.ids import TaskId
from entrypoints.container import Container
from tests.http.house import house_on_postgres, observed, opened
from tests.support.builders import an_account, principal
from tests.support.clients import until
from tests.support.exposition import Samples
from tests.support.services import SEAL, RedisService


@asynccontextmanager
async def watched(database_url: str, **settings: object) -> AsyncIterator[Container]:
    house = observed(house_on_postgres(database_url, **settings))
    async with opened(house):
        yield house


async def somebody(house: Container) -> Principal:
    store: Any = SimpleNamespace(work=house.work(), clock=house.clock(), ids=house.ids())
    return principal(await an_account(store))


def read(house: Container) -> Samples:
    return Samples(house.exposition()().decode())


async def test_calls_of_postgresql_are_timed_by_statement_and_by_how_they_failed(database_url: str) -> None:
    async with watched(database_url) as house:
        ada = await somebody(house)
        await house.tasks().open(ada, NewTask("Write it down"))
        found = read(house).by("db_client_operation_duration_seconds_count")
    labels = set(found)
    assert ("", "commit", "postgresql") in labels
    assert any(operation.startswith("SELECT ") for _, operation, _ in labels)
    assert {error for error, _, _ in labels} == {""}


async def test_who_waits_for_a_connection_is_seen_and_counted_when_it_is_in_vain(database_url: str) -> None:
    async with watched(database_url) as house:
        database = house.database()
        _, _, most = database.pool_state()
        held = [await database.acquire() for _ in range(most)]
        try:
            before = read(house)("db_client_connection_wait_time_seconds_count")
            waiting = asyncio.create_task(database.acquire())
            await until(lambda: read(house)("db_client_connection_pending_requests") >= 1)
            found = read(house)
            assert found("db_client_connection_max") == most
            assert found("db_client_connections", state="used") == most
            assert found("db_client_connections", state="idle") == 0
            with pytest.raises(Unavailable):
                await waiting
            found = read(house)
            assert found("db_client_connection_timeouts_total") >= 1
            assert found("db_client_connection_wait_time_seconds_count") > before
            assert ("TimeoutError", "acquire", "postgresql") not in found.by("db_client_operation_duration_seconds")
        finally:
            for connection in held:
                await database.release(connection)
        await until(lambda: read(house)("db_client_connection_pending_requests") == 0)


async def test_what_has_to_be_done_again_is_counted(database_url: str) -> None:
    async with watched(database_url) as house:
        ada = await somebody(house)
        task = TaskId((await house.tasks().open(ada, NewTask("Write it down"))).id)
        assert read(house).by("signalbox_tx_retries_total") == {}
        with pytest.raises(Stale):
            async with house.work()() as work:
                mine, _ = await work.tasks.get(task, ada.account_id)
                await house.tasks().edit(ada, task, TaskPatch(title="Somebody else's"))
                mine.archive(ada.account_id, house.clock().now())
                work.tasks.save(mine)
        assert read(house).by("signalbox_tx_retries_total") == {("stale",): 1}


async def test_the_clock_is_compared_with_that_of_postgresql(database_url: str) -> None:
    fast = MovableClock(datetime.now(UTC) + timedelta(seconds=1_000))
    async with watched(database_url, clock=providers.Object(fast)) as house:
        await until(lambda: house.drift().seconds is not None)
        assert 900 < read(house)("signalbox_clock_offset_seconds") <= 1_000  # it stands still


async def test_the_age_of_the_last_proof_grows_while_redis_is_away() -> None:
    redis = RedisService()
    broker = RedisBroker(redis.url, SEAL, MemoryObserver(), canary_seconds=0.05, canary_lost_seconds=0.2)
    running = asyncio.create_task(broker.run())
    try:
        await until(lambda: broker.connected)
        assert broker.silent_seconds() < 5
        redis.kill()
        await until(lambda: not broker.connected)
        began = broker.silent_seconds()
        await until(lambda: broker.silent_seconds() > began + 0.5)
        redis.start()
        await until(lambda: broker.connected)
        assert broker.silent_seconds() < began + 0.5
        assert broker.reconnects == 1
    finally:
        running.cancel()
        redis.stop()
