"""A server process that tests share when they leave it as it was."""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import pytest_asyncio

from tests.support.clients import client
from tests.support.server import ServerProcess


@pytest.fixture(scope="session")
def shared_server(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on a PostgreSQL of its own, without Redis and without rate limits."""
    log = tmp_path_factory.mktemp("shared") / "server.log"
    server = ServerProcess(new_database(), log, None, {"RATE_LIMIT_ENABLED": "false"}).start()
    yield server
    server.stop()


@pytest_asyncio.fixture
async def http(shared_server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody unknown who calls it."""
    async with client(shared_server.base_url) as http:
        yield http
