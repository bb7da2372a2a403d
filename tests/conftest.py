"""What tests on every floor ask for: a real PostgreSQL, a real Redis, and servers that run on them."""

import asyncio
import gc
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from entrypoints.container import Container
from tests.support.library import library_in_memory, library_on_postgres, with_notes
from tests.support.server import ServerProcess
from tests.support.services import PostgresService, RedisService

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# The folders whose tests have to run every line of the domain and of the use cases. While any of them is traced,
# Python 3.11 runs every line of the process at half its speed, whosever it is.
TRACED = {"domain", "application", "architecture"}

# A run that is told to end takes its services with it, as one that is interrupted does.
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_service() -> Iterator[PostgresService]:
    service = PostgresService()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def redis_service() -> Iterator[RedisService]:
    service = RedisService()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def database_url(postgres_service: PostgresService) -> str:
    """A migrated database that is empty at the beginning of every test that asks for it."""
    return postgres_service.clone()


@pytest.fixture(scope="session")
def redis_url(redis_service: RedisService) -> str:
    """A Redis that is empty at the beginning of every test that asks for it."""
    return redis_service.url


@pytest.fixture(scope="session")
def new_database(postgres_service: PostgresService) -> Callable[[], str]:
    """Makes one more migrated, empty database with every call, for a server that shall have its own."""
    return postgres_service.clone


@pytest.fixture(params=["memory", "postgres"])
def library(request: pytest.FixtureRequest) -> Container:
    """An assembly with notes in each store, one after the other; the services start only if a test needs them."""
    if request.param == "memory":
        return library_in_memory()
    new_database: Callable[[], str] = request.getfixturevalue("new_database")
    return library_on_postgres(with_notes(new_database()))


@pytest_asyncio.fixture
async def emptied_database_url(postgres_service: PostgresService, database_url: str) -> str:
    """For a fixture that asks for `database_url` only while it runs, which nobody sees before."""
    # In a thread: what an assembly of several tests still does on the loop has to end, as it holds locks.
    await asyncio.to_thread(postgres_service.empty, database_url)
    return database_url


@pytest.fixture(autouse=True)
def _empty_services(request: pytest.FixtureRequest) -> None:
    if "database_url" in request.fixturenames:
        request.getfixturevalue("emptied_database_url")
    if "redis_url" in request.fixturenames:
        redis: RedisService = request.getfixturevalue("redis_service")
        redis.empty()


@pytest.fixture
def start_server(new_database: Callable[[], str], tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers that end with the test.

    Called with nothing, each has a database of its own and no Redis; `database_url`, `redis_url` and any setting
    (`LOG_LEVEL="debug"`) can be given.
    """
    servers: list[ServerProcess] = []

    def start(database_url: str | None = None, redis_url: str | None = None, **environment: str) -> ServerProcess:
        server = ServerProcess(
            database_url or new_database(), tmp_path / f"server-{uuid4().hex[:8]}.log", redis_url, environment
        )
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    """One server with a database of its own and no Redis."""
    return start_server()


@contextmanager
def _untraced(config: pytest.Config) -> Iterator[None]:
    """What runs in the block is not traced, if anything is."""
    plugin = config.pluginmanager.getplugin("_cov")
    controller = plugin and plugin.cov_controller
    if controller:
        controller.pause()
    yield
    if controller:
        controller.resume()


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    # What there is to trace was imported by this file.
    with _untraced(session.config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if item.path.relative_to(Path(__file__).parent).parts[0] in TRACED:
        return (yield)
    with _untraced(item.config):
        return (yield)


def pytest_collection_finish() -> None:
    """Look for garbage as a server does: seldom, and not among what was imported, which stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
