"""What PostgreSQL and Redis are asked about themselves: whether they answer, which they are, and if they will do."""

from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import pytest
from redis import Redis

from adapters.memory.observer import MemoryObserver
from adapters.postgres import migrations
from adapters.postgres.database import Database
from adapters.postgres.schema import Schema
from adapters.redis.server import RedisServer
from domain.errors import Unavailable
from tests.support.services import PostgresService, RedisService, free_port


async def schema_at(url: str, revision: str | None = None) -> str | None:
    """What is said about a schema, with another revision noted down in it if one is given."""
    if revision is not None:
        connection = await asyncpg.connect(url)
        await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
        await connection.close()
    database = Database(url, 1, MemoryObserver())
    await database.open()
    try:
        return await Schema(database).check()
    finally:
        await database.close()


async def test_the_schema_is_well_at_the_revision_of_this_code(new_database: Callable[[], str]) -> None:
    assert await schema_at(new_database()) is None


async def test_an_older_schema_and_none_at_all_will_not_do(
    postgres_service: PostgresService, new_database: Callable[[], str]
) -> None:
    before = migrations.revisions()[-2]
    with pytest.raises(Unavailable, match=f"at revision {before}.*run `signalbox migrate`"):
        await schema_at(new_database(), before)
    with pytest.raises(Unavailable, match="at revision None"):
        await schema_at(postgres_service.create())


async def test_a_newer_schema_will_do_for_the_processes_that_are_about_to_be_replaced(
    new_database: Callable[[], str],
) -> None:
    assert await schema_at(new_database(), "9999") == "It is at revision 9999, which is newer than this code."


async def test_postgresql_answers_with_its_version_and_clock(database_url: str) -> None:
    database = Database(database_url, 1, MemoryObserver())
    await database.open()
    try:
        await database.check()
        version, clock = await database.identify()
    finally:
        await database.close()
    assert int(version.split(".")[0]) >= 15
    assert abs((clock - datetime.now(UTC)).total_seconds()) < 5


async def test_redis_answers_with_its_version_and_clock(redis_url: str) -> None:
    server = RedisServer(redis_url)
    assert await server.check() is None
    version, clock = await server.identify()
    assert tuple(map(int, version.split("."))) >= (6, 2)
    assert abs((clock - datetime.now(UTC)).total_seconds()) < 5


async def test_a_redis_that_may_evict_is_told_of() -> None:
    redis = RedisService()
    try:
        with Redis.from_url(redis.url, protocol=2) as admin:
            admin.config_set("maxmemory-policy", "allkeys-lru")
        assert await RedisServer(redis.url).check() == "Its maxmemory-policy is allkeys-lru, and has to be noeviction."
    finally:
        redis.stop()


async def test_what_does_not_answer_is_unavailable_without_its_address() -> None:
    port = free_port()
    with pytest.raises(Unavailable) as refused:
        await RedisServer(f"redis://:hunter2@127.0.0.1:{port}/0").check()
    assert str(refused.value) == "Redis does not answer."
    database = Database(f"postgresql://ada:hunter2@127.0.0.1:{port}/app", 1, MemoryObserver())
    await database.open()
    with pytest.raises(Unavailable) as refused:
        await database.check()
    await database.close()
    assert str(refused.value) == "The store does not answer."
