"""What one request may cost is bounded: its body, its URL, its headers and its time."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from dependency_injector import providers

from application.ports.tasks import TaskView
from domain.ids import AccountId, TaskId
from tests.http.house import house_in_memory, set_to, visited
from tests.http.test_problems import TASK, problem
from tests.support.clients import API, PASSWORD, PATIENCE_SECONDS, Person, done, sign_up

MAX = 1_048_576
JSON = {"Content-Type": "application/json"}


class Upload:
    """A body that counts how much of it is read."""

    def __init__(self, parts: int) -> None:
        self.read = 0
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._parts):
            self.read += 65_536
            yield b" " * 65_536


async def test_a_body_that_says_it_is_too_large_is_refused_unread(ada: Person) -> None:
    upload = Upload(1_000)
    headers = JSON | {"Content-Length": str(1_000 * 65_536)}

    problem(await ada.send("POST", "/tasks", content=upload, headers=headers), 413, "body_too_large")
    assert upload.read <= 65_536  # what the transport hands over with the request


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
async def test_a_body_that_turns_out_too_large_is_read_no_further(ada: Person, headers: dict[str, str]) -> None:
    upload = Upload(1_000)

    response = await ada.send("POST", "/tasks", content=upload, headers=JSON | headers)
    problem(response, 413, "body_too_large")
    assert upload.read <= MAX + 65_536


async def test_a_body_as_large_as_allowed_is_read(ada: Person) -> None:
    body = b'{"title": "x"}'.ljust(MAX)

    assert (await ada.send("POST", "/tasks", content=body, headers=JSON)).status_code == 201
    problem(await ada.send("POST", "/tasks", content=body + b" ", headers=JSON), 413, "body_too_large")


async def test_the_largest_body_is_a_setting() -> None:
    async with visited(house_in_memory(settings=set_to(max_body_bytes=1_024))) as http:
        ada = await sign_up(http)
        done(await ada.post("/tasks", {"title": "x", "description": "d" * 900}))
        problem(await ada.post("/tasks", {"title": "x", "description": "d" * 1_100}), 413, "body_too_large")


@pytest.mark.parametrize("target", ["/tasks?q=" + "x" * 8_192, "/tasks/" + "x" * 8_192])
async def test_a_url_that_is_too_long_is_refused(ada: Person, target: str) -> None:
    problem(await ada.get(target), 400, "malformed")


async def test_headers_that_are_too_large_are_refused(ada: Person) -> None:
    problem(await ada.get("/me", headers={"X-Padding": "x" * 16_384}), 431, "headers_too_large")
    problem(await ada.get("/me", headers={f"X-{n}": "x" * 100 for n in range(160)}), 431, "headers_too_large")
    assert (await ada.get("/me", headers={"X-Padding": "x" * 12_000})).status_code == 200


class HangingQueries:
    """Task queries that answer once `end` is set."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.end = asyncio.Event()
        self.was_cancelled = False

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        self.asked.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        raise AssertionError("nobody waits any more")


async def test_a_request_past_its_deadline_is_ended_and_says_so() -> None:
    queries = HangingQueries()
    house = house_in_memory(settings=set_to(request_deadline_seconds=1.0), task_queries=providers.Object(queries))
    async with visited(house) as http:
        ada = await sign_up(http)
        async with asyncio.timeout(PATIENCE_SECONDS):
            problem(await ada.get(TASK), 408, "deadline_exceeded")

        assert queries.was_cancelled
        assert (await ada.get("/me")).status_code == 200


async def test_a_request_that_waits_holds_nobody_else_up() -> None:
    queries = HangingQueries()
    async with visited(house_in_memory(task_queries=providers.Object(queries))) as http:
        ada = await sign_up(http)
        waiting = asyncio.create_task(ada.get(TASK))
        await queries.asked.wait()

        assert (await ada.get("/me")).status_code == 200
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_body_that_never_ends_is_cut_off_by_the_deadline() -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async with visited(house_in_memory(settings=set_to(request_deadline_seconds=1.0))) as http:
        ada = await sign_up(http)
        async with asyncio.timeout(PATIENCE_SECONDS):
            problem(await ada.send("POST", "/tasks", content=drip(), headers=JSON), 408, "deadline_exceeded")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "é",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer é",
        "Bearer a b",
        "Bearer null",
        "Bearer \x00",
        "Bearer ..",
        "Bearer e30.e30.",
        "bearer\tx",
        "Basic YTpi",
        "Bearer " + "." * 1_000,
        "Bearer " + "x" * 15_000,
    ],
)
async def test_a_token_that_is_none_is_a_401(http: httpx.AsyncClient, authorization: str) -> None:
    response = await http.get(f"{API}/me", headers={b"Authorization": authorization.encode()})

    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_token_of_64_kib_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{API}/me", headers={"Authorization": "Bearer " + "x" * 65_536})).status_code in {401, 431}


async def test_two_authorization_headers_are_none(ada: Person) -> None:
    headers = [("Authorization", f"Bearer {ada.token}"), ("Authorization", f"Bearer {ada.token}")]

    assert (await ada.http.get(f"{API}/me", headers=headers)).status_code == 401


async def test_a_token_in_the_url_is_ignored(ada: Person) -> None:
    for name in ("access_token", "token", "authorization", "api_key", "key"):
        response = await ada.http.get(f"{API}/me", params={name: ada.token})
        assert response.status_code == 401
        assert ada.token not in response.text
        assert (await ada.get("/me", params={name: ada.token})).status_code == 400


async def test_a_token_in_a_cookie_is_ignored(ada: Person) -> None:
    for name in ("access_token", "__Host-refresh", "session"):
        assert (await ada.http.get(f"{API}/me", headers={"Cookie": f"{name}={ada.token}"})).status_code == 401


async def test_a_refresh_token_is_no_access_token(ada: Person) -> None:
    assert (await ada.http.get(f"{API}/me", headers={"Authorization": f"Bearer {ada.cookie}"})).status_code == 401


async def test_an_access_token_is_no_refresh_token(ada: Person) -> None:
    headers = {"Cookie": f"__Host-refresh={ada.token}", "X-Requested-With": "test"}

    assert (await ada.http.post(f"{API}/auth/refresh", headers=headers)).status_code == 401


async def test_signing_in_needs_no_valid_token_but_ignores_a_bad_one(ada: Person) -> None:
    body = {"email": ada.email, "password": PASSWORD}
    response = await ada.http.post(f"{API}/auth/login", json=body, headers={"Authorization": "Bearer nonsense"})

    assert response.status_code == 200
