"""A PostgreSQL that takes no connection makes nobody wait but those who find out."""

from collections.abc import AsyncIterator, Callable, Iterator
from time import monotonic

import pytest
import pytest_asyncio

from adapters.memory.observer import MemoryObserver
from adapters.postgres.database import Database
from domain.errors import Unavailable
from tests.support.clients import until
from tests.support.postgres_proxy import PostgresProxy

WAIT_SECONDS = 0.5
AT_ONCE_SECONDS = WAIT_SECONDS / 2


@pytest.fixture
def proxy(new_database: Callable[[], str]) -> Iterator[PostgresProxy]:
    with PostgresProxy(new_database()) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def database(proxy: PostgresProxy) -> AsyncIterator[Database]:
    database = Database(proxy.url, 1, MemoryObserver(), wait_seconds=WAIT_SECONDS)
    await database.open()
    yield database
    await database.close()


async def is_refused(database: Database) -> float:
    """For how many seconds somebody waited who was refused."""
    began = monotonic()
    with pytest.raises(Unavailable):
        await database.check()
    return monotonic() - began


async def test_while_it_is_silent_everybody_is_refused_at_once_and_served_once_it_answers(
    proxy: PostgresProxy, database: Database
) -> None:
    proxy.swallow()
    assert await is_refused(database) >= WAIT_SECONDS
    for expected in ("open", "half_open"):
        await until(lambda: database.breaker.state == expected)  # noqa: B023  # done before the next one
        # A stall of this machine makes one of them late, not all.
        assert min([await is_refused(database) for _ in range(5)]) < AT_ONCE_SECONDS
    proxy.heal()
    await until(lambda: database.breaker.state == "closed")
    await database.check()


async def test_a_pool_that_is_in_use_is_no_silence(database: Database) -> None:
    taken = await database.acquire()
    await is_refused(database)
    await until(lambda: database._trial is None)
    assert database.breaker.state == "closed"
    await database.release(taken)
    await database.check()


async def test_whoever_is_turned_away_has_an_answer_and_the_next_one_asks_again(
    proxy: PostgresProxy, database: Database
) -> None:
    taken = await database.acquire()
    proxy.refuse()
    await is_refused(database)  # by the pool, which makes it doubtful
    await until(lambda: database._trial is None)
    assert database.breaker.state == "closed"
    proxy.heal()
    await database.release(taken)
    await database.check()
