"""HEAD answers what GET would, without the bytes: same status, same headers, and a length that counts them."""

import asyncio

import httpx
import pytest

from entrypoints.container import Container
from tests.http.house import house_in_memory, served
from tests.http.operations import OPERATIONS, a_world, request_for
from tests.support.clients import API, PATIENCE_SECONDS, Person, Wire, client, sign_up

READING = [operation for operation in OPERATIONS.values() if operation.method == "GET"]
OUTSIDE = ("/live", "/ready", "/health", "/api/docs", "/api/docs/start.js", "/api/openapi.json", "/nowhere")
# What names one transmission, and the server's chunks, of which an answer without a body has none.
OWN = {"x-request-id", "date", "transfer-encoding"}


def about(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in OWN}


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_every_route_that_can_be_read_answers_head_like_get_without_a_body(
    http: httpx.AsyncClient, encoding: str
) -> None:
    world = await a_world(http)
    headers = {"Accept-Encoding": encoding}
    for operation in READING:
        if operation.name == "stream_events":
            continue
        request = request_for(operation, world.ids)
        for name in ("owner", "viewer", "stranger"):
            person = world.people[name]
            got = await person.send(**request, headers=headers)
            head = await person.send(**request | {"method": "HEAD"}, headers=headers)
            assert (head.status_code, about(head), head.content) == (got.status_code, about(got), b""), operation.name
            assert int(head.headers["content-length"]) > 0


async def test_head_knows_versions_and_refuses_as_get_does(ada: Person) -> None:
    task = await ada.open_task()
    path = f"/tasks/{task['id']}"
    same = await ada.send("HEAD", path, headers={"If-None-Match": '"1"'})
    assert (same.status_code, same.headers["etag"], same.content) == (304, '"1"', b"")
    assert (await ada.send("HEAD", path)).headers["etag"] == '"1"'
    for bad, status in (("/tasks?nothing=x", 400), ("/nowhere", 404), ("/tasks/bulk", 405)):
        refused = await ada.send("HEAD", bad)
        assert (refused.status_code, refused.content) == (status, b"")
        assert refused.headers["content-type"] == "application/problem+json"
    assert (await ada.http.head(f"{API}/me")).status_code == 401
    assert "HEAD" not in (await ada.send("HEAD", "/tasks/bulk")).headers["allow"]


async def test_head_of_what_is_outside_the_version_is_answered_too(house: Container, http: httpx.AsyncClient) -> None:
    for path in OUTSIDE:
        got, head = await http.get(path), await http.head(path)
        assert (head.status_code, about(head), head.content) == (got.status_code, about(got), b""), path


async def test_head_of_the_event_stream_ends_at_once(grace: Person) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        for encoding in ("identity", "gzip"):
            head = await grace.send("HEAD", "/events/stream", headers={"Accept-Encoding": encoding})
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"].startswith("text/event-stream")
        assert (await grace.send("HEAD", "/events/stream?channel=nonsense")).status_code >= 400


async def test_on_one_connection_requests_follow_a_head_in_step() -> None:
    async with served(house_in_memory()) as url, client(url) as http:
        ada = await sign_up(http)
        wire = await Wire.open(int(url.rpartition(":")[2]))
        async with wire:
            token = ada.authorization["Authorization"]
            fields = f"HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
            heads = [f"HEAD {API}{path} {fields}\r\n" for path in ("/me", "/events/stream", "/me", "/nowhere")]
            await wire.send("".join([*heads, f"GET {API}/me {fields}Connection: close\r\n\r\n"]).encode())
            answers = (await wire.rest()).decode().split("HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == ["200", "200", "200", "404", "200"]
    *bodiless, last = [answer.partition("\r\n\r\n") for answer in answers]
    assert [body for _, _, body in bodiless] == [""] * 4
    assert f"content-length: {len(last[2].encode())}\r\n" in bodiless[0][0]
    assert "content-length" not in bodiless[1][0]


async def test_a_head_counts_as_a_request_and_changes_nothing(ada: Person) -> None:
    before = (await ada.get("/events")).json()
    for operation in OPERATIONS.values():
        path = operation.path.replace("{id}", ada.id)
        if operation.name != "stream_events" and "{" not in path:
            assert (await ada.send("HEAD", path)).status_code in {200, 404, 405}, operation.name
    assert (await ada.get("/events")).json() == before
