"""Services of one module, whose tests may do anything to them and leave them healed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.own_postgres import OwnPostgres
from tests.support.server import ServerProcess
from tests.support.services import RedisService

Servers = list[ServerProcess]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisService]:
    service = RedisService()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def three(
    new_database: Callable[[], str], redis: RedisService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """Three instances of one installation."""
    yield from started(3, new_database(), redis.url, tmp_path_factory.mktemp("three"))


def started(count: int, database_url: str, redis_url: str, logs: Path) -> Iterator[Servers]:
    environment = {"RATE_LIMIT_ENABLED": "false", "DRAIN_SECONDS": "3"}
    servers = [ServerProcess(database_url, logs / f"{number}.log", redis_url, environment) for number in range(count)]
    with ThreadPoolExecutor() as threads:
        try:
            list(threads.map(ServerProcess.start, servers))
            yield servers
        finally:
            list(threads.map(ServerProcess.stop, servers))


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    service = OwnPostgres()
    yield service
    service.end()


@pytest.fixture(scope="module")
def two(postgres: OwnPostgres, redis: RedisService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Two instances on a PostgreSQL to which anything may be done."""
    yield from started(2, postgres.url, redis.url, tmp_path_factory.mktemp("two"))
