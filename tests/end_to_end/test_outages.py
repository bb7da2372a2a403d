"""What a server does while PostgreSQL or Redis is away, and how it comes back by itself."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from adapters.embedded import EmbeddedPostgres
from adapters.postgres import migrations
from tests.support.clients import Person, client, done, following, listening, sign_up, until
from tests.support.exposition import Samples
from tests.support.postgres_proxy import PostgresProxy
from tests.support.promised import within
from tests.support.server import ServerProcess
from tests.support.services import RedisService

NO_LIMITS = {"RATE_LIMIT_ENABLED": "false"}


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that may be stopped."""
    with tempfile.TemporaryDirectory(prefix="signalbox-tests-") as folder:
        Path(folder).chmod(0o711)
        postgres = EmbeddedPostgres(Path(folder), durable=False)
        migrations.upgrade(postgres.start())
        yield postgres
        postgres.stop()


async def test_without_postgresql_every_request_is_refused_soon_and_the_server_recovers_by_itself(
    start_server: Callable[..., ServerProcess], postgres: EmbeddedPostgres
) -> None:
    server = start_server(postgres.url, **NO_LIMITS)
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        task = await ada.open_task("before")
        channel = f"workspace:{ada.id}"
        async with listening(server.base_url, ada.token, channel) as live, following(ada) as stream:
            await asyncio.to_thread(postgres.stop)
            requests: list[tuple[str, str, object]] = [
                ("GET", f"/tasks/{task['id']}", None),
                ("GET", "/tasks", None),
                ("GET", "/me", None),
                ("GET", "/events/stream", None),
                ("POST", "/tasks", {"title": "during"}),
                ("PATCH", f"/tasks/{task['id']}", {"title": "during"}),
                ("POST", "/auth/login", {"email": ada.email, "password": "correct horse battery"}),
            ]
            for headers in ({}, {"Idempotency-Key": "during"}):
                for method, path, body in requests:
                    with within(3):
                        answer = await ada.send(method, path, json=body, headers=headers)
                    assert answer.status_code == 503, path
                    assert answer.json()["code"] == "dependency_unavailable"
                    assert int(answer.headers["retry-after"]) >= 1
            assert (await http.get("/live")).status_code == 200
            await until(lambda: says(http, "/ready", 503))
            health = await http.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
            checks = health.json()["checks"]
            assert {name for name in checks if checks[name]["status"] == "unhealthy"} == {"database", "migrations"}
            for secret in ("postgresql://", "/tmp", "Traceback", "asyncpg"):
                assert secret not in health.text

            await asyncio.to_thread(postgres.start)
            await until(lambda: is_open(ada))
            await until(lambda: says(http, "/ready", 200))
            assert done(await ada.get("/tasks"))["data"] == [task]
            after = await ada.open_task("after")
            assert (await live.event("task.created"))["event"]["resource"]["id"] == after["id"]
            event = await stream.next()
            assert event is not None
            assert event["data"]["resource"]["id"] == after["id"]


async def test_whoever_finds_every_connection_in_use_is_refused_soon_and_the_others_are_served(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str]
) -> None:
    url = new_database()
    # The long list is not ended while the others wait.
    pool = {"DATABASE_POOL_SIZE": "2", "DATABASE_POOL_WAIT_SECONDS": "0.3", "LONG_LIST_SECONDS": "5"}
    server = start_server(url, **NO_LIMITS, **pool)
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        blocker = await asyncpg.connect(url)
        try:
            async with blocker.transaction():
                await blocker.execute("LOCK tasks")
                # Two lists that share nothing, only one of which is long.
                holding = [
                    asyncio.create_task(ada.get("/tasks", params=p)) for p in ({"q": "plan"}, {"sort": "due_at"})
                ]
                await until(lambda: waits(blocker, 2))
                with within(3):
                    answers = await asyncio.gather(*(ada.get("/me") for _ in range(20)))
                assert {answer.status_code for answer in answers} == {503}
                assert {answer.json()["code"] for answer in answers} == {"dependency_unavailable"}
        finally:
            await blocker.close()
        assert {answer.status_code for answer in await asyncio.gather(*holding)} == {200}
        answers = [await ada.get("/me") for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200}


async def waits(connection: asyncpg.Connection, many: int) -> bool:
    """Whether so many in its database wait for a lock."""
    found = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(found == many)


async def says(http: httpx.AsyncClient, path: str, status: int) -> bool:
    return (await http.get(path)).status_code == status


async def is_open(person: Person) -> bool:
    return (await person.get("/me")).status_code == 200


