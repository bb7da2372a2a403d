"""A network that swallows everything on the way to PostgreSQL: requests end in time, and all is well after it."""

import asyncio
from collections.abc import Callable
from time import monotonic
from uuid import uuid4

from tests.support.clients import Person, client, done, listening, sign_up, until
from tests.support.postgres_proxy import PostgresProxy
from tests.support.server import ServerProcess

# What a command may take and then the wait for a connection, as lists that are read together ask one after the other;
# and a little more for the machine.
PATIENCE_SECONDS = 12.0
AT_ONCE_SECONDS = 0.5
POOL_SIZE = 6


async def is_refused_at_once(person: Person) -> bool:
    began = monotonic()
    answer = await person.get("/me")
    assert answer.status_code == 503
    return monotonic() - began < AT_ONCE_SECONDS


async def test_every_request_is_refused_at_its_deadline_and_the_pool_is_not_poisoned(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str]
) -> None:
    with PostgresProxy(new_database()) as proxy:
        server = start_server(proxy.url, RATE_LIMIT_ENABLED="false", DATABASE_POOL_SIZE=str(POOL_SIZE))
        async with client(server.base_url) as http:
            ada = await sign_up(http)
            task = await ada.open_task("before")
            await asyncio.gather(*(ada.get("/me") for _ in range(4 * POOL_SIZE)))  # all connections are there
            async with listening(server.base_url, ada.token, f"workspace:{ada.id}") as live:
                proxy.swallow()
                began = monotonic()
                answers = await asyncio.gather(
                    *(ada.get("/tasks") for _ in range(POOL_SIZE)),
                    *(ada.get("/me") for _ in range(POOL_SIZE)),
                    *(ada.patch(f"/tasks/{task['id']}", {"title": f"{n}"}) for n in range(POOL_SIZE)),
                    ada.post("/tasks", {"title": "during"}, headers={"Idempotency-Key": uuid4().hex}),
                )
                assert monotonic() - began < PATIENCE_SECONDS
                assert {answer.status_code for answer in answers} == {503}
                assert all("retry-after" in answer.headers for answer in answers)
                await until(lambda: is_refused_at_once(ada))

                # What was swallowed stays so, and new connections pass, as when a route has changed.
                proxy.cut()
                proxy.heal()
                began = monotonic()
                assert done(await ada.get("/tasks"))["data"] == [task]
                after = await asyncio.gather(*(ada.open_task(f"after {n}") for n in range(4 * POOL_SIZE)))
                assert monotonic() - began < PATIENCE_SECONDS
                opened = [await live.event("task.created") for _ in after]
                assert {event["event"]["resource"]["id"] for event in opened} == {task["id"] for task in after}
            await until(lambda: proxy.connections <= POOL_SIZE + 2)
