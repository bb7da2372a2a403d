"""Rooms on several processes: whatever ends, is emptied or happens at once, people stay together."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count

import asyncpg
import httpx
import pytest
import pytest_asyncio

from tests.end_to_end.test_administration import run
from tests.support.clients import API, Json, Listener, Person, client, done, listening, sign_up, until
from tests.support.promised import stretched, within
from tests.support.server import ServerProcess
from tests.support.services import RedisService

Servers = list[ServerProcess]
FILM = {"url": "https://videos.example.org/film.mp4", "title": "The film", "duration_ms": 5_400_000}
NOBODY_IS_AWAITED = {"policies": {"wait": "none"}}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisService]:
    """A Redis that may be emptied and stopped."""
    service = RedisService()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def servers(
    new_database: Callable[[], str], redis: RedisService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """Three processes; a test may kill them."""
    folder, database_url = tmp_path_factory.mktemp("rooms"), new_database()
    limits = {"RATE_LIMIT_ENABLED": "false"}
    servers = [ServerProcess(database_url, folder / f"{number}.log", redis.url, limits) for number in range(3)]
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def three(servers: Servers) -> Servers:
    """Three processes that run."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(ServerProcess.start, [server for server in servers if not server.is_running()]))
    return servers


class Doors:
    """People, and their connections to one process or another."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack

    async def people(self, server: ServerProcess, *names: str) -> list[Person]:
        http = await self.stack.enter_async_context(client(server.base_url))
        return [await sign_up(http, name) for name in names]

    async def at(self, server: ServerProcess, person: Person) -> Person:
        """The same person as a caller of another process."""
        http = await self.stack.enter_async_context(client(server.base_url))
        return Person(http, person.id, person.email, person.token, person.cookie)

    async def sit(self, server: ServerProcess, person: Person, room: Json, since: int | None = None) -> Listener:
        """A connection of somebody who follows all of a room and is there."""
        live = await self.stack.enter_async_context(listening(server.base_url, person.token, close_timeout=1))
        channel = f"room:{room['id']}"
        behind = {} if since is None else {"since": since}
        assert (await live.call("subscribe", channel=channel, **behind))["type"] == "reply"
        for name in ("status", "reactions"):
            assert (await live.call("subscribe", channel=f"{name}:{channel}"))["type"] == "reply"

        async def is_there() -> bool:
            answer = await live.call("presence", channel=f"presence:{channel}")
            assert answer["type"] == "reply" or answer["code"] == "dependency_unavailable", answer
            return bool(answer["type"] == "reply")

        await until(is_there)  # a process may not know yet that Redis is back
        return live


@pytest_asyncio.fixture
async def doors() -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        yield Doors(stack)


async def a_room(host: Person, *others: Person, **fields: object) -> Json:
    """A room that these people are in."""
    room: Json = done(await host.post("/rooms", {"name": "Film night", "visibility": "link", **fields}))
    for other in others:
        done(await other.post(f"/rooms/{room['id']}/join", {}))
    return room


async def load(host: Person, room: Json, **fields: object) -> Json:
    """Put the film on; the state after that."""
    item = done(await host.post(f"/rooms/{room['id']}/queue", FILM))
    command = {"action": "load", "item_id": item["id"], **fields}
    state: Json = done(await host.post(f"/rooms/{room['id']}/control", command))
    return state


async def snapshot(person: Person, room: Json) -> Json:
    shown: Json = done(await person.get(f"/rooms/{room['id']}/state"))
    return shown


async def all_here(person: Person, room: Json) -> Json:
    """The room, once everybody in it is connected as far as it knows."""
    shown: Json = {}

    async def are_here() -> bool:
        nonlocal shown
        shown = (await snapshot(person, room))["room"]
        return all(each["slot_until"] is None for each in shown["participants"])

    await until(are_here)
    return shown


async def told(person: Person, room: Json, *types: str) -> list[Json]:
    """What happened in a room of these types, from the beginning."""
    found: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page = done(await person.get(f"/rooms/{room['id']}/history", params={"limit": "200", **cursor}))
        found += page["data"]
        if page["next_cursor"] is None:
            return [event for event in reversed(found) if not types or event["type"] in types]
        cursor = {"cursor": page["next_cursor"]}


async def command(live: Listener, room: Json, method: str, **params: object) -> Json:
    return await live.call("call", method=f"room.{method}", params={"id": room["id"], **params})


def named(type: str, **data: object) -> Callable[[Json], bool]:
    """Whether a frame is an event of this type, with these data."""

    def matches(frame: Json) -> bool:
        if frame["type"] != "event" or frame["event"]["type"] != type:
            return False
        return bool(data.items() <= frame["event"]["data"].items())

    return matches


def loses_connection(event: Json) -> bool:
    """Whether the event says that a participant's place is only kept from now on."""
    return event.get("type") == "participant.changed" and bool(event["changes"].get("slot_until", [None, None])[1])


