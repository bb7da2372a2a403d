"""A credential for one place sees and changes nothing of another place of its account, at every door."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from dependency_injector import providers

from adapters.memory.system import MovableClock
from application.market import MARKET
from application.scopes import UNGIVEN
from domain.channels import Grammar
from domain.errors import NotFound
from entrypoints.container import Container
from tests.http.house import house_in_memory, house_on_postgres, served, set_to, visited
from tests.http.operations import BODIES, OPERATIONS, Ids, Operation, World, a_world, absent, request_for
from tests.http.test_problems import problem
from tests.http.test_scopes import GUARDED, SCOPES, told
from tests.http.test_strangers import ABOUT_ONESELF, BY_SECRET, seen
from tests.support.badges import Badges
from tests.support.clients import API, Json, Listener, Person, client, done, following, listening

UNGIVEN_NAMES = {scope.name for scope in UNGIVEN}
# Those that no credential but a session can do, and those that name no thing of a place.
OF_SESSIONS = {name for name, operation in GUARDED.items() if told(operation) in UNGIVEN_NAMES}
ELSEWHERE = GUARDED.keys() - ABOUT_ONESELF - OF_SESSIONS | BY_SECRET


class Estate(NamedTuple):
    """An assembly with badges, and a world in it whose owner has one more team with a task and a room.

    `here` holds a badge for that team, and `home` one for the team of the world; both may do all that badges may.
    """

    house: Container
    badges: Badges
    world: World
    team: str
    task: str
    room: str
    here: Person
    home: Person

    def holder(self, within: str) -> Person:
        text, _ = self.badges.issue(self.world.owner.id, *SCOPES, within=within)
        return replace(self.world.owner, token=text)


async def an_estate(house: Container, badges: Badges, http: httpx.AsyncClient, *, room_is_of_team: bool) -> Estate:
    world = await a_world(http, room_is_of_team=room_is_of_team)
    team = (await world.owner.create_team("Elsewhere"))["id"]
    task = (await world.owner.open_task("Elsewhere", workspace_id=team))["id"]
    room = done(await world.owner.post("/rooms", {"name": "Elsewhere", "workspace_id": team}))["id"]
    estate = Estate(house, badges, world, team, task, room, world.owner, world.owner)
    home = estate.holder(f"workspace:{world.ids['workspaces']}")
    return estate._replace(here=estate.holder(f"workspace:{team}"), home=home)


def settled(make: Any, **changes: Any) -> tuple[Container, Badges]:
    badges = Badges(clock := MovableClock())
    credentials = providers.List(providers.Object(badges))
    return make(clock=providers.Object(clock), credentials=credentials, **changes), badges


@pytest_asyncio.fixture(scope="module")
async def way() -> AsyncIterator[tuple[Container, Badges, httpx.AsyncClient]]:
    house, badges = settled(house_in_memory, settings=set_to())
    async with visited(house) as http:
        yield house, badges, http


@pytest_asyncio.fixture
async def estate(way: tuple[Container, Badges, httpx.AsyncClient]) -> Estate:
    return await an_estate(*way, room_is_of_team=True)


def request_of(operation: Operation, ids: Ids) -> Mapping[str, Any]:
    request = request_for(operation, ids)
    if operation.name == "enter_room":
        request["json"].pop("display_name")
    return request


@pytest.mark.parametrize("room_is_of_team", [True, False])
@pytest.mark.parametrize("name", sorted(ELSEWHERE))
async def test_things_of_another_place_answer_like_absent_ones(
    way: tuple[Container, Badges, httpx.AsyncClient], name: str, room_is_of_team: bool
) -> None:
    estate = await an_estate(*way, room_is_of_team=room_is_of_team)
    operation, ids, owner = OPERATIONS[name], estate.world.ids, estate.world.owner
    channels = ("me", f"workspace:{ids['workspaces']}", f"room:{ids['rooms']}")
    before = [await owner.events(channel) for channel in channels]
    async with asyncio.timeout(5):  # a stream that is not refused has no end
        foreign = await estate.here.send(**request_of(operation, ids))
    assert foreign.status_code == 404
    nothing = dict(absent(ids)) | {"join_code": "00000000"}
    assert seen(foreign) == seen(await estate.here.send(**request_of(operation, nothing)))
    for header, tag in (("If-Match", '"1"'), ("If-None-Match", '"1"'), ("If-None-Match", "*")):
        assert (await estate.here.send(**request_of(operation, ids), headers={header: tag})).status_code == 404
    assert [await owner.events(channel) for channel in channels] == before


@pytest.mark.parametrize("name", sorted(ELSEWHERE - {"stream_events"}))  # which has no end
async def test_things_of_its_place_are_open_to_it(estate: Estate, name: str) -> None:
    answer = await estate.home.send(**request_of(OPERATIONS[name], estate.world.ids))
    assert answer.is_success, answer.text


async def test_lists_show_its_place_alone_and_begin_there(estate: Estate) -> None:
    async def ids(path: str, **params: str) -> list[str]:
        page = done(await estate.here.get(path, params=params))
        assert page["next_cursor"] is None
        return [each["id"] for each in page["data"]]

    await estate.world.owner.open_task("In the personal workspace")
    assert await ids("/workspaces") == [estate.team]
    assert await ids("/rooms") == [estate.room]
    assert await ids("/tasks") == [estate.task]
    assert {event["stream"] for event in done(await estate.here.get("/events"))["data"]} == {f"workspace:{estate.team}"}
    foreign = done(await estate.world.owner.get("/workspaces", params={"limit": "1"}))["next_cursor"]
    problem(await estate.here.get("/workspaces", params={"cursor": foreign}), 400, "invalid_cursor")


async def test_it_makes_things_in_its_place_alone(estate: Estate) -> None:
    task = done(await estate.here.post("/tasks", {"title": "Here"}))
    assert task["workspace_id"] == estate.team
    room = done(await estate.here.post("/rooms", {"name": "Here", "visibility": "workspace"}))
    assert room["workspace_id"] == estate.team
    problem(await estate.here.post("/workspaces", {"name": "A place of its own"}), 403, "permission_denied")
    elsewhere = {"workspace_id": estate.world.owner.id}
    problem(await estate.here.post("/rooms", {"name": "Elsewhere"} | elsewhere), 404, "not_found")
    problem(await estate.here.post("/tasks", {"title": "x"} | elsewhere), 404, "not_found")
    in_a_room = estate.holder(f"room:{estate.room}")
    problem(await in_a_room.post("/rooms", {"name": "In a room"}), 403, "permission_denied")


async def test_a_partial_bulk_does_what_is_in_its_place(estate: Estate) -> None:
    operations = [
        {"op": "update", "id": estate.task, "patch": {"title": "Changed"}},
        {"op": "update", "id": estate.world.ids["tasks"], "patch": {"title": "Changed"}},
        {"op": "delete", "id": estate.world.ids["doomed"]},
        {"op": "create", "task": {"title": "x", "workspace_id": estate.world.ids["workspaces"]}},
    ]
    report = done(await estate.here.post("/tasks/bulk", {"mode": "partial", "operations": operations}))
    codes = [result["error"] and result["error"]["code"] for result in report["results"]]
    assert codes == [None, "not_found", "not_found", "not_found"]


async def test_a_report_is_refused_that_would_ask_the_room_nothing(estate: Estate) -> None:
    """A player that repeats itself is answered before its room is asked."""
    report = request_of(OPERATIONS["report_player"], estate.world.ids)
    done(await estate.world.owner.send(**report))
    problem(await estate.here.send(**report), 404, "not_found")
    done(await estate.home.send(**report))


async def test_a_role_in_a_room_of_another_place_is_not_told(estate: Estate) -> None:
    """Somebody who is no host may not change the password, which is asked before the room is changed."""
    member = estate.world.people["member"]
    text, _ = estate.badges.issue(member.id, *SCOPES, within=f"workspace:{member.id}")
    path = f"/rooms/{estate.world.ids['rooms']}"
    problem(await member.patch(path, {"password": None}), 403, "permission_denied")
    problem(await replace(member, token=text).patch(path, {"password": None}), 404, "not_found")


async def test_a_credential_for_one_room_is_for_nothing_else_of_its_workspace(estate: Estate) -> None:
    holder = estate.holder(f"room:{estate.room}")
    assert done(await holder.get(f"/rooms/{estate.room}"))["id"] == estate.room
    done(await holder.post(f"/rooms/{estate.room}/messages", {"text": "Here."}))
    assert [room["id"] for room in done(await holder.get("/rooms"))["data"]] == [estate.room]
    assert done(await holder.get("/workspaces"))["data"] == []
    for path in (f"/rooms/{estate.world.ids['rooms']}", f"/tasks/{estate.task}", f"/workspaces/{estate.team}"):
        problem(await holder.get(path), 404, "not_found")


async def test_of_its_own_account_it_sees_who_it_is_and_not_what_happens_to_it(estate: Estate) -> None:
    """The stream of the account tells of all of its workspaces."""
    assert done(await estate.here.get("/me"))["id"] == estate.world.owner.id
    problem(await estate.here.get("/events", params={"channel": "me"}), 404, "not_found")
    personal = estate.holder(f"workspace:{estate.world.owner.id}")
    problem(await personal.get("/events", params={"channel": "me"}), 404, "not_found")


def every_channel(house: Container, ids: Iterable[str]) -> list[str]:
    """The channels of every kind that these ids name, those of every place among them; but not those of quotes."""
    grammar = house.channels().grammar
    named = {f"{kind}:{id}" for kind in grammar.kinds for id in ids}
    names = {"me", *named, *(f"{kind}:{place}" for kind in grammar.kinds for place in named)}
    return sorted(name for name in names if is_channel(grammar, name))


def is_channel(grammar: Grammar, name: str) -> bool:
    try:
        return grammar.parse(name).kind is not MARKET
    except NotFound:
        return False


def refused_all(connected: Json, names: list[str]) -> None:
    assert {name: answer.get("code") for name, answer in connected["channels"].items()} == dict.fromkeys(
        names, "not_found"
    )


async def followed(live: Listener, names: list[str]) -> set[str]:
    """Those of these channels that can be followed."""
    found = set()
    for name in names:
        answer = await live.call("subscribe", channel=name)
        if answer["type"] == "reply":
            found.add(name)
            await live.call("unsubscribe", channel=name)
        else:
            assert answer["code"] == "not_found", answer
    return found


@pytest.mark.parametrize("kind", ["memory", "postgres"])
async def test_no_live_channel_or_method_leads_elsewhere(kind: str, database_url: str) -> None:
    if kind == "memory":
        house, badges = settled(house_in_memory, settings=set_to())
    else:
        house, badges = settled(lambda **changes: house_on_postgres(database_url, **changes))
    async with served(house) as url, client(url) as http:
        estate = await an_estate(house, badges, http, room_is_of_team=True)
        names = every_channel(house, [estate.world.ids[name] for name in ("workspaces", "tasks", "rooms")])
        inside = [f"workspace:{estate.team}", f"task:{estate.task}", f"room:{estate.room}", "market:ACME"]
        async with listening(url, estate.home.token) as live:
            at_home = await followed(live, names)
        assert {name.partition(":")[0] for name in at_home} == house.channels().grammar.kinds.keys() - {"me", "market"}

        ticket = done(await estate.here.post("/live/tickets", {"subscribe": names}))["ticket"]
        async with listening(url, path=f"{API}/ws?ticket={ticket}") as live:
            refused_all((await live.frame("reply"))["data"], names)
        async with listening(url, additional_headers=estate.here.authorization) as live:
            refused_all(await live.connect(None, *names), names)
        async with listening(url, estate.here.token) as live:
            assert await followed(live, [*names, *inside]) == set(inside)
        async with listening(url, estate.here.token) as live:
            for name in names:
                assert (await live.call("presence", channel=name))["code"] == "not_found"
                assert (await live.call("publish", channel=name, data={}))["code"] == "not_found"
        async with listening(url, estate.here.token) as live:
            await no_method_leads_elsewhere(live, estate)

        for name in names:
            problem(await estate.here.get("/events", params={"channel": name}), 404, "not_found")
            async with asyncio.timeout(5):  # a stream that is not refused has no end
                problem(await estate.here.get("/events/stream", params={"channel": name}), 404, "not_found")
        async with following(estate.here, f"workspace:{estate.team}", since=0) as stream:
            assert await stream.next() is not None


def calls(ids: Ids) -> Mapping[str, Json]:
    """Good params of every method, on these things."""
    task, room, item = {"id": ids["tasks"]}, {"id": ids["rooms"]}, {"id": ids["rooms"], "item_id": ids["queue"]}
    bodies = {name: body(ids) for name, body in BODIES.items()}
    return {
        "task.create": bodies["open_task"],
        "task.update": task | {"patch": {"title": "Changed"}},
        "task.claim": task,
        "task.comment": task | {"comment": bodies["comment"]},
        "room.get": room,
        "room.join": room,
        "room.leave": room,
        "room.control": room | bodies["control_room"],
        "room.skip": room | bodies["vote_skip"],
        "room.report": room | bodies["report_player"],
        "room.say": room | bodies["say"],
        "room.vote": item,
        "room.queue.arrange": room | bodies["change_queue"],
        "room.queue.add": room | bodies["add_item"],
        "room.queue.add_many": room | bodies["add_items"],
        "room.queue.move": item | bodies["move_item"],
        "room.queue.remove": item,
    }


async def no_method_leads_elsewhere(live: Listener, estate: Estate) -> None:
    ids, owner = estate.world.ids, estate.world.owner
    assert calls(ids).keys() == estate.house.calling().methods.keys()
    before = [await owner.events(f"{kind}:{ids[f'{kind}s']}") for kind in ("workspace", "room")]
    for method, params in calls(ids).items():
        answer = await live.call("call", method=method, params=params)
        assert answer.get("code") == "not_found", (method, answer)
    assert [await owner.events(f"{kind}:{ids[f'{kind}s']}") for kind in ("workspace", "room")] == before


async def test_a_connection_goes_on_with_a_credential_for_the_same_place_or_for_all() -> None:
    house, badges = settled(house_in_memory, settings=set_to())
    async with served(house) as url, client(url) as http:
        estate = await an_estate(house, badges, http, room_is_of_team=True)
        again, whole = estate.holder(f"workspace:{estate.team}"), badges.issue(estate.world.owner.id, *SCOPES)[0]
        async with listening(url, estate.here.token, f"workspace:{estate.team}") as live:
            assert (await live.call("authenticate", token=again.token))["type"] == "reply"
            assert (await live.call("authenticate", token=estate.home.token))["code"] == "permission_denied"
            assert (await live.call("authenticate", token=whole))["type"] == "reply"
            assert (await live.call("subscribe", channel="me"))["type"] == "reply"
            assert (await live.call("authenticate", token=again.token))["code"] == "permission_denied"
