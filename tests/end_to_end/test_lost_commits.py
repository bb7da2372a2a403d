"""A commit of which PostgreSQL does not say whether it happened: told as what it is, and settled by its key."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from uuid import uuid4

import asyncpg
import httpx
import pytest
import pytest_asyncio

from tests.support.clients import Json, Person, client, done, listening, sign_up, until
from tests.support.exposition import Samples
from tests.support.postgres_proxy import Commit, PostgresProxy
from tests.support.server import ServerProcess

DEADLINE_SECONDS = 2.0

FATES = pytest.mark.parametrize("fate", list(Commit), ids=lambda fate: fate.value)


@dataclass(frozen=True, slots=True)
class Site:
    """A server that reaches PostgreSQL through a proxy, and somebody who is signed in there."""

    server: ServerProcess
    proxy: PostgresProxy
    ada: Person

    async def unknown(self) -> int:
        """How many commits the server does not know the end of."""
        samples = Samples((await self.ada.http.get("/metrics")).text)
        return int(samples("signalbox_commit_unknown_total", outcome="lost"))

    async def is_held_up(self, observer: asyncpg.Connection, requests: int) -> bool:
        """Whether one of so many requests waits for a lock, and the others are there too."""
        samples = Samples((await self.ada.http.get("/metrics")).text)
        await observer.execute("SELECT pg_stat_clear_snapshot()")
        held_up = await observer.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return samples("http_server_active_requests") > requests and held_up == 1

    async def titles(self) -> list[str]:
        return [task["title"] for task in done(await self.ada.get("/tasks", params={"sort": "created_at"}))["data"]]


@pytest.fixture(scope="module")
def own_database(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture(scope="module")
def proxy(own_database: str) -> Iterator[PostgresProxy]:
    with PostgresProxy(own_database) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(proxy: PostgresProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    environment = {"RATE_LIMIT_ENABLED": "false", "REQUEST_DEADLINE_SECONDS": str(DEADLINE_SECONDS)}
    server = ServerProcess(proxy.url, tmp_path_factory.mktemp("proxied") / "server.log", None, environment)
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture
async def site(server: ServerProcess, proxy: PostgresProxy) -> AsyncIterator[Site]:
    proxy.heal()
    async with client(server.base_url) as http:
        yield Site(server, proxy, await sign_up(http))


def assert_unknown(answer: httpx.Response) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "outcome_unknown")
    assert int(answer.headers["retry-after"]) >= 1
    assert "same Idempotency-Key" in problem["detail"]


async def answered(site: Site, path: str, body: Json, headers: dict[str, str]) -> httpx.Response:
    """The answer, once a first attempt that goes on in PostgreSQL has come to its end."""
    answers: list[httpx.Response] = []

    async def is_settled() -> bool:
        answers.append(await site.ada.post(path, body, headers=headers))
        return answers[-1].status_code != 409

    await until(is_settled)
    return answers[-1]


@FATES
async def test_the_same_key_gets_the_true_answer_and_one_effect(site: Site, fate: Commit) -> None:
    before, headers = await site.unknown(), {"Idempotency-Key": uuid4().hex}
    site.proxy.fail_commits(fate)
    assert_unknown(await site.ada.post("/tasks", {"title": "once"}, headers=headers))
    assert await site.unknown() == before + 1

    told = await answered(site, "/tasks", {"title": "once"}, headers)
    assert told.status_code == 201
    assert ("idempotency-replayed" in told.headers) == (fate is not Commit.UNSENT)
    (task,) = done(await site.ada.get("/tasks"))["data"]
    assert task == told.json()
    events = [event for event in await site.ada.events(f"workspace:{site.ada.id}") if event["type"] == "task.created"]
    assert [event["resource"]["id"] for event in events] == [task["id"]]


@FATES
async def test_without_a_key_it_is_told_and_never_done_again(site: Site, fate: Commit) -> None:
    before = await site.unknown()
    site.proxy.fail_commits(fate)
    assert_unknown(await site.ada.post("/tasks", {"title": "perhaps"}))
    assert await site.unknown() == before + 1
    assert await site.titles() == ([] if fate is Commit.UNSENT else ["perhaps"])
    done(await site.ada.post("/tasks", {"title": "next"}))


@FATES
async def test_of_a_bulk_it_is_told_too(site: Site, fate: Commit) -> None:
    titles = [f"{n:02}" for n in range(20)]
    body = {"operations": [{"op": "create", "task": {"title": title}} for title in titles]}
    site.proxy.fail_commits(fate)
    assert_unknown(await site.ada.post("/tasks/bulk", body))
    assert sorted(await site.titles()) == ([] if fate is Commit.UNSENT else titles)


async def test_whoever_shared_a_commit_is_told_and_nobody_else(site: Site, own_database: str) -> None:
    before, titles = await site.unknown(), [f"{n:02}" for n in range(12)]
    somebody = await asyncpg.connect(own_database)
    async with somebody.transaction():
        await somebody.execute("SELECT FROM streams WHERE name = $1 FOR UPDATE", f"workspace:{site.ada.id}")
        site.proxy.fail_commits(Commit.LOST, times=2)
        creating = asyncio.gather(*(site.ada.post("/tasks", {"title": title}) for title in titles))
        await until(lambda: site.is_held_up(somebody, len(titles)))
    await somebody.close()
    answers = await creating
    site.proxy.heal()
    lost = [answer for answer in answers if answer.status_code != 201]
    assert len(lost) > 2  # one for itself, and some together
    for answer in lost:
        assert_unknown(answer)
    assert await site.unknown() == before + 2
    assert sorted(await site.titles()) == titles


@FATES
async def test_over_a_live_connection_the_key_settles_it_as_well(site: Site, fate: Commit) -> None:
    call: Json = {"method": "task.create", "params": {"title": "live"}, "key": uuid4().hex}
    async with listening(site.server.base_url, site.ada.token) as live:
        site.proxy.fail_commits(fate)
        told = await live.call("call", **call)
        assert (told["type"], told["code"], told["retry"]) == ("error", "outcome_unknown", "later")
        again = await live.call("call", **call)
    assert await site.titles() == ["live"]
    assert again["data"]["title"] == "live"


async def test_what_a_live_connection_asked_for_is_done_though_it_goes_away(site: Site) -> None:
    before = await site.unknown()
    async with listening(site.server.base_url, site.ada.token) as live:
        site.proxy.delay(0.04)
        await live.send({"type": "call", "id": 9, "method": "task.create", "params": {"title": "left"}})
        live.socket.transport.abort()
    site.proxy.heal()
    await until(lambda: has(site, ["left"]))
    assert await site.unknown() == before


async def has(site: Site, titles: list[str]) -> bool:
    return await site.titles() == titles


async def test_subscribers_hear_of_a_change_whose_caller_was_not_told(site: Site) -> None:
    async with listening(site.server.base_url, site.ada.token, f"workspace:{site.ada.id}") as live:
        site.proxy.fail_commits(Commit.LOST)
        assert_unknown(await site.ada.post("/tasks", {"title": "unheard"}))
        done(await site.ada.post("/tasks", {"title": "heard"}))
        offsets = [(await live.event())["offset"] for _ in range(2)]
    assert all(later == earlier + 1 for earlier, later in pairwise(offsets))