_END_ALL = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'signalbox' AND pid <> pg_backend_pid()
"""


async def test_an_idle_pool_whose_connections_were_all_ended_serves_the_next_request(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str]
) -> None:
    with PostgresProxy(new_database()) as proxy:
        server = start_server(proxy.url, **NO_LIMITS, DATABASE_POOL_SIZE="8")
        admin = await asyncpg.connect(proxy.direct_url)
        try:
            async with client(server.base_url) as http:
                ada = await sign_up(http)
                async with listening(server.base_url, ada.token) as live:
                    for number in range(3):
                        await asyncio.gather(*(ada.get("/tasks") for _ in range(16)))
                        proxy.hush()  # or the server may hear of it before the next request does
                        assert len(await admin.fetch(_END_ALL)) > 1
                        answers = await asyncio.gather(
                            *(ada.get("/tasks") for _ in range(8)),
                            ada.post("/tasks", {"title": "keyed"}, headers={"Idempotency-Key": uuid4().hex}),
                            ada.post("/tasks", {"title": "plain"}),
                            ada.patch("/me", {"display_name": f"Ada {number}"}),
                        )
                        assert {answer.status_code for answer in answers} == {200, 201}
                        call = {"method": "task.create", "params": {"title": "live"}, "key": uuid4().hex}
                        assert (await live.call("call", **call))["type"] == "reply"
        finally:
            await admin.close()


async def test_a_process_that_is_cut_off_from_postgresql_delivers_nothing_until_it_is_not(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str], redis_url: str
) -> None:
    """Others go on meanwhile, and what they do comes to it over Redis."""
    with PostgresProxy(new_database()) as proxy:
        whole = start_server(proxy.direct_url, redis_url=redis_url, **NO_LIMITS)
        cut_off = start_server(proxy.url, redis_url=redis_url, **NO_LIMITS)
        async with client(whole.base_url) as http, client(cut_off.base_url) as elsewhere:
            ada, bob, eve = [await sign_up(http, name) for name in ("Ada", "Bob", "Eve")]
            team = (await ada.create_team())["id"]
            for member in (bob, eve):
                await ada.admit(member, team)
            channel = f"workspace:{team}"
            async with (
                listening(cut_off.base_url, ada.token, channel) as stays,
                listening(cut_off.base_url, bob.token, channel) as signs_out,
                listening(cut_off.base_url, eve.token, channel) as is_removed,
                following(Person(elsewhere, ada.id, ada.email, ada.token, ada.cookie), channel) as stream,
            ):
                first = await ada.open_task("before", workspace_id=team)
                for live in (stays, signs_out, is_removed):
                    assert (await live.event("task.created"))["event"]["resource"]["id"] == first["id"]
                assert await stream.next()
                proxy.refuse()
                proxy.cut()
                await until(lambda: is_held_back(elsewhere))
                done(await bob.post("/auth/logout-all"))
                titles = [f"after {number}" for number in range(3)]
                for title in titles:
                    await ada.open_task(title, workspace_id=team)
                done(await ada.delete(f"/workspaces/{team}/members/{eve.id}"))
                await ada.open_task("for members", workspace_id=team)
                for live in (stays, signs_out, is_removed):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.5):
                            await live.event()

                proxy.heal()
                assert await signs_out.closed() == 4004
                assert not [frame for frame in signs_out.inbox if frame["type"] == "event"]
                heard = [(await stays.event())["event"] for _ in range(5)]
                assert [event["type"] for event in heard] == [*["task.created"] * 3, "member.removed", "task.created"]
                assert [event["data"]["title"] for event in heard[:3]] == titles
                assert [(await is_removed.event())["event"]["type"] for _ in range(4)][-1] == "member.removed"
                assert (await is_removed.frame("unsubscribed"))["channel"] == channel
                assert not [frame for frame in is_removed.inbox if frame["type"] == "event"]
                assert [(await stream.next() or {})["event"] for _ in range(5)] == [event["type"] for event in heard]


async def is_held_back(http: httpx.AsyncClient) -> bool:
    return Samples((await http.get("/metrics")).text)("signalbox_ws_held_back") == 1


async def test_a_server_that_starts_before_postgresql_begins_to_work_when_that_is_there(
    start_server: Callable[..., ServerProcess], postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = postgres.url
    postgres.stop()
    server = ServerProcess(url, tmp_path / "early.log", None, NO_LIMITS).launch()
    try:
        async with client(server.base_url) as http:
            await until(lambda: is_alive(http))
            assert (await http.get("/ready")).status_code == 503
            assert (await http.get("/health")).status_code == 503
            assert server.is_running()
            assert await asyncio.to_thread(postgres.start) == url
            await until(server.is_ready)
            await sign_up(http)
    finally:
        server.stop()


async def is_alive(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/live")).status_code == 200
    except httpx.TransportError:
        return False


async def test_without_redis_everything_works_and_live_delivery_goes_on(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str]
) -> None:
    redis = RedisService()
    try:
        database = new_database()
        start = partial(start_server, database, redis.url, **NO_LIMITS)
        one, other = await asyncio.gather(asyncio.to_thread(start), asyncio.to_thread(start))
        async with client(one.base_url) as http:
            ada = await sign_up(http)
            channel = f"workspace:{ada.id}"
            async with listening(other.base_url, ada.token, channel) as live:
                await ada.open_task("before")
                assert (await live.event())["offset"] == 2
                redis.kill()
                with within(3):
                    for n in range(10):
                        await ada.open_task(f"during {n}")
                assert [(await live.event())["offset"] for _ in range(10)] == list(range(3, 13))
                assert (await http.get("/ready")).status_code == 200
                health = done(await http.get("/health"))
                assert health["status"] == "degraded"
                assert health["checks"]["redis"]["detail"] == "Redis does not answer."
                redis.start()
                await ada.open_task("after")
                assert (await live.event())["offset"] == 13
                await until(lambda: is_healthy(http))
    finally:
        redis.stop()


async def is_healthy(http: httpx.AsyncClient) -> bool:
    return bool(done(await http.get("/health"))["status"] == "healthy")


async def test_without_redis_the_limits_hold_in_each_process(start_server: Callable[..., ServerProcess]) -> None:
    redis = RedisService()
    try:
        server = start_server(None, redis.url, RATE_LIMIT_MAX_REQUESTS="10", RATE_LIMIT_WINDOW_MS="3600000")
        async with client(server.base_url) as http:
            ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
            for person, leave in ((ada, redis.pause), (bob, redis.kill)):
                leave()
                with within(3):
                    answers = await asyncio.gather(*(person.get("/me") for _ in range(50)))
                assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 40
    finally:
        redis.stop()
