"""PostgreSQL ends connections one by one, or changes a table under load: nobody who uses the server sees it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from uuid import uuid4

import asyncpg
import pytest

from tests.support.clients import Person, client, sign_up, until
from tests.support.server import ServerProcess

ENVIRONMENT = {"RATE_LIMIT_ENABLED": "false", "DATABASE_POOL_SIZE": "8"}
WORKERS = 12
ENDED = 60

_END_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'signalbox' AND pid <> $1
ORDER BY backend_start LIMIT 1
"""


class Load:
    """People who read, and write under keys, one thing after the other, until told to stop."""

    def __init__(self, ada: Person) -> None:
        self._ada = ada
        self._titles = (f"Title {number}" for number in count())
        self.answers: Counter[str] = Counter()
        self.opened: list[str] = []
        self.unknown: list[str] = []
        self.rounds = [0] * WORKERS
        self._stopping = False

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(number, self._read if number % 2 else self._write))
            yield
            self._stopping = True

    async def _work(self, number: int, one: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping:
            await one()
            self.rounds[number] += 1

    async def goes_round(self) -> None:
        """Return once nobody is busy any more with what was asked before this call."""
        before = list(self.rounds)
        await until(lambda: all(now > then for now, then in zip(self.rounds, before, strict=True)))

    async def _read(self) -> None:
        for path in ("/tasks", "/me", f"/workspaces/{self._ada.id}", "/events"):
            answer = await self._ada.get(path)
            self.answers[f"GET {answer.status_code}"] += 1

    async def _write(self) -> None:
        title = next(self._titles)
        answer = await self._ada.post("/tasks", {"title": title}, headers={"Idempotency-Key": uuid4().hex})
        if answer.status_code == 201:
            self.opened.append(title)
            self.answers["POST 201"] += 1
        else:
            self.unknown.append(title)
            self.answers[f"POST {answer.json()['code']}"] += 1


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@asynccontextmanager
async def loaded(server: ServerProcess, url: str) -> AsyncIterator[tuple[asyncpg.Connection, Person, Load]]:
    """A connection beside the server's, and a load that has begun."""
    admin = await asyncpg.connect(url)
    try:
        async with client(server.base_url) as http:
            ada = await sign_up(http)
            load = Load(ada)
            async with load():
                await until(lambda: load.answers.total() > 50)
                yield admin, ada, load
            titles = [event["data"]["title"] for event in await ada.events(f"workspace:{ada.id}") if is_opened(event)]
            assert len(set(titles)) == len(titles)
            assert set(load.opened) <= set(titles) <= {*load.opened, *load.unknown}
    finally:
        await admin.close()


def is_opened(event: dict[str, object]) -> bool:
    return event["type"] == "task.created"


async def test_connections_that_are_ended_one_by_one_are_seen_by_nobody(
    start_server: Callable[..., ServerProcess], url: str
) -> None:
    server = start_server(url, **ENVIRONMENT)
    async with loaded(server, url) as (admin, _, load):
        for _ in range(ENDED):
            await admin.fetchval(_END_ONE, admin.get_server_pid())
            await load.goes_round()  # what meets two ends may be refused
    # Only of a commit that was under way can nobody know, and such a moment is short.
    assert set(load.answers) <= {"GET 200", "POST 201", "POST outcome_unknown"}, load.answers
    assert load.answers["POST outcome_unknown"] <= ENDED / 10, load.answers


async def migrate(admin: asyncpg.Connection, change: str) -> None:
    """As migrations do it: nobody waits long behind one that has to wait itself."""
    await admin.execute("SET lock_timeout = '1500ms'")
    while True:
        with suppress(asyncpg.LockNotAvailableError):
            await admin.execute(change)
            return


async def test_a_migration_under_load_is_seen_by_nobody(start_server: Callable[..., ServerProcess], url: str) -> None:
    server = start_server(url, **ENVIRONMENT)
    async with loaded(server, url) as (admin, ada, load):
        for table in ("tasks", "accounts", "workspaces", "members", "events", "streams", "idempotency"):
            await migrate(admin, f"ALTER TABLE {table} ADD COLUMN added text")
            before = load.answers.total()
            await until(lambda: load.answers.total() > before + WORKERS)  # noqa: B023
        # What a statement answers changes its type, for which PostgreSQL refuses what was prepared before.
        await migrate(admin, "ALTER TABLE workspaces ALTER COLUMN name TYPE varchar(500)")
        await migrate(admin, "ALTER TABLE members ALTER COLUMN role TYPE varchar(500)")
        await migrate(admin, "ALTER TABLE tasks ALTER COLUMN status TYPE varchar(500)")
        before = load.answers.total()
        await until(lambda: load.answers.total() > before + 10 * WORKERS)
        await ada.open_task("after")
        load.opened.append("after")
    assert set(load.answers) == {"GET 200", "POST 201"}, load.answers
