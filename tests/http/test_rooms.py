"""Rooms as callers meet them over HTTP: joining and playing, queues, messages, guests, and all that is refused."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from adapters.memory.system import MovableClock
from entrypoints.container import Container
from tests.http.house import house_in_memory, house_on_postgres, served, set_to, visited
from tests.http.operations import OPERATIONS, PUBLIC, a_world, request_for
from tests.http.test_problems import problem
from tests.support.clients import API, Json, Person, client, done, listening, sign_up

FILM = {"url": "https://videos.example.org/film.mp4", "title": "The film", "duration_ms": 5_400_000}
OVER = 4004
LIFETIME = timedelta(hours=24)
OF_GUESTS = {"rooms:read", "rooms:play"}


@pytest.fixture(scope="module", params=["memory", "postgres"])
def house(request: pytest.FixtureRequest) -> Container:
    """One assembly after the other, for all tests: they leave its clock alone, and everybody is new in each of them."""
    if request.param == "memory":
        return house_in_memory()
    return house_on_postgres(request.getfixturevalue("new_database")())


@pytest_asyncio.fixture(scope="module")
async def url(house: Container) -> AsyncIterator[str]:
    """Where it is served."""
    async with served(house) as url:
        yield url


class Town(NamedTuple):
    """An assembly, where it is served, and three people in it."""

    house: Container
    url: str
    http: httpx.AsyncClient
    ada: Person
    bob: Person
    eve: Person

    @property
    def clock(self) -> MovableClock:
        clock = self.house.clock()
        assert isinstance(clock, MovableClock)
        return clock

    async def guest(self, room: Json, name: str = "Grace", **fields: object) -> tuple[Person, Json]:
        """Somebody who joins without an account, and the answer."""
        body = {"join_code": room["join_code"], "display_name": name, **fields}
        joined = done(await self.http.post(f"{API}/rooms/join", json=body))
        account = joined["participant"]["account_id"]
        return Person(self.http, account, "", joined["guest"]["access_token"], ""), joined


@pytest_asyncio.fixture
async def town(house: Container, url: str) -> AsyncIterator[Town]:
    async with client(url) as http:
        yield Town(house, url, http, *[await sign_up(http, name) for name in ("Ada", "Bob", "Eve")])


async def a_room(host: Person, *others: Person, **fields: object) -> Json:
    """A new room of this host, which the others have joined."""
    room: Json = done(await host.post("/rooms", {"name": "Film night", **fields}))
    for other in others:
        await enter(other, room)
    return room


async def enter(who: Person, room: Json, **fields: object) -> Json:
    joined: Json = done(await who.post("/rooms/join", {"join_code": room["join_code"], **fields}))
    return joined


def at(room: Json, path: str = "") -> str:
    return f"/rooms/{room['id']}{path}"


async def play_a_film(host: Person, room: Json) -> Json:
    """Load an item and play it; the state of the room after that."""
    item = done(await host.post(at(room, "/queue"), FILM))
    done(await host.post(at(room, "/control"), {"action": "load", "item_id": item["id"]}))
    state: Json = done(await host.post(at(room, "/control"), {"action": "play"}))
    return state


async def test_people_join_by_its_code_and_watch_what_the_host_plays(town: Town) -> None:
    room = await a_room(town.ada)
    assert (room["visibility"], room["max_participants"], room["allow_guests"]) == ("private", 10, False)
    assert len(room["join_code"]) == 8
    assert [each["role"] for each in room["participants"]] == ["host"]
    joined = await enter(town.bob, room)
    assert (joined["participant"]["display_name"], joined["participant"]["role"]) == ("Bob", "member")
    assert joined["guest"] is None
    assert joined["room"]["version"] == joined["offset"] == 2
    state = await play_a_film(town.ada, room)
    assert state["status"] == "playing"
    state = done(await town.bob.post(at(room, "/control"), {"action": "seek", "position_ms": 61_250}))
    assert state["anchor_position_ms"] == 61_250
    snapshot = done(await town.bob.get(at(room, "/state")))
    assert snapshot["room"]["state"] == state
    assert snapshot["queue"]["current"]["url"] == FILM["url"]


async def test_of_forty_who_join_at_once_as_many_get_in_as_there_is_room_for(town: Town) -> None:
    room = await a_room(town.ada)
    crowd = [await sign_up(town.http, f"Guest{number}") for number in range(40)]
    answers = await asyncio.gather(*(each.post("/rooms/join", {"join_code": room["join_code"]}) for each in crowd))
    assert Counter(answer.status_code for answer in answers) == {200: 9, 409: 31}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"room_full"}
    assert len(done(await town.ada.get(at(room)))["participants"]) == 10


async def test_a_second_device_is_the_same_participant(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    first, second = await enter(town.bob, room), await enter(town.bob, room)
    assert first["participant"]["id"] == second["participant"]["id"]
    assert len(second["room"]["participants"]) == 2


async def test_who_joins_with_a_key_is_in_by_id_and_by_code(town: Town) -> None:
    room = done(await town.ada.post("/rooms", {"name": "Film night", "visibility": "link"}))
    key = {"Idempotency-Key": "k"}
    for path, body in ((f"/rooms/{room['id']}/join", {}), ("/rooms/join", {"join_code": room["join_code"]})):
        for _ in range(2):
            joined = done(await town.bob.post(path, body, headers=key))
            assert joined["participant"]["account_id"] == town.bob.id


async def test_members_of_a_workspace_find_its_rooms_and_join_them(town: Town) -> None:
    team = done(await town.ada.post("/workspaces", {"name": "Team"}))["id"]
    token = done(await town.ada.post(f"/workspaces/{team}/invitations", {"role": "member"}))["token"]
    done(await town.bob.post("/invitations/accept", {"token": token}))
    room = await a_room(town.ada, workspace_id=team, visibility="workspace")
    await a_room(town.ada, workspace_id=team)
    (found,) = done(await town.bob.get("/rooms", params={"workspace_id": team}))["data"]
    assert found == room | {"join_code": None}
    assert done(await town.bob.get("/rooms"))["data"] == []
    done(await town.bob.post(at(room, "/join"), {}))
    (joined,) = done(await town.bob.get("/rooms", params={"workspace_id": team}))["data"]
    assert joined["join_code"] == room["join_code"]
    problem(await town.eve.get("/rooms", params={"workspace_id": team}), 404, "not_found")
    problem(await town.bob.get("/rooms", params={"workspace_id": "team"}), 400, "invalid_parameter")


async def test_two_who_seek_at_once_do_not_undo_each_other(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    epoch = (await play_a_film(town.ada, room))["epoch"]
    seek = {"action": "seek", "epoch": epoch}
    answers = await asyncio.gather(
        town.ada.post(at(room, "/control"), seek | {"position_ms": 1_000}),
        town.bob.post(at(room, "/control"), seek | {"position_ms": 2_000}),
    )
    (won,) = [answer.json() for answer in answers if answer.status_code == 200]
    (lost,) = [answer for answer in answers if answer.status_code != 200]
    said = problem(lost, 409, "stale_epoch")
    assert said["state"] == won
    assert said["server_time"]


async def test_ten_who_say_that_an_item_is_over_go_on_by_one_item(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    await play_a_film(town.ada, room)
    items = done(await town.ada.post(at(room, "/queue/bulk"), {"items": [FILM | {"title": str(n)} for n in range(3)]}))
    playing = done(await town.ada.get(at(room, "/state")))["room"]["state"]["item_id"]
    over = {"action": "next", "item_id": playing}
    await asyncio.gather(*(who.post(at(room, "/control"), over) for who in [town.ada, town.bob] * 5))
    queue = done(await town.bob.get(at(room, "/queue")))
    assert queue["current"]["id"] == items["items"][0]["id"]
    assert len(queue["items"]) == 2


async def test_the_queue_is_arranged_and_voted_on(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    first = done(await town.ada.post(at(room, "/queue"), FILM | {"title": "First"}))
    second = done(await town.bob.post(at(room, "/queue"), FILM | {"title": "Second"}))
    item = at(room, f"/queue/{second['id']}")
    problem(await town.bob.post(f"{item}/move", {"position": 0}), 403, "permission_denied")
    moved = done(await town.ada.post(f"{item}/move", {"position": 0}))
    assert [each["title"] for each in moved["items"]] == ["Second", "First"]
    for _ in range(2):
        done(await town.bob.put(f"{item}/votes/me"))
    assert done(await town.ada.get(at(room, "/queue")))["items"][0]["votes"] == [town.bob.id]
    done(await town.bob.delete(f"{item}/votes/me"))
    assert done(await town.bob.patch(item, {"title": "Mine"}))["title"] == "Mine"
    problem(await town.bob.patch(at(room, f"/queue/{first['id']}"), {"title": "Mine"}), 403, "permission_denied")
    assert done(await town.ada.patch(at(room, "/queue"), {"mode": "vote"}))["mode"] == "vote"
    answer = await town.ada.get(at(room, "/queue"))
    assert (
        await town.ada.get(at(room, "/queue"), headers={"If-None-Match": answer.headers["etag"]})
    ).status_code == 304
    tag = {"If-Match": answer.headers["etag"]}
    done(await town.ada.patch(at(room, "/queue"), {"mode": "loop"}, headers=tag))
    late = problem(await town.ada.patch(at(room, "/queue"), {"mode": "manual"}, headers=tag), 412, "version_conflict")
    assert late["current"] == done(await town.ada.get(at(room, "/queue")))
    done(await town.bob.delete(item))
    problem(await town.bob.delete(item), 404, "not_found")
    for url in (
        "ftp://example.org/film.mp4",
        "javascript:alert(1)",
        "//example.org",
        "https://",
        f"https://a/{'a' * 2_048}",
    ):
        problem(await town.ada.post(at(room, "/queue"), {"url": url}), 422, "validation_failed")


async def test_half_of_those_who_are_here_end_what_plays(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    await play_a_film(town.ada, room)
    after = done(await town.ada.post(at(room, "/queue"), FILM))
    state = done(await town.bob.post(at(room, "/queue/skip"), {}))
    assert state["item_id"] == after["id"]


async def test_what_is_said_is_kept_with_where_the_film_was(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    await play_a_film(town.ada, room)
    done(await town.ada.post(at(room, "/control"), {"action": "pause"}))
    done(await town.ada.post(at(room, "/control"), {"action": "seek", "position_ms": 42_000}))
    said = done(await town.bob.post(at(room, "/messages"), {"text": " That was good. "}))
    assert (said["text"], said["position_ms"], said["display_name"]) == ("That was good.", 42_000, "Bob")
    more = done(await town.ada.post(at(room, "/messages"), {"text": "Yes."}))
    listed = done(await town.bob.get(at(room, "/messages"), params={"limit": "1"}))
    assert [each["id"] for each in listed["data"]] == [more["id"]]
    older = done(await town.bob.get(at(room, "/messages"), params={"limit": "1", "cursor": listed["next_cursor"]}))
    assert [each["id"] for each in older["data"]] == [said["id"]]
    problem(await town.bob.delete(at(room, f"/messages/{more['id']}")), 403, "permission_denied")
    done(await town.ada.delete(at(room, f"/messages/{said['id']}")))
    problem(await town.ada.delete(at(room, f"/messages/{said['id']}")), 404, "not_found")


async def test_the_history_tells_who_did_what(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    await play_a_film(town.ada, room)
    done(await town.bob.post(at(room, "/control"), {"action": "pause"}))
    history = done(await town.bob.get(at(room, "/history")))["data"]
    assert (history[0]["type"], history[0]["actor"], history[0]["data"]["reason"]) == (
        "room.state",
        town.bob.id,
        "pause",
    )
    assert history[-1]["type"] == "room.created"
    problem(await town.eve.get(at(room, "/history")), 404, "not_found")
    done(await town.ada.delete(at(room)))
    assert done(await town.bob.get(at(room, "/history")))["data"][0]["type"] == "room.closed"


async def test_the_host_changes_a_room_unless_somebody_was_faster(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    problem(await town.bob.patch(at(room), {"name": "Mine"}), 403, "permission_denied")
    seen = await town.ada.get(at(room))
    tag = {"If-Match": seen.headers["etag"]}
    changed = await town.ada.patch(at(room), {"name": "Film morning"}, headers=tag)
    assert (done(changed)["name"], changed.headers["etag"] != tag["If-Match"]) == ("Film morning", True)
    late = problem(await town.ada.patch(at(room), {"name": "Too late"}, headers=tag), 412, "version_conflict")
    assert late["current"] == done(changed)
    problem(await town.ada.delete(at(room), headers=tag), 412, "version_conflict")
    assert done(await town.ada.patch(at(room), {"policies": {"control": "host"}}))["policies"] == {
        "control": "host",
        "wait": "all",
        "host_leave": "transfer",
    }
    extended = done(await town.ada.post(at(room, "/extend")))
    assert extended["expires_at"] > room["expires_at"]


async def test_a_request_that_is_repeated_opens_one_room(town: Town) -> None:
    opened = [await town.ada.post("/rooms", {"name": "Once"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert done(opened[0]) == done(opened[1])
    assert opened[1].headers["idempotency-replayed"] == "true"
    assert len(done(await town.ada.get("/rooms"))["data"]) == 1


async def test_the_host_passes_the_room_on_and_who_is_in_it_may_leave(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    (_, bob) = done(await town.ada.get(at(room)))["participants"]
    participant = at(room, f"/participants/{bob['id']}")
    assert done(await town.ada.patch(participant, {"role": "moderator"}))["role"] == "moderator"
    done(await town.ada.post(at(room, "/transfer"), {"participant_id": bob["id"]}))
    roles = {each["account_id"]: each["role"] for each in done(await town.bob.get(at(room)))["participants"]}
    assert roles == {town.bob.id: "host", town.ada.id: "moderator"}
    done(await town.ada.post(at(room, "/leave")))
    problem(await town.ada.get(at(room)), 404, "not_found")
    assert done(await town.ada.get("/rooms"))["data"] == []


async def test_who_was_banned_does_not_come_back_and_the_old_code_opens_nothing(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    (_, bob) = done(await town.ada.get(at(room)))["participants"]
    done(await town.ada.delete(at(room, f"/participants/{bob['id']}"), params={"ban": "true"}))
    renewed = done(await town.ada.get(at(room)))
    problem(await town.bob.post("/rooms/join", {"join_code": renewed["join_code"]}), 403, "banned")
    problem(await town.eve.post("/rooms/join", {"join_code": room["join_code"]}), 404, "not_found")
    await enter(town.eve, renewed)


async def test_who_was_muted_listens(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    (_, bob) = done(await town.ada.get(at(room)))["participants"]
    assert done(await town.ada.patch(at(room, f"/participants/{bob['id']}"), {"muted": True}))["muted"]
    problem(await town.bob.post(at(room, "/messages"), {"text": "Hello"}), 403, "muted")
    done(await town.bob.get(at(room, "/messages")))


async def test_a_room_that_is_over_is_gone(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    done(await town.ada.delete(at(room)))
    for answer in (
        await town.bob.post(at(room, "/control"), {"action": "pause"}),
        await town.bob.post(at(room, "/messages"), {"text": "Hello"}),
        await town.bob.post(at(room, "/report"), {"epoch": 0, "item_id": None, "position_ms": 0}),
        await town.ada.patch(at(room), {"name": "Again"}),
        await town.ada.delete(at(room)),
    ):
        problem(answer, 410, "room_closed")
    for who in (town.bob, town.eve):
        said = problem(await who.post("/rooms/join", {"join_code": room["join_code"]}), 410, "room_closed")
        assert said["reason"] == "closed"
    assert done(await town.bob.get(at(room)))["close_reason"] == "closed"
    assert [each["id"] for each in done(await town.bob.get("/rooms", params={"closed": "true"}))["data"]] == [
        room["id"]
    ]


async def test_a_stranger_does_not_learn_of_a_private_room(town: Town) -> None:
    room = await a_room(town.ada)
    nowhere = {"id": str(uuid4())}
    for of in (room, nowhere):
        problem(await town.eve.get(at(of)), 404, "not_found")
        problem(await town.eve.post(at(of, "/join"), {}), 404, "not_found")
    linked = await a_room(town.ada, visibility="link")
    problem(await town.eve.get(at(linked)), 404, "not_found")
    assert done(await town.eve.post(at(linked, "/join"), {}))["participant"]["role"] == "member"


async def test_members_of_a_workspace_come_into_its_rooms_without_a_code(town: Town) -> None:
    team = (await town.ada.create_team())["id"]
    await town.ada.admit(town.bob, team)
    room = await a_room(town.ada, workspace_id=team, visibility="workspace")
    done(await town.bob.post(at(room, "/join"), {}))
    problem(await town.eve.post(at(room, "/join"), {}), 404, "not_found")
    problem(await town.eve.post("/rooms", {"name": "Mine", "workspace_id": team}), 404, "not_found")
    problem(await town.eve.post("/rooms", {"name": "Mine", "visibility": "workspace"}), 422, "validation_failed")


# --------------------------------------------------------------------------------------------------------------- guests


async def test_a_guest_watches_and_speaks_and_does_nothing_else(town: Town) -> None:
    room, other = await a_room(town.ada, allow_guests=True), await a_room(town.ada, allow_guests=True)
    await play_a_film(town.ada, room)
    guest, joined = await town.guest(room, " Grace ")
    assert (joined["participant"]["display_name"], joined["participant"]["role"]) == ("Grace", "guest")
    assert (joined["guest"]["token_type"], joined["guest"]["expires_in"]) == ("Bearer", 24 * 3_600)
    assert done(await guest.get(at(room)))["state"]["status"] == "playing"
    assert [each["id"] for each in done(await guest.get("/rooms"))["data"]] == [room["id"]]
    done(await guest.post(at(room, "/messages"), {"text": "Hello"}))
    problem(await guest.post(at(room, "/control"), {"action": "pause"}), 403, "permission_denied")
    problem(await guest.get(at(other)), 404, "not_found")
    problem(await guest.post("/rooms/join", {"join_code": other["join_code"]}), 403, "scope_missing")


async def test_a_guest_comes_back_to_its_room_and_to_no_other(town: Town) -> None:
    room, other = [await a_room(town.ada, allow_guests=True, visibility="link", password="sesame") for _ in range(2)]
    guest, joined = await town.guest(room, password="sesame")
    again = done(await guest.post(at(room, "/join"), {}))
    assert again.keys() == joined.keys()
    assert (again["participant"], again["offset"], again["guest"]) == (joined["participant"], joined["offset"], None)
    async with listening(town.url, guest.token, f"room:{room['id']}") as live:
        assert (await live.call("call", method="room.join", params={"id": room["id"]}))["data"]["offset"] == 2
    for elsewhere in (other["id"], guest.id):
        refused = problem(await guest.post(f"/rooms/{elsewhere}/join", {"password": "sesame"}), 403, "scope_missing")
        assert refused["required_scope"] == "rooms:write"


async def test_who_is_in_a_room_comes_back_although_it_is_now_for_members_alone(town: Town) -> None:
    team = (await town.ada.create_team())["id"]
    room = await a_room(town.ada, allow_guests=True, workspace_id=team)
    guest, _ = await town.guest(room)
    done(await town.ada.patch(at(room), {"visibility": "workspace", "allow_guests": False}))
    done(await guest.post(at(room, "/join"), {}))
    problem(await town.bob.post(at(room, "/join"), {}), 404, "not_found")


async def test_a_guest_gets_no_further_than_its_two_scopes(town: Town) -> None:
    world = await a_world(town.http)
    room = await a_room(world.owner, allow_guests=True)
    guest, _ = await town.guest(room)
    for name, operation in OPERATIONS.items():
        if API + operation.path in PUBLIC or name in {"issue_ticket", "list_event_types", "stream_events"}:
            continue
        answer = await guest.send(**request_for(operation, world.ids))
        if not operation.path.startswith("/rooms") or answer.status_code == 403:
            assert problem(answer, 403, "scope_missing")["required_scope"] not in OF_GUESTS
        elif name != "list_rooms":
            problem(answer, 404, "not_found")


async def test_a_guest_that_leaves_or_is_sent_out_is_nobody_at_once(town: Town) -> None:
    room = await a_room(town.ada, allow_guests=True)
    for how in ("leaves", "removed"):
        guest, joined = await town.guest(room)
        async with listening(town.url, guest.token, f"room:{room['id']}") as live:
            if how == "leaves":
                done(await guest.post(at(room, "/leave")))
            else:
                done(await town.ada.delete(at(room, f"/participants/{joined['participant']['id']}")))
            assert await live.closed() == OVER
        problem(await guest.get(at(room)), 401, "credential_revoked")


async def test_with_a_room_its_guests_are_gone(town: Town) -> None:
    room = await a_room(town.ada, allow_guests=True)
    guest, _ = await town.guest(room)
    async with listening(town.url, guest.token, f"room:{room['id']}") as live:
        done(await town.ada.delete(at(room)))
        assert await live.closed() == OVER
    problem(await guest.get(at(room)), 401, "credential_revoked")


async def test_guests_stay_for_as_long_as_an_extended_room(town: Town) -> None:
    room = await a_room(town.ada, allow_guests=True)
    guest, _ = await town.guest(room)
    done(await town.ada.post(at(room, "/extend")))
    stay = await town.house.guests().find(guest.token)
    assert stay.expires_at - town.clock.now() == 2 * LIFETIME


async def test_nobody_comes_as_a_guest_where_none_are_allowed_or_without_a_name(town: Town) -> None:
    closed, opened = await a_room(town.ada), await a_room(town.ada, allow_guests=True)

    async def come(room: Json, **fields: object) -> httpx.Response:
        return await town.http.post(f"{API}/rooms/join", json={"join_code": room["join_code"], **fields})

    problem(await come(closed, display_name="Grace"), 403, "guests_not_allowed")
    problem(await come(opened), 422, "validation_failed")
    problem(await come(opened, display_name=" "), 422, "validation_failed")
    headers = {"Authorization": "Bearer sbguest_no"}
    body = {"join_code": opened["join_code"], "display_name": "Grace"}
    problem(await town.http.post(f"{API}/rooms/join", json=body, headers=headers), 401, "token_invalid")
    assert len(done(await town.ada.get(at(opened)))["participants"]) == 1


async def test_the_answer_to_a_guest_is_not_compressed(town: Town) -> None:
    room = await a_room(town.ada, allow_guests=True, name="Film night " * 9)
    body = {"join_code": room["join_code"], "display_name": "Grace"}
    answer = await town.http.post(f"{API}/rooms/join", json=body, headers={"Accept-Encoding": "gzip"})
    assert len(answer.content) > 1_024
    assert "content-encoding" not in answer.headers


# -------------------------------------------------------------------------------------------------------------- guesses


@pytest_asyncio.fixture
async def strict(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Container, httpx.AsyncClient]]:
    """An assembly with its limits on."""
    house = house_in_memory(settings=set_to(rate_limit_enabled=True))
    async with visited(house) as http:
        yield house, http


async def test_a_password_can_be_tried_five_times_a_minute(strict: tuple[Container, httpx.AsyncClient]) -> None:
    house, http = strict
    ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
    room = await a_room(ada, password="open sesame")
    assert room["password_set"]
    body = {"join_code": room["join_code"]}
    problem(await bob.post("/rooms/join", body), 403, "wrong_password")
    for number in range(5):
        problem(await bob.post("/rooms/join", body | {"password": f"wrong {number}"}), 403, "wrong_password")
    right = body | {"password": "open sesame"}
    assert problem(await bob.post("/rooms/join", right), 429, "rate_limited")
    clock = house.clock()
    assert isinstance(clock, MovableClock)
    clock.advance(timedelta(minutes=1))
    done(await bob.post("/rooms/join", right))


async def test_codes_cannot_be_guessed_at_speed_from_one_address(strict: tuple[Container, httpx.AsyncClient]) -> None:
    house, http = strict
    ada = await sign_up(http, "Ada")
    room = await a_room(ada, allow_guests=True)
    guesses = 0
    while (answer := await http.post(f"{API}/rooms/join", json=guess(guesses))).status_code == 404:
        guesses += 1
        assert guesses < 100
    problem(answer, 429, "rate_limited")
    right = {"join_code": room["join_code"], "display_name": "Grace"}
    problem(await http.post(f"{API}/rooms/join", json=right), 429, "rate_limited")
    transport = httpx.ASGITransport(house.app(), client=("198.51.100.7", 50_000))  # type: ignore[arg-type]
    async with client(transport=transport) as elsewhere:
        done(await elsewhere.post(f"{API}/rooms/join", json=right))


def guess(number: int) -> Json:
    return {"join_code": f"{number:08d}", "display_name": "Mallory"}


async def test_nobody_says_more_than_five_things_in_five_seconds(strict: tuple[Container, httpx.AsyncClient]) -> None:
    _, http = strict
    ada = await sign_up(http, "Ada")
    room = await a_room(ada)
    for _ in range(5):
        done(await ada.post(at(room, "/messages"), {"text": "Hello"}))
    problem(await ada.post(at(room, "/messages"), {"text": "Hello"}), 429, "rate_limited")
