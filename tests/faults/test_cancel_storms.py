"""A thousand requests that are broken off in the middle leave no connection behind, whoever breaks them off."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import asyncpg
import httpx

from tests.support.clients import API, Person, Wire, client, listening, sign_up, until
from tests.support.exposition import Samples
from tests.support.postgres_proxy import PostgresProxy
from tests.support.server import ServerProcess

REQUESTS = 1_000
AT_ONCE = 50
# What nobody waits for any more is worked off on a busy machine, too.
CALM_SECONDS = 30.0
POOL_SIZE = 8
ENVIRONMENT = {"RATE_LIMIT_ENABLED": "false", "DATABASE_POOL_SIZE": str(POOL_SIZE)}

_BACKENDS = """
SELECT count(*), count(*) FILTER (WHERE state <> 'idle')
FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'signalbox'
"""


class Site:
    """A server, its database as seen from outside, and somebody with a task."""

    def __init__(self, server: ServerProcess, admin: asyncpg.Connection, ada: Person, task: str) -> None:
        self.server, self.ada, self.task = server, ada, task
        self._admin = admin

    async def is_at_rest(self) -> bool:
        """Whether no connection is in use, neither here nor there, and there are no more than there may be."""
        samples = Samples((await self.ada.http.get("/metrics")).text)
        used = samples("db_client_connections", state="used")
        backends, busy = await self._admin.fetchrow(_BACKENDS)
        return bool(used == 0 and busy == 0 and backends <= POOL_SIZE + 2)

    async def is_well(self) -> None:
        """Every connection of the pool is free, and whoever comes next is served."""
        await until(self.is_at_rest, CALM_SECONDS)
        answers = await asyncio.gather(
            *(self.ada.get("/tasks") for _ in range(2 * POOL_SIZE)),
            *(self.ada.patch(f"/tasks/{self.task}", {"title": uuid4().hex}) for _ in range(POOL_SIZE)),
        )
        assert {answer.status_code for answer in answers} == {200}
        await until(self.is_at_rest, CALM_SECONDS)

    def request(self) -> tuple[str, str, object, dict[str, str]]:
        """Any request that needs the database: method, path, body, headers."""
        return random.choice(
            [
                ("GET", "/tasks", None, {}),
                ("GET", f"/events?channel=workspace:{self.ada.id}", None, {}),
                ("POST", "/tasks", {"title": uuid4().hex}, {}),
                ("POST", "/tasks", {"title": uuid4().hex}, {"Idempotency-Key": uuid4().hex}),
                ("PATCH", f"/tasks/{self.task}", {"title": uuid4().hex}, {}),
                ("PATCH", f"/tasks/{self.task}", {"title": uuid4().hex}, {"Idempotency-Key": uuid4().hex}),
            ]
        )


@asynccontextmanager
async def looking_at(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that is not the server's."""
    admin = await asyncpg.connect(url)
    try:
        yield admin
    finally:
        await admin.close()


async def storm(break_off: Callable[[], Awaitable[None]]) -> None:
    """Do this a thousand times, so many at once."""
    left = iter(range(REQUESTS))

    async def one_after_the_other() -> None:
        for _ in left:
            await break_off()

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_the_other())


async def test_clients_that_hang_up_leave_no_connection_behind(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str]
) -> None:
    url = new_database()
    server = start_server(url, **ENVIRONMENT)
    async with looking_at(url) as admin, client(server.base_url) as http:
        ada = await sign_up(http)
        site = Site(server, admin, ada, (await ada.open_task())["id"])

        async def hang_up() -> None:
            method, path, body, headers = site.request()
            sent = b"" if body is None else json.dumps(body).encode()
            head = {"host": "signalbox.test", **ada.authorization, **headers, "content-length": str(len(sent))}
            if sent:
                head["content-type"] = "application/json"
            lines = [f"{method} {API}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
            async with await Wire.open(server.port) as wire:
                await wire.send("\r\n".join(lines).encode() + sent)
                await asyncio.sleep(random.uniform(0, 0.05))
                wire.abort()

        async def leave() -> None:
            async with listening(server.base_url, ada.token) as live:
                await live.send({"type": "call", "id": 9, "method": "task.create", "params": {"title": uuid4().hex}})
                await live.send({"type": "subscribe", "id": 10, "channel": f"workspace:{ada.id}", "since": 0})
                live.socket.transport.abort()

        await storm(hang_up)
        await site.is_well()
        for _ in range(20):
            await leave()
        await site.is_well()


async def test_requests_whose_time_is_up_leave_no_connection_behind(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str]
) -> None:
    url = new_database()
    with PostgresProxy(url) as proxy:
        # Some of them end in time: what they take is spread around the deadline.
        server = start_server(proxy.url, REQUEST_DEADLINE_SECONDS="0.2", **ENVIRONMENT)
        async with looking_at(url) as admin, client(server.base_url) as http:
            ada = await sign_up(http)
            site = Site(server, admin, ada, (await ada.open_task())["id"])
            statuses: list[int] = []

            async def run_late() -> None:
                method, path, body, headers = site.request()
                proxy.delay(random.uniform(0, 0.03))
                # Whoever takes longer than the deadline to send its head is hung up on.
                with suppress(httpx.TransportError):
                    statuses.append((await ada.send(method, path, json=body, headers=headers)).status_code)

            await storm(run_late)
            assert set(statuses) <= {200, 201, 408, 409, 503}
            assert sum(status in {408, 503} for status in statuses) > REQUESTS / 2
            proxy.heal()
            await until(lambda: is_served(ada))
            await until(site.is_at_rest, CALM_SECONDS)


async def is_served(person: Person) -> bool:
    return (await person.get("/tasks")).status_code == 200
