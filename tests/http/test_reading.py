"""Reading changes nothing: after every GET, HEAD and OPTIONS the database is what it was, row for row."""

import asyncpg
import httpx

from tests.contracts.house import eventually
from tests.http.operations import OPERATIONS, Operation, World, a_world, request_for
from tests.support.clients import API

READING = [operation for operation in OPERATIONS.values() if operation.method == "GET"]

# Everybody is told of what was done, and letters are sent.
AT_REST = (
    "SELECT NOT EXISTS (SELECT FROM cursors) AND NOT EXISTS (SELECT FROM digests)"
    " AND NOT EXISTS (SELECT FROM mails WHERE due_at IS NOT NULL)"
)


async def fingerprint(connection: asyncpg.Connection) -> dict[str, str]:
    """For each table what changes when a row of it is written or locked."""
    tables = await connection.fetch("SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'")
    return {
        name: await connection.fetchval(
            f"SELECT count(*) || coalesce(md5(string_agg(concat(ctid, xmin, xmax), '' ORDER BY ctid)), '') FROM {name}"
        )
        for (name,) in tables
    }


async def reads(world: World, operation: Operation) -> list[httpx.Response]:
    request = request_for(operation, world.ids)
    answers = [await world.people[name].send(**request) for name in ("owner", "viewer", "stranger")]
    answers.append(await world.owner.send(**request, headers={"If-None-Match": "*", "Idempotency-Key": "k"}))
    return answers + [await world.owner.send(**request | {"method": method}) for method in ("HEAD", "OPTIONS")]


async def test_no_reading_request_leaves_a_trace(database_url: str, stored: httpx.AsyncClient) -> None:
    world = await a_world(stored)
    connection = await asyncpg.connect(database_url)
    try:
        await eventually(lambda: connection.fetchval(AT_REST))
        before = await fingerprint(connection)
        assert {"accounts", "events", "streams", "tasks"} <= set(before)
        for operation in READING:
            if operation.name != "stream_events":
                answers = await reads(world, operation)
                assert answers[0].status_code == (404 if operation.name == "fetch_export" else 200), operation.name
            else:  # a stranger's, as it has an end
                answers = [await world.people["stranger"].send(**request_for(operation, world.ids))]
            assert await fingerprint(connection) == before, operation.name
        for path in ("/live", "/ready", "/health", "/api/docs", "/api/openapi.json"):
            await stored.get(path)
        for operation in OPERATIONS.values():
            if operation.method != "GET":  # a verb that changes, in the disguise of a read
                await world.owner.send(**request_for(operation, world.ids) | {"method": "GET"})
                await stored.get(API + operation.path, headers={"X-HTTP-Method-Override": operation.method})
        assert await fingerprint(connection) == before

        await world.owner.open_task()
        assert await fingerprint(connection) != before, "the fingerprint sees nothing"
    finally:
        await connection.close()
