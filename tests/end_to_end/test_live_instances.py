"""Live connections on several instances: one order, rights and presence everywhere, and a stop that is told."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager

import pytest
from redis import Redis

from tests.support.clients import Listener, Person, client, done, listening, sign_up, until
from tests.support.exposition import Samples
from tests.support.promised import within
from tests.support.server import ServerProcess
from tests.support.services import RedisService

Servers = list[ServerProcess]


@contextmanager
def instances(database_url: str, logs: pytest.TempPathFactory) -> Iterator[tuple[Servers, RedisService]]:
    """Three servers on one database, and their Redis."""
    # The pools of all of them fit into the connections that the PostgreSQL of the tests has.
    limits = {"RATE_LIMIT_MAX_REQUESTS": "100000", "DRAIN_SECONDS": "3", "DATABASE_POOL_SIZE": "6"}
    folder, redis = logs.mktemp("three"), RedisService()
    servers = [ServerProcess(database_url, folder / f"{name}.log", redis.url, limits) for name in range(3)]
    with ExitStack() as ending, ThreadPoolExecutor() as threads:
        ending.callback(redis.stop)
        for server in servers:
            ending.callback(server.stop)
        list(threads.map(ServerProcess.start, servers))
        yield servers, redis


@pytest.fixture(scope="module")
def calm(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Servers, RedisService]]:
    with instances(new_database(), tmp_path_factory) as found:
        yield found


@pytest.fixture
def three(calm: tuple[Servers, RedisService]) -> Servers:
    """Three servers, of which any may be ended."""
    for server in calm[0]:
        if not server.is_running():
            server.start()
    return calm[0]


@pytest.fixture
def redis(calm: tuple[Servers, RedisService]) -> RedisService:
    """The Redis of `three`, which has to go on."""
    return calm[1]


@pytest.fixture(scope="module")
def troubled(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Servers, RedisService]]:
    """Three servers, and their Redis, which may be stopped, as it is of no use from the beginning on if it was."""
    with instances(new_database(), tmp_path_factory) as found:
        yield found


def at(person: Person, server: ServerProcess, stack: AsyncExitStack) -> Person:
    """The same person as a caller of another instance."""
    http = client(server.base_url)
    stack.push_async_callback(http.aclose)
    return Person(http, person.id, person.email, person.token, person.cookie)


async def offsets(live: Listener, last: int) -> list[int]:
    """The offsets that are heard up to the last one."""
    found = [(await live.event())["offset"]]
    while found[-1] < last:
        found.append((await live.event())["offset"])
    return found


async def test_whatever_becomes_of_redis_everybody_hears_everything_in_order(
    troubled: tuple[Servers, RedisService],
) -> None:
    three, redis = troubled
    async with AsyncExitStack() as stack:
        ada = await sign_up(await stack.enter_async_context(client(three[0].base_url)))
        authors = [at(ada, server, stack) for server in three]
        channel = f"workspace:{ada.id}"
        lives = [
            await stack.enter_async_context(listening(server.base_url, ada.token, channel))
            for server in three
            for _ in range(2)
        ]
        begun = (await ada.get("/events", params={"sort": "-offset", "limit": "1"})).json()["data"][0]["offset"]

        async def write(author: Person, count: int) -> None:
            for number in range(count):
                await author.open_task(str(number))

        async def trouble() -> None:
            for fault in (redis.pause, redis.resume, redis.empty, redis.kill, redis.start):
                await asyncio.to_thread(fault)
                await asyncio.gather(*(write(author, 8) for author in authors))

        await trouble()
        last = begun + 5 * 3 * 8
        async with asyncio.timeout(20):
            heard = await asyncio.gather(*(offsets(live, last) for live in lives))
    assert heard == [list(range(begun + 1, last + 1))] * len(lives)


async def test_without_redis_an_event_arrives_in_time_and_a_lost_right_is_felt(
    troubled: tuple[Servers, RedisService],
) -> None:
    three, redis = troubled
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(client(three[0].base_url))
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        team = await ada.create_team()
        await ada.admit(bob, team["id"])
        channel = f"workspace:{team['id']}"
        live = await stack.enter_async_context(listening(three[1].base_url, bob.token, channel, f"typing:{channel}"))
        other = await stack.enter_async_context(listening(three[2].base_url, bob.token, "me"))
        await asyncio.to_thread(redis.pause)

        with within(3):
            await ada.open_task(workspace_id=team["id"])
            await live.event("task.created")

        done(await ada.delete(f"/workspaces/{team['id']}/members/{bob.id}"))
        with within(2):
            assert {(await live.frame("unsubscribed"))["channel"] for _ in range(2)} == {channel, f"typing:{channel}"}

        done(await bob.post("/auth/logout-all"))
        with within(2):
            assert await other.closed() == 4004


async def test_what_others_put_into_redis_is_heard_by_nobody_and_keeps_no_true_event_away(
    three: Servers, redis: RedisService
) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(client(three[0].base_url))
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        team = await ada.create_team()
        await ada.admit(bob, team["id"])
        channel = f"workspace:{team['id']}"
        lives = [
            await stack.enter_async_context(listening(server.base_url, bob.token, channel, f"typing:{channel}"))
            for server in three[1:]
        ]
        head = done(await ada.get("/events", params={"channel": channel, "limit": "1"}))["data"][0]["offset"]
        body = json.dumps({"id": team["id"], "type": "task.created", "data": {"title": "forged"}})
        place = f'"stream":"{channel}","offset":{head + 1}'
        entry = f'{{{place},"type":"task.created","resource_id":"{bob.id}","body":{body}}}'
        signal = f'{{"channel":"typing:{channel}","key":"{ada.id}","version":0,"data":"forged"}}'
        with Redis.from_url(redis.url, protocol=2) as anybody:
            topics = [f"signalbox:hint:0:{topic}" for topic in (channel, f"typing:{channel}")]
            await until(lambda: all(heard >= len(lives) for _, heard in anybody.pubsub_numsub(*topics)))
            for origin in ("0" * 16, "0" * 32, "0" * 16 + "\0" * 16):
                for shape in ("{}", "[{}]"):
                    anybody.publish(f"signalbox:hint:0:{channel}", origin + "e" + shape.format(entry))
                    anybody.publish(f"signalbox:hint:0:typing:{channel}", origin + "s" + shape.format(signal))

        done(await ada.delete(f"/workspaces/{team['id']}/members/{bob.id}"))
        await ada.open_task("for members", workspace_id=team["id"])
        for live in lives:
            event = await live.event()
            assert (event["offset"], event["event"]["type"]) == (head + 1, "member.removed")
            assert {(await live.frame("unsubscribed"))["channel"] for _ in range(2)} == {channel, f"typing:{channel}"}
            assert not [frame for frame in live.inbox if frame["type"] == "value"]
        for server in three[1:]:
            samples = Samples((await http.get(f"{server.base_url}/metrics")).text)
            assert samples("signalbox_hints_refused_total", reason="forged") == 12  # in no other test there are any


async def test_who_is_on_a_killed_instance_is_gone_in_time_unless_they_come_back(three: Servers) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(client(three[0].base_url))
        ada, bob, eve = await sign_up(http, "Ada"), await sign_up(http, "Bob"), await sign_up(http, "Eve")
        team = await ada.create_team()
        for member in (bob, eve):
            await ada.admit(member, team["id"])
        channel = f"presence:workspace:{team['id']}"
        watching = await stack.enter_async_context(listening(three[0].base_url, ada.token))
        await watching.call("subscribe", channel=channel)
        for person in (bob, eve):
            live = await stack.enter_async_context(listening(three[1].base_url, person.token))
            await live.call("presence", channel=channel)
            assert (await watching.frame("presence"))["joined"] == [person.id]

        with within(15):
            three[1].kill()
            back = await stack.enter_async_context(listening(three[2].base_url, bob.token))
            await back.call("presence", channel=channel)
            said = await watching.socket.recv()
            while '"presence"' not in str(said):
                said = await watching.socket.recv()
        assert json.loads(said)["left"] == [{"account_id": eve.id, "why": "lost"}]  # and not Bob, who came back


async def test_a_stop_is_told_to_each_connection_before_it_comes(three: Servers) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(client(three[0].base_url))
        people = [await sign_up(http, f"P{number}") for number in range(3)]
        lives = [
            await stack.enter_async_context(listening(three[0].base_url, person.token, f"workspace:{person.id}"))
            for person in people
            for _ in range(8)
        ]
        stopping = asyncio.create_task(asyncio.to_thread(three[0].terminate))
        hints = [(await live.frame("going_away"))["retry_ms"] for live in lives]
        probed = await http.get("/ready")
        assert (probed.status_code, probed.headers["connection"]) == (503, "close")  # before it is cut
        assert (await people[0].open_task("while it stops"))["version"] == 1
        assert {await live.closed() for live in lives} == {4200}
        assert await stopping == 0
    assert len(set(hints)) > 12


async def test_of_all_instances_that_connection_gives_way_that_was_silent_for_the_longest(three: Servers) -> None:
    async with AsyncExitStack() as stack:
        ada = await sign_up(await stack.enter_async_context(client(three[0].base_url)))
        lives = [
            await stack.enter_async_context(listening(three[number % 3].base_url, ada.token)) for number in range(10)
        ]
        for number in (0, 1, 2, 3):
            done = await lives[number].call("subscribe", channel="me")
            assert "code" not in done
        ghosts = [lives[4], lives[5], lives[6]]
        new = [await stack.enter_async_context(listening(server.base_url, ada.token)) for server in three]
        assert [await ghost.closed() for ghost in ghosts] == [4105] * 3
        for live in (*lives[:4], *lives[7:], *new):
            assert "code" not in await live.call("unsubscribe", channel="me")