async def test_of_forty_who_join_at_once_on_three_processes_ten_come_in(three: Servers, doors: Doors) -> None:
    ada, *members = await doors.people(three[0], "Ada", *(f"Member{number}" for number in range(8)))
    room = await a_room(ada, allow_guests=True)
    done(await ada.post(f"/rooms/{room['id']}/leave"))
    https = [await doors.stack.enter_async_context(client(server.base_url)) for server in three]

    async def join(number: int) -> httpx.Response:
        # Eight come with two devices each, on different processes, and are one participant each.
        body, headers = {"join_code": room["join_code"]}, {}
        if number < 16:
            headers = members[number % 8].authorization
        else:
            body["display_name"] = f"Guest {number}"
        return await https[number % 3].post(f"{API}/rooms/join", json=body, headers=headers)

    answers = await asyncio.gather(*(join(number) for number in range(48)))
    assert {(each.status_code, each.json().get("code")) for each in answers} == {(200, None), (409, "room_full")}
    inside = [each.json() for each in answers if each.is_success]
    people = {each["participant"]["id"]: each for each in inside}
    assert len(people) == 10
    someone = next(iter(people.values()))
    token = someone["guest"] and someone["guest"]["access_token"]
    headers = (
        {"Authorization": f"Bearer {token}"}
        if token
        else next(each.authorization for each in members if each.id == someone["participant"]["account_id"])
    )
    shown = (await https[0].get(f"{API}/rooms/{room['id']}", headers=headers)).json()
    assert {each["id"] for each in shown["participants"]} == set(people)
    assert [each["role"] for each in shown["participants"]].count("host") == 1
    history = (await https[1].get(f"{API}/rooms/{room['id']}/history?limit=200", headers=headers)).json()["data"]
    assert Counter(event["type"] for event in history)["participant.joined"] == 10
    store = await asyncpg.connect(three[0].database_url)
    try:  # nobody who stayed outside has left an account behind
        guests = await store.fetchval("SELECT count(*) FROM accounts WHERE kind = 'guest'")
    finally:
        await store.close()
    assert guests == sum(each["guest"] is not None for each in inside)


async def test_who_watches_on_a_killed_process_goes_on_elsewhere_and_nobody_is_shown_as_gone_too_soon(
    three: Servers, doors: Doors
) -> None:
    dan, ada, bob, eve = await doors.people(three[0], "Dan", "Ada", "Bob", "Eve")
    room = await a_room(ada, bob, eve, dan, **NOBODY_IS_AWAITED)
    watching = await doors.sit(three[0], dan, room)
    for person in (ada, bob, eve):
        await doors.sit(three[1], person, room)
    await all_here(dan, room)
    await load(ada, room)
    before = await snapshot(dan, room)

    began = asyncio.get_running_loop().time()
    three[1].kill()
    ada_live, bob_live = [await doors.sit(three[2], who, room, since=before["offset"]) for who in (ada, bob)]
    assert (await snapshot(await doors.at(three[2], ada), room))["room"]["state"] == before["room"]["state"]
    epoch = before["room"]["state"]["epoch"]
    sought = await command(ada_live, room, "control", action="seek", position_ms=61_250, epoch=epoch)
    assert (sought["data"]["status"], sought["data"]["epoch"]) == ("playing", epoch + 1)
    for live in (watching, ada_live, bob_live):
        await live.find(named("room.state", reason="seek", epoch=epoch + 1, anchor_position_ms=61_250))

    shown_as_gone = await watching.find(lambda frame: frame["type"] == "presence" and bool(frame["left"]))
    took = asyncio.get_running_loop().time() - began
    assert shown_as_gone["left"] == [{"account_id": eve.id, "why": "lost"}]
    assert 10 < took < stretched(15)
    await watching.find(lambda frame: loses_connection(frame.get("event", {})))
    await doors.sit(three[2], eve, room)
    shown = await all_here(dan, room)
    assert [each["id"] for each in shown["participants"]] == [each["id"] for each in before["room"]["participants"]]
    assert (shown["state"]["epoch"], await told(dan, room, "participant.left", "host.passed")) == (epoch + 1, [])
    gone = [event["data"]["account_id"] for event in await told(dan, room) if loses_connection(event)]
    assert gone == [eve.id]


