"""The assembly in memory and the people in it, ready to be called over HTTP.

One assembly serves all tests that leave its clock and its providers alone; everybody in it is new in each test.
"""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from entrypoints.container import Container
from tests.http.house import house_in_memory, house_on_postgres, served, visited
from tests.support.clients import Person, client, sign_up


@pytest.fixture(scope="session")
def house() -> Container:
    """Everything in memory, with no rate limit and a clock that stands still."""
    return house_in_memory()


@pytest_asyncio.fixture(scope="session")
async def http(house: Container) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody unknown who calls `house`."""
    async with visited(house) as http:
        yield http


@pytest_asyncio.fixture
async def ada(http: httpx.AsyncClient) -> Person:
    return await sign_up(http, "Ada")


@pytest_asyncio.fixture
async def bob(http: httpx.AsyncClient) -> Person:
    return await sign_up(http, "Bob")


@pytest_asyncio.fixture(scope="session")
async def stored(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody unknown who calls an assembly on a PostgreSQL that is empty at the beginning of every test."""
    async with visited(house_on_postgres(database_url)) as http:
        yield http


@pytest_asyncio.fixture(scope="session")
async def live_url() -> AsyncIterator[str]:
    """The address of one more assembly in memory, served over real sockets."""
    async with served(house_in_memory()) as url:
        yield url


@pytest_asyncio.fixture
async def grace(live_url: str) -> AsyncIterator[Person]:
    """Somebody who lives at `live_url`."""
    async with client(live_url) as http:
        yield await sign_up(http, "Grace")


@pytest_asyncio.fixture
async def linus(grace: Person) -> Person:
    """Somebody else there."""
    return await sign_up(grace.http, "Linus")
