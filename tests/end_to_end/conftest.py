"""Server processes that tests share when they leave them as they were."""

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
import pytest_asyncio

from tests.support.clients import client
from tests.support.server import ServerProcess

Pair = tuple[ServerProcess, ServerProcess]


def pair(database_url: str, redis_url: str | None, logs: pytest.TempPathFactory, **environment: str) -> Iterator[Pair]:
    """Two processes on one PostgreSQL, until the end of the session."""
    folder = logs.mktemp("pair")
    one, other = (
        ServerProcess(database_url, folder / f"{name}.log", redis_url, environment) for name in ("one", "other")
    )
    with ExitStack() as ending, ThreadPoolExecutor() as threads:
        for server in (one, other):
            ending.callback(server.stop)
        list(threads.map(ServerProcess.start, (one, other)))
        yield one, other


@pytest.fixture(scope="session")
def plain_pair(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers that share nothing but a PostgreSQL, without rate limits."""
    yield from pair(new_database(), None, tmp_path_factory, RATE_LIMIT_ENABLED="false")


@pytest.fixture(scope="session")
def redis_pair(
    new_database: Callable[[], str], redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Two servers that share a PostgreSQL and a Redis, with a hundred requests an hour for each person."""
    limits = {"RATE_LIMIT_MAX_REQUESTS": "100", "RATE_LIMIT_WINDOW_MS": "3600000"}
    yield from pair(new_database(), redis_url, tmp_path_factory, **limits)


@pytest.fixture(scope="session")
def shared_server(plain_pair: Pair) -> ServerProcess:
    """One server without Redis and without rate limits."""
    return plain_pair[0]


@pytest_asyncio.fixture
async def http(shared_server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody unknown who calls it."""
    async with client(shared_server.base_url) as http:
        yield http
