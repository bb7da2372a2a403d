"""The log of a real server: a line for each request, no secret, and no request that waits for who reads it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.clients import API, Person, Wire, client, done, following, listening, sign_up, signed_in, until
from tests.support.server import ServerProcess

Line = dict[str, Any]
StartServer = Callable[..., ServerProcess]


def lines_of(server: ServerProcess) -> list[Line]:
    """The log of a server, each line of which is a JSON object."""
    return [json.loads(line) for line in server.log().splitlines()]


def is_refusal(line: Line) -> bool:
    """Whether it tells of bytes that were refused before they were a request."""
    return bool(line.get("message", "").startswith("refused before"))


async def line_of(server: ServerProcess, request_id: str) -> Line:
    """The one line that tells of a request."""

    def found() -> list[Line]:
        told = [line for line in lines_of(server) if line.get("request_id") == request_id]
        return [each for each in told if each["event"] == "request" or is_refusal(each)]

    await until(lambda: bool(found()))
    (line,) = found()
    return line


@pytest_asyncio.fixture(scope="module")
async def server(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """A server that logs for machines, to which everything is slow."""
    settings = {"LOG_FORMAT": "json", "SLOW_REQUEST_MS": "0", "SLOW_QUERY_MS": "0", "CORS_ORIGIN": "https://app.test"}
    server = ServerProcess(new_database(), tmp_path_factory.mktemp("logs") / "log", environment=settings)
    try:
        await asyncio.to_thread(server.start)
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@pytest_asyncio.fixture
async def http(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with client(server.base_url) as http:
        yield http


async def test_a_request_is_one_line_with_all_that_is_to_know_of_it(
    server: ServerProcess, http: httpx.AsyncClient
) -> None:
    ada = await sign_up(http)
    answer = await ada.post("/tasks", {"title": "Write the plan"}, headers={"X-Request-Id": "the-write"})
    line = await line_of(server, "the-write")
    assert line.pop("ts").endswith("Z")
    assert line.pop("duration_ms") >= line.pop("db_ms") > 0
    assert line.pop("db_calls") >= 3
    (event,) = done(await ada.get(f"/tasks/{done(answer)['id']}/history"))["data"]
    assert event["traceparent"] == f"00-{line.pop('trace_id')}-{line.pop('span_id')}-00"
    assert line == {
        "level": "warning",
        "event": "request",
        "request_id": "the-write",
        "http.request.method": "POST",
        "http.route": "/api/v1/tasks",
        "http.response.status_code": 201,
        "client.address": "127.0.0.1",
        "bytes_in": len(b'{"title":"Write the plan"}'),
        "bytes_out": len(answer.content),
        "user.id": ada.id,
        "slow": True,
        "service.name": "signalbox",
        "service.version": line["service.version"],
        "instance": line["instance"],
    }
    queries = [line for line in lines_of(server) if line["event"] == "slow_call"]
    queries = [query for query in queries if query.get("request_id") == "the-write"]
    assert "commit" in {query["operation"] for query in queries}
    assert all(query["slow"] and query["duration_ms"] > 0 for query in queries)


async def test_a_stream_is_not_slow_for_lasting_long(server: ServerProcess, http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    async with following(ada) as stream:
        await ada.open_task()
        assert await stream.next()
        request_id = stream.response.headers["x-request-id"]
    assert "slow" not in await line_of(server, request_id)


async def refusals(http: httpx.AsyncClient, ada: Person, url: str) -> AsyncIterator[httpx.Response]:
    """Every kind of refusal there is."""
    yield await http.get("/no/such/path")
    yield await http.get(f"{API}/tasks")
    yield await http.get(f"{API}/tasks", headers={"Authorization": "Bearer nonsense"})
    yield await http.post(f"{API}/auth/login", json={"email": ada.email, "password": "a wrong guess"})
    yield await http.post(f"{API}/auth/refresh", headers={"Cookie": "__Host-refresh=x", "Origin": "https://evil.test"})
    yield await http.put("/live")
    yield await ada.get(f"/tasks/{ada.id}")
    yield await ada.get("/tasks", params={"limit": "many"})
    yield await ada.get("/tasks", params={"cursor": "nonsense"})
    yield await ada.post("/tasks", {"title": ""})
    yield await ada.send("POST", "/tasks", content=b"{", headers={"Content-Type": "application/json"})
    yield await ada.send("POST", "/tasks", content=b"x", headers={"Content-Type": "text/plain"})
    yield await ada.send("POST", "/tasks", content=b" " * 2_000_000, headers={"Content-Type": "application/json"})
    yield await ada.get("/tasks", headers={"X-Long": "x" * 20_000})
    yield await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": "of two words"})
    task = await ada.open_task()
    yield await ada.patch(f"/tasks/{task['id']}", {"title": "y"}, headers={"If-Match": '"7"'})


async def test_every_problem_leads_to_its_line(server: ServerProcess, http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    statuses = set()
    async for response in refusals(http, ada, server.base_url):
        problem = response.json()
        line = await line_of(server, problem["request_id"])
        assert line["trace_id"] == problem["trace_id"]
        assert (line["http.response.status_code"], line["error.type"]) == (response.status_code, problem["code"])
        statuses.add(response.status_code)
    assert statuses >= {400, 401, 403, 404, 405, 412, 413, 415, 422, 431}

    async with await Wire.open(server.port) as wire:
        await wire.send(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")
        status, headers, body = await wire.answer()
    assert status == 400
    line = await line_of(server, json.loads(body)["request_id"])
    assert line["request_id"] == headers["x-request-id"]

    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws{server.base_url.removeprefix('http')}{API}/ws?ticket=none", proxy=None)
    problem = json.loads(refused.value.response.body or b"")
    line = await line_of(server, problem["request_id"])
    assert (line["http.response.status_code"], line["error.type"]) == (401, problem["code"])


async def test_what_guards_look_for_is_one_line_in_their_words(server: ServerProcess, http: httpx.AsyncClient) -> None:
    ada, bob = await sign_up(http), await sign_up(http, "Bob")
    team = await ada.create_team()
    await ada.admit(bob, team["id"], role="viewer")

    async def event_of(response: httpx.Response) -> tuple[str | None, str | None]:
        line = await line_of(server, response.headers["x-request-id"])
        assert line.get("security", False) is ("security.event" in line)
        assert line["client.address"] == "127.0.0.1"
        return line.get("security.event"), line.get("user.id")

    async def sign_in(password: str) -> httpx.Response:
        return await http.post(f"{API}/auth/login", json={"email": ada.email, "password": password})

    async def refresh(token: str) -> httpx.Response:
        headers = {"Cookie": f"__Host-refresh={token}", "X-Requested-With": "test"}
        return await http.post(f"{API}/auth/refresh", headers=headers)

    welcome = await sign_in("correct horse battery")
    assert await event_of(welcome) == ("authn_login_success", ada.id)
    assert await event_of(await sign_in("a wrong guess")) == ("authn_login_fail", None)
    refused = await bob.post("/tasks", {"title": "x", "workspace_id": team["id"]})
    assert await event_of(refused) == ("authz_fail", bob.id)
    first = signed_in(http, welcome)
    second = signed_in(http, await refresh(first.cookie))
    await refresh(second.cookie)
    assert await event_of(await refresh(first.cookie)) == ("authn_token_reuse", None)
    assert await event_of(await second.get("/me")) == ("session_use_after_expire", None)
    while (limited := await sign_in("a wrong guess")).status_code == 401:
        pass
    assert await event_of(limited) == ("excess_rate_limit_exceeded", None)
    assert await event_of(await ada.get("/me")) == (None, ada.id)


async def test_a_live_connection_is_told_from_its_opening_to_its_close(
    server: ServerProcess, http: httpx.AsyncClient
) -> None:
    ada = await sign_up(http)
    async with listening(server.base_url, ada.token, f"workspace:{ada.id}") as live:
        await ada.open_task()
        offset = (await live.event())["offset"]
        done(await ada.post("/auth/logout-all"))
        code = await live.closed()

    def told(event: str) -> list[Line]:
        return [line for line in lines_of(server) if line["event"] == event and line.get("user.id") == ada.id]

    await until(lambda: bool(told("socket_closed")))
    (closed,) = told("socket_closed")
    assert closed["outcome"] == str(code)
    assert closed["seconds"] > 0
    assert closed["received"] == 1
    assert closed["offsets"] == {f"workspace:{ada.id}": offset}
    upgrade = await line_of(server, closed["request_id"])
    assert (upgrade["http.response.status_code"], upgrade["connection"]) == (101, closed["connection"])
    assert [(line["command"], line["connection"]) for line in told("command")] == [("connect", closed["connection"])]


async def test_an_error_that_nobody_expected_is_told_once_with_its_stack(start_server: StartServer) -> None:
    server = await asyncio.to_thread(start_server, LOG_FORMAT="json")
    connection = await asyncpg.connect(server.database_url)
    await connection.execute("DROP TABLE comments CASCADE")
    await connection.close()
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        task = await ada.open_task()
        broken = await ada.post(f"/tasks/{task['id']}/comments", {"text": "a secret between us"})
        assert broken.status_code == 500
        line = await line_of(server, broken.json()["request_id"])
    assert (line["error.type"], "error.stack" in line) == ("internal_error", False)
    (told,) = [line for line in lines_of(server) if "error.stack" in line]
    assert told["request_id"] == broken.json()["request_id"]
    assert (told["level"], told["error.type"]) == ("error", "UndefinedTableError")
    assert "asyncpg" in told["error.stack"]
    assert "a secret between us" not in server.log()