SOONER = {
    "rooms": ("created_at", "updated_at", "expires_at", "anchor_at", "starts_by", "due_at"),
    "participants": ("joined_at", "slot_until", "buffering_since"),
}


async def pass_time(store: asyncpg.Connection, room: Json, by: timedelta) -> None:
    """Let that much time pass for a room: all that it knows is so much longer ago."""
    for table, columns in SOONER.items():
        key = "id" if table == "rooms" else "room_id"
        moved = ", ".join(f"{column} = {column} - $2::interval" for column in columns)
        await store.execute(f"UPDATE {table} SET {moved} WHERE {key} = $1", room["id"], by)


async def test_what_falls_due_while_every_process_is_dead_happens_once_they_are_back_and_once(
    three: Servers, doors: Doors
) -> None:
    ada, bob = await doors.people(three[0], "Ada", "Bob")
    loading, waiting = await a_room(ada, bob), await a_room(ada, bob)
    slot, ending = await a_room(bob, ada, **NOBODY_IS_AWAITED), await a_room(ada, bob, **NOBODY_IS_AWAITED)
    lives = {
        (room["id"], person.id): await doors.sit(server, person, room)
        for room in (loading, waiting, slot, ending)
        for person, server in ((ada, three[0]), (bob, three[1]))
    }
    for room in (loading, waiting, slot, ending):
        await all_here(ada, room)

    state = await load(ada, waiting)
    report = {"item_id": state["item_id"], "position_ms": 0}
    for person in (ada, bob):
        live = lives[waiting["id"], person.id]
        await command(live, waiting, "report", epoch=state["epoch"], ready=True, **report)
    await live.find(named("room.state", status="playing"))
    await command(live, waiting, "report", epoch=state["epoch"] + 1, buffering=True, **report)
    await live.find(named("room.state", status="waiting"))
    await load(bob, slot)
    leaving = lives[slot["id"], bob.id]
    await leaving.call("unsubscribe", channel=f"presence:room:{slot['id']}")
    await lives[slot["id"], ada.id].find(named("participant.changed", account_id=bob.id))
    assert (await load(ada, loading))["status"] == "loading"

    for server in three:
        server.kill()
    store = await asyncpg.connect(three[0].database_url)
    try:
        for room, by in (
            (loading, timedelta(seconds=8)),
            (waiting, timedelta(seconds=10)),
            (slot, timedelta(seconds=20)),
            (ending, timedelta(hours=24)),
        ):
            await pass_time(store, room, by)
        starting = [asyncio.to_thread(server.start) for server in three[:2]]
        await asyncio.gather(*starting)

        async def is_seen_to() -> bool:
            return not await store.fetchval("SELECT count(*) FROM rooms WHERE due_at <= now()")

        await until(is_seen_to)
    finally:
        await store.close()

    states = [(event["data"]["status"], event["data"]["reason"]) for event in await told(ada, loading, "room.state")]
    assert states == [("loading", "load"), ("playing", "overdue")]
    states = [(event["data"]["status"], event["data"]["reason"]) for event in await told(ada, waiting, "room.state")]
    assert states == [("loading", "load"), ("playing", "ready"), ("waiting", "buffering"), ("playing", "overdue")]
    left = await told(ada, slot, "participant.left", "host.passed", "room.state")
    assert [event["type"] for event in left] == ["room.state", "participant.left", "host.passed"]
    assert (left[1]["data"]["account_id"], left[1]["data"]["reason"]) == (bob.id, "lost")
    assert left[2]["data"]["to"] == ada.id
    ends = await told(ada, ending, "room.expiring", "room.expired")
    assert [(event["type"], event["data"].get("minutes")) for event in ends] == [
        *(("room.expiring", minutes) for minutes in (10, 1)),
        ("room.expired", None),
    ]
    assert (await ada.post(f"/rooms/{ending['id']}/join", {})).json()["code"] == "room_expired"
    back = await doors.sit(three[1], ada, loading)
    assert (await command(back, loading, "control", action="seek", position_ms=5))["data"]["status"] == "playing"


