"""The proxy before PostgreSQL does to connections and commits what it says, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import pytest

from tests.support.clients import until
from tests.support.postgres_proxy import Commit, PostgresProxy

MARK = b"marked"
BROKEN = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def proxy(url: str) -> Iterator[PostgresProxy]:
    with PostgresProxy(url) as proxy:
        yield proxy


async def connected(proxy: PostgresProxy) -> asyncpg.Connection:
    connection = await asyncpg.connect(proxy.url, timeout=20)
    await connection.execute("CREATE TABLE IF NOT EXISTS marked (text text)")
    return connection


async def in_one_statement(connection: asyncpg.Connection, text: str) -> None:
    await connection.fetch("INSERT INTO marked VALUES ($1) RETURNING text", text, timeout=2)


async def in_a_transaction(connection: asyncpg.Connection, text: str) -> None:
    await connection.execute("BEGIN")
    await connection.fetchval("INSERT INTO marked VALUES ($1) RETURNING text", text)
    await connection.execute("COMMIT", timeout=2)


async def marked(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch("SELECT text FROM marked ORDER BY text")]
    finally:
        await connection.close()


@pytest.mark.parametrize("write", [in_one_statement, in_a_transaction])
@pytest.mark.parametrize(
    ("fate", "error", "is_written"),
    [(Commit.LOST, BROKEN, True), (Commit.UNSENT, BROKEN, False), (Commit.UNANSWERED, TimeoutError, True)],
)
async def test_a_commit_meets_its_fate_and_the_others_pass(
    proxy: PostgresProxy,
    url: str,
    write: Callable[[asyncpg.Connection, str], Awaitable[None]],
    fate: Commit,
    error: type[Exception],
    is_written: bool,
) -> None:
    connection, other = await connected(proxy), await connected(proxy)
    await write(connection, "a")
    proxy.fail_commits(fate, about=MARK)
    assert await connection.fetchval("SELECT 1") == 1
    with pytest.raises(error):
        await write(connection, "b")
    await write(other, "c")
    assert proxy.failed_commits == 1
    assert await marked(url) == (["a", "b", "c"] if is_written else ["a", "c"])
    connection.terminate()
    await other.close()


async def test_a_black_hole_answers_nothing_and_what_it_held_arrives_late(proxy: PostgresProxy) -> None:
    connection = await connected(proxy)
    proxy.swallow()
    waiting = asyncio.create_task(connection.fetchval("SELECT 1"))
    with pytest.raises(TimeoutError):
        await asyncpg.connect(proxy.url, timeout=0.5)
    assert not waiting.done()
    proxy.heal()
    assert await asyncio.wait_for(waiting, 20) == 1
    await connection.close()


async def test_connections_are_refused_and_cut_until_it_is_healed(proxy: PostgresProxy) -> None:
    connection = await connected(proxy)
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(proxy.url)
    assert await connection.fetchval("SELECT 1") == 1
    proxy.cut()
    with pytest.raises(BROKEN):
        await connection.fetchval("SELECT 1")
    await until(lambda: _none(proxy))
    proxy.heal()
    await (await connected(proxy)).close()


async def _none(proxy: PostgresProxy) -> bool:
    return proxy.connections == 0


async def test_a_slow_network_takes_its_time_in_either_direction(proxy: PostgresProxy) -> None:
    connection = await connected(proxy)
    proxy.delay(0.1)
    began = asyncio.get_running_loop().time()
    assert await connection.fetchval("SELECT 1") == 1
    assert asyncio.get_running_loop().time() - began >= 0.2
    proxy.heal()
    await connection.close()
