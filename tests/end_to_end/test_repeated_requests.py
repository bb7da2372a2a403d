"""Repeated requests against a real server on PostgreSQL: one effect, whatever happens in between."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import httpx

from tests.end_to_end.conftest import Pair
from tests.support.clients import Person, client, done, sign_up
from tests.support.server import ServerProcess


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def effect(answer: httpx.Response) -> tuple[int, bytes, str | None]:
    return answer.status_code, answer.content, answer.headers.get("etag")


async def test_of_fifty_equal_requests_at_once_one_has_an_effect(http: httpx.AsyncClient) -> None:
    ada, headers = await sign_up(http), key()
    answers = await asyncio.gather(*(ada.post("/tasks", {"title": "once"}, headers=headers) for _ in range(50)))

    assert len({effect(answer) for answer in answers}) == 1
    assert answers[0].status_code == 201
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(done(await ada.get("/tasks"))["data"]) == 1
    assert [event["type"] for event in await ada.events(f"workspace:{ada.id}")] == ["workspace.created", "task.created"]


async def test_of_fifty_equal_requests_to_two_servers_one_has_an_effect(plain_pair: Pair) -> None:
    one, other = plain_pair
    async with client(one.base_url) as here, client(other.base_url) as there:
        ada = await sign_up(here)
        twin = Person(there, ada.id, ada.email, ada.token, ada.cookie)
        for n in range(1, 11):
            headers = key()
            answers = await asyncio.gather(
                *(who.post("/tasks", {"title": "once"}, headers=headers) for who in (ada, twin) * 25)
            )

            # A twin at the other server may be told to come back, if the first takes its time.
            assert {answer.status_code for answer in answers} <= {201, 409}
            made = [answer for answer in answers if answer.status_code == 201]
            assert len({effect(answer) for answer in made}) == 1
            assert sum("idempotency-replayed" not in answer.headers for answer in made) == 1
            assert len(done(await ada.get("/tasks"))["data"]) == n


async def test_other_requests_under_a_key_are_refused_and_harmless_at_once_too(http: httpx.AsyncClient) -> None:
    ada, headers = await sign_up(http), key()
    answers = await asyncio.gather(*(ada.post("/tasks", {"title": f"{n % 5}"}, headers=headers) for n in range(25)))

    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [422] * 20
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {"idempotency_key_reused"}
    assert len(done(await ada.get("/tasks"))["data"]) == 1


async def test_a_refused_request_is_not_remembered(http: httpx.AsyncClient) -> None:
    ada, headers = await sign_up(http), key()
    task = await ada.open_task()
    path = f"/tasks/{task['id']}"
    refused = await ada.patch(path, {"title": "x"}, headers=headers | {"If-Match": '"9"'})
    accepted = await ada.patch(path, {"title": "x"}, headers=headers)

    assert (refused.status_code, accepted.status_code) == (412, 200)
    assert "idempotency-replayed" not in accepted.headers


async def test_an_atomic_bulk_that_fails_half_way_leaves_nothing_and_may_be_tried_again(
    http: httpx.AsyncClient,
) -> None:
    ada, headers = await sign_up(http), key()
    created = [{"op": "create", "task": {"title": str(n)}} for n in range(50)]
    missing = {"op": "delete", "id": str(uuid4())}
    refused = await ada.post("/tasks/bulk", {"operations": [*created, missing]}, headers=headers)
    assert refused.status_code == 404
    assert done(await ada.get("/tasks"))["data"] == []
    for _ in range(2):
        done(await ada.post("/tasks/bulk", {"operations": created}, headers=headers))

    assert len(done(await ada.get("/tasks"))["data"]) == 50


async def test_an_answer_outlives_the_process_that_gave_it(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    bulk = {"operations": [{"op": "create", "task": {"title": "once"}}]}
    requests: list[tuple[str, object, dict[str, str]]] = [
        ("/tasks", {"title": "once"}, key()),
        ("/tasks/bulk", bulk, key()),
    ]
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        first = [await ada.post(path, body, headers=headers) for path, body, headers in requests]
        server.kill()
        await asyncio.to_thread(server.restart)
        again = [await ada.post(path, body, headers=headers) for path, body, headers in requests]

        assert [effect(answer) for answer in again] == [effect(answer) for answer in first]
        assert [answer.headers["idempotency-replayed"] for answer in again] == ["true"] * 2
        assert len(done(await ada.get("/tasks"))["data"]) == 2


async def test_whoever_repeats_until_an_answer_comes_gets_one_effect_through_kills(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(RATE_LIMIT_ENABLED="false")
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        keys = [key() for _ in range(40)]

        async def insist(n: int) -> str:
            while True:
                try:
                    answer = await ada.post("/tasks", {"title": str(n)}, headers=keys[n])
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
                    continue
                if answer.status_code == 201:
                    return str(answer.json()["id"])
                assert answer.status_code in {409, 503}, answer.text
                await asyncio.sleep(0.02)

        async def insist_on_all() -> list[str]:
            return [await insist(n) for n in range(40)]

        working = [asyncio.create_task(insist_on_all()) for _ in range(3)]
        for _ in range(2):
            await asyncio.wait(working, timeout=0.1)
            server.kill()
            await asyncio.to_thread(server.restart)
        results = await asyncio.gather(*working)

        assert results[0] == results[1] == results[2]
        kept = done(await ada.get("/tasks?limit=200"))["data"]
        assert sorted(task["title"] for task in kept) == sorted(map(str, range(40)))
        events = await ada.events(f"workspace:{ada.id}")
        assert [event["offset"] for event in events] == list(range(1, 42))
