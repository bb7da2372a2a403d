"""Whole stories on real processes: what was acknowledged stays, and every change reaches everybody in order."""

import asyncio
import os
import signal
from collections.abc import Callable

import httpx
import pytest

from tests.end_to_end.conftest import Pair
from tests.support.clients import API, Json, Person, Wire, client, done, following, listening, log_in, sign_up, until
from tests.support.promised import within
from tests.support.server import ServerProcess
from tests.support.services import listens

NO_LIMITS = {"RATE_LIMIT_ENABLED": "false"}


def elsewhere(person: Person, http: httpx.AsyncClient) -> Person:
    """The same person at another server."""
    return Person(http, person.id, person.email, person.token, person.cookie)


async def test_a_team_works_the_server_is_killed_and_nothing_that_was_acknowledged_is_lost(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(**NO_LIMITS)
    async with client(server.base_url) as http:
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        team = (await ada.create_team())["id"]
        await ada.admit(bob, team)
        first = await ada.open_task("Write the rollout plan", workspace_id=team, assignee_ids=[bob.id])
        done(await bob.post(f"/tasks/{first['id']}/comments", {"text": "On it."}))
        acknowledged: dict[str, Json] = {}

        async def work(person: Person) -> None:
            n = 0
            while True:
                n += 1
                try:
                    task = await person.open_task(f"{person.email} {n}", workspace_id=team)
                    acknowledged[task["id"]] = task
                    task = done(await person.patch(f"/tasks/{task['id']}", {"status": "done"}))
                    acknowledged[task["id"]] = task
                except httpx.TransportError:
                    return

        working = [asyncio.create_task(work(person)) for person in (ada, bob) * 4]
        await until(lambda: len(acknowledged) > 60)
        server.kill()
        await asyncio.gather(*working)
        server.restart()

        for id, task in acknowledged.items():
            found = done(await ada.get(f"/tasks/{id}"))
            assert found["version"] >= task["version"]
            assert found == task or found["version"] > task["version"]
        events = await bob.events(f"workspace:{team}")
        assert [event["offset"] for event in events] == list(range(1, len(events) + 1))
        told = {(event["resource"]["id"], event["resource"]["version"]) for event in events}
        assert {(id, version) for id, task in acknowledged.items() for version in range(1, task["version"] + 1)} <= told
        assert done(await bob.get(f"/tasks/{first['id']}/comments"))["data"][0]["text"] == "On it."


async def test_a_listener_who_lost_the_server_resumes_where_it_was(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(**NO_LIMITS)
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        channel = f"workspace:{ada.id}"
        async with listening(server.base_url) as live, following(ada) as stream:
            epoch = (await live.connect(ada.token, channel))["epoch"]
            await ada.open_task("before")
            last = (await live.event())["offset"]
            event = await stream.next()
            assert event is not None
            assert int(event["id"]) == last
            server.kill()
        server.restart()
        await ada.open_task("missed")
        async with listening(server.base_url) as live, following(ada, since=last) as stream:
            data = await live.connect(ada.token, channel, resume={channel: last}, epoch=epoch)
            assert data["channels"][channel]["recovered"] is True
            await ada.open_task("live")
            assert [(await live.event())["offset"] for _ in range(2)] == [last + 1, last + 2]
            events = [await stream.next() for _ in range(2)]
            assert [event and event["data"]["data"]["title"] for event in events] == ["missed", "live"]


async def test_a_change_through_one_server_reaches_the_sockets_of_the_other(redis_pair: Pair) -> None:
    one, other = redis_pair
    async with client(one.base_url) as here, client(other.base_url) as there:
        ada, bob = await sign_up(here, "Ada"), await sign_up(there, "Bob")
        team = (await ada.create_team())["id"]
        await ada.admit(elsewhere(bob, here), team)
        channel = f"workspace:{team}"
        async with (
            listening(other.base_url, bob.token, channel, "me") as live,
            listening(one.base_url, ada.token, channel) as hers,
            following(bob, channel) as stream,
        ):
            writers = (ada, elsewhere(bob, here), elsewhere(ada, there), bob)
            made = await asyncio.gather(*(person.open_task(workspace_id=team) for person in writers * 10))
            frames = [await live.event("task.created") for _ in made]
            assert [frame["offset"] for frame in frames] == list(range(4, 44))
            assert [await hers.event("task.created") for _ in made] == frames
            assert [int((await stream.next() or {})["id"]) for _ in made] == list(range(4, 44))
            assert {frame["event"]["resource"]["id"] for frame in frames} == {task["id"] for task in made}

            with within(1):
                done(await ada.delete(f"/workspaces/{team}/members/{bob.id}"))
                assert (await live.frame("unsubscribed"))["channel"] == channel


@pytest.mark.parametrize("servers", ["redis_pair", "plain_pair"])
async def test_a_logout_is_felt_within_a_second_on_the_other_server(
    request: pytest.FixtureRequest, servers: str
) -> None:
    one, other = request.getfixturevalue(servers)
    async with client(one.base_url) as here, client(other.base_url) as there:
        ada = await sign_up(here)
        second = await log_in(there, ada.email)
        async with listening(other.base_url, ada.token, "me") as live, following(second) as stream:
            assert (await elsewhere(ada, there).get("/me")).status_code == 200
            with within(1):
                done(await ada.post("/auth/logout-all"))
                await until(lambda: is_out(elsewhere(ada, there)))
                await until(lambda: is_out(second))
                assert await live.closed() == 4004
                assert await stream.next() is None


async def is_out(person: Person) -> bool:
    return (await person.get("/me")).status_code == 401


async def test_servers_that_share_a_redis_share_their_limits(redis_pair: Pair) -> None:
    one, other = redis_pair
    async with client(one.base_url) as here, client(other.base_url) as there:
        ada = await sign_up(here)
        answers = await asyncio.gather(*(who.get("/me") for who in (ada, elsewhere(ada, there)) * 150))

    assert sorted(answer.status_code for answer in answers) == [200] * 100 + [429] * 200
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 429)


async def test_a_server_that_is_asked_to_stop_finishes_what_it_does(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(**NO_LIMITS)
    async with (
        client(server.base_url) as http,
        await Wire.open(server.port) as wire,
        await Wire.open(server.port) as idle,
    ):
        ada = await sign_up(http)
        body = b'{"title": "half way"}'
        head = f"POST {API}/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada.token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        await wire.send(head.encode() + body[:10])
        await idle.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await idle.answer())[0] == 200
        async with listening(server.base_url, ada.token, "me"):
            with within(10):
                os.kill(server.pid, signal.SIGTERM)
                await until(lambda: not listens(server.port))
                await asyncio.sleep(0.3)  # in which a server in a hurry would cut the request off
                await wire.send(body[10:])
                status, _, answer = await wire.answer()
                assert await asyncio.to_thread(server.terminate) == 0

    assert status == 201, answer
    assert await idle.rest() == b""
    assert "Traceback" not in server.log()