async def test_whatever_becomes_of_redis_a_room_loses_nothing_and_goes_on(
    three: Servers, doors: Doors, redis: RedisService
) -> None:
    ada, bob, eve = await doors.people(three[0], "Ada", "Bob", "Eve")
    room = await a_room(ada, bob, **NOBODY_IS_AWAITED)
    ada_live, bob_live = await doors.sit(three[0], ada, room), await doors.sit(three[1], bob, room)
    await all_here(ada, room)
    state = await load(ada, room)

    async def seek(live: Listener, position_ms: int) -> None:
        done = await command(live, room, "control", action="seek", position_ms=position_ms)
        assert done["type"] == "reply", done

    async def report(live: Listener, position_ms: int) -> None:
        fields = {"epoch": state["epoch"], "item_id": state["item_id"], "position_ms": position_ms}
        assert (await command(live, room, "report", **fields))["type"] == "reply"

    await report(ada_live, 1)
    await bob_live.find(lambda frame: frame["type"] == "value" and frame["data"]["position_ms"] == 1)

    await asyncio.to_thread(redis.empty)
    with within(3):
        await seek(ada_live, 1_000)
        await bob_live.find(named("room.state", anchor_position_ms=1_000))
    await report(ada_live, 2)
    await bob_live.find(lambda frame: frame["type"] == "value" and frame["data"]["position_ms"] == 2)
    done(await eve.post(f"/rooms/{room['id']}/join", {}))
    eve_live = await doors.sit(three[2], eve, room)
    shown = await eve_live.frame("value")
    assert (shown["key"], shown["data"]["position_ms"]) == (ada.id, 2)
    await all_here(ada, room)

    await asyncio.to_thread(redis.kill)
    with within(3):
        await seek(bob_live, 2_000)
        for live in (ada_live, eve_live):
            await live.find(named("room.state", anchor_position_ms=2_000))
    with within(3):
        await report(ada_live, 3)
        assert (await command(eve_live, room, "say", text="Still here."))["type"] == "reply"
        await ada_live.find(named("message.said", text="Still here."))

    await asyncio.to_thread(redis.start)
    positions = count(4)

    async def is_filled() -> bool:
        await report(ada_live, next(positions))
        assert (await command(eve_live, room, "get"))["type"] == "reply"
        return any(frame["type"] == "value" and (frame["data"] or {})["position_ms"] > 3 for frame in eve_live.inbox)

    await until(is_filled)
    await all_here(ada, room)
    assert [event["data"]["account_id"] for event in await told(ada, room, "participant.joined")] == [bob.id, eve.id]
    assert await told(ada, room, "participant.left", "host.passed") == []
    offsets = [event["offset"] for event in await told(ada, room)]
    assert offsets == list(range(1, len(offsets) + 1))
    assert [event for event in await told(ada, room) if loses_connection(event)] == []
    frames = [frame for live in (ada_live, bob_live, eve_live) for frame in live.inbox]
    assert [frame["left"] for frame in frames if frame["type"] == "presence" and frame["left"]] == []


async def test_when_the_only_process_was_killed_and_is_back_people_come_back_one_by_one_and_are_together(
    start_server: Callable[..., ServerProcess], doors: Doors
) -> None:
    server = start_server()
    ada, bob = await doors.people(server, "Ada", "Bob")
    room = await a_room(ada, bob, **NOBODY_IS_AWAITED)
    for person in (ada, bob):
        await doors.sit(server, person, room)
    await all_here(ada, room)
    await load(ada, room)
    before = await snapshot(ada, room)
    server.kill()
    await asyncio.to_thread(server.start)
    ada_live, bob_live = [await doors.sit(server, who, room, since=before["offset"]) for who in (ada, bob)]
    sought = await command(ada_live, room, "control", action="seek", position_ms=1_000)
    for live in (ada_live, bob_live):
        await live.find(named("room.state", reason="seek", epoch=before["room"]["state"]["epoch"] + 1))
    after = await snapshot(bob, room)
    assert after["room"]["state"] == sought["data"]
    places = [[(each["id"], each["slot_until"]) for each in shown["room"]["participants"]] for shown in (before, after)]
    assert places[0] == places[1]
    assert [event for event in await told(ada, room) if loses_connection(event)] == []


async def test_of_two_who_seek_at_once_on_two_processes_one_wins_and_the_other_is_told_the_state(
    three: Servers, doors: Doors
) -> None:
    ada, bob = await doors.people(three[0], "Ada", "Bob")
    room = await a_room(ada, bob, **NOBODY_IS_AWAITED)
    lives = [await doors.sit(server, who, room) for server, who in ((three[0], ada), (three[1], bob))]
    callers = [await doors.at(three[0], ada), await doors.at(three[1], bob)]
    epoch = (await load(ada, room))["epoch"]
    for round in range(4):
        seek = {"action": "seek", "epoch": epoch}
        positions = [{"position_ms": 1_000 * (round + 1) + number} for number in range(2)]
        over_http = asyncio.gather(
            *(
                caller.post(f"/rooms/{room['id']}/control", seek | to)
                for caller, to in zip(callers, positions, strict=True)
            )
        )
        answers = [each.json() for each in await over_http]
        (won,) = [each for each in answers if "code" not in each]
        (lost,) = [each for each in answers if "code" in each]
        assert (won["epoch"], lost["status"], lost["code"]) == (epoch + 1, 409, "stale_epoch")
        assert lost["state"] == won
        assert abs(datetime.fromisoformat(lost["server_time"]) - datetime.now(UTC)) < timedelta(minutes=1)

        seek["epoch"] = epoch + 1
        over_sockets = asyncio.gather(
            *(command(live, room, "control", **seek, **to) for live, to in zip(lives, positions, strict=True))
        )
        frames = await over_sockets
        (reply,) = [each["data"] for each in frames if each["type"] == "reply"]
        (error,) = [each for each in frames if each["type"] == "error"]
        assert (reply["epoch"], error["code"], error["extra"]["state"]) == (epoch + 2, "stale_epoch", reply)
        epoch += 2
    told_epochs = [event["data"]["epoch"] for event in await told(ada, room, "room.state")]
    assert told_epochs == list(range(1, epoch + 1))


async def test_who_loses_the_right_to_a_room_hears_no_more_of_it_on_any_process(three: Servers, doors: Doors) -> None:
    ada, bob, eve, dan = await doors.people(three[0], "Ada", "Bob", "Eve", "Dan")
    team = (await ada.create_team())["id"]
    for person in (bob, eve, dan):
        await ada.admit(person, team)
    of_team = await a_room(ada, bob, eve, dan, workspace_id=team, visibility="workspace")
    room = await a_room(ada, bob, eve, dan, allow_guests=True)
    joined = done(
        await ada.http.post(f"{API}/rooms/join", json={"join_code": room["join_code"], "display_name": "Grace"})
    )
    grace = Person(ada.http, joined["participant"]["account_id"], "", joined["guest"]["access_token"], "")
    places = {each["account_id"]: each["id"] for each in joined["room"]["participants"]}
    channels = {f"{kind}room:{room['id']}" for kind in ("", "status:", "reactions:", "presence:")}
    watching = await doors.sit(three[0], ada, room)
    lives = {person.id: await doors.sit(three[1], person, room) for person in (bob, eve, dan, grace)}
    elsewhere = await doors.sit(three[2], bob, of_team)
    await all_here(ada, room)

    for person, way, reason in ((bob, "?ban=true", "banned"), (eve, "", "removed")):
        done(await ada.delete(f"/rooms/{room['id']}/participants/{places[person.id]}{way}"))
        with within(1):
            lost = [(await lives[person.id].frame("unsubscribed"))["channel"] for _ in channels]
        assert set(lost) == channels
        assert (await command(lives[person.id], room, "report", epoch=0, item_id=None, position_ms=0))["code"] == (
            "not_found"
        )
        event = await watching.find(named("participant.removed", account_id=person.id))
        assert event["event"]["data"]["reason"] == reason
    assert (await bob.post(f"/rooms/{room['id']}/join", {})).json()["code"] == "banned"
    done(await eve.post(f"/rooms/{room['id']}/join", {}))

    done(await ada.delete(f"/rooms/{room['id']}/participants/{places[grace.id]}"))
    with within(1.5):
        assert await lives[grace.id].closed() == 4004
    assert (await (await doors.at(three[2], grace)).get(f"/rooms/{room['id']}")).status_code == 401

    assert (await run(three[0], "disable", dan.email))[0] == 0
    assert await lives[dan.id].closed() == 4004
    left = await watching.find(named("participant.left", account_id=dan.id))
    assert left["event"]["data"]["reason"] == "account_disabled"

    done(await ada.delete(f"/workspaces/{team}"))
    closed = await elsewhere.find(named("room.closed"))
    assert closed["event"]["data"] == {"reason": "workspace_deleted"}
    kinds = ("", "status:", "reactions:", "presence:")
    lost = [(await elsewhere.frame("unsubscribed"))["channel"] for _ in kinds]
    assert set(lost) == {f"{kind}room:{of_team['id']}" for kind in kinds}
    refused = await bob.post(f"/rooms/{of_team['id']}/leave")
    assert (refused.status_code, refused.json()["code"]) == (410, "room_closed")
    assert done(await ada.get(f"/rooms/{room['id']}"))["closed_at"] is None
