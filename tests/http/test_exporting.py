"""A person gets a file with all that there is of them, and nobody else does."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio

from adapters.memory.system import MovableClock
from entrypoints.container import Container
from tests.contracts.house import eventually
from tests.http.house import house_in_memory, house_on_postgres, visited
from tests.http.test_problems import problem
from tests.support.clients import PASSWORD, Json, Person, done, log_in, sign_up


class Village(NamedTuple):
    house: Container
    http: httpx.AsyncClient


@pytest.fixture(params=["memory", "postgres"])
def house(request: pytest.FixtureRequest) -> Container:
    if request.param == "memory":
        return house_in_memory()
    return house_on_postgres(request.getfixturevalue("emptied_database_url"))


@pytest_asyncio.fixture
async def village(house: Container) -> AsyncIterator[Village]:
    async with visited(house) as http:
        yield Village(house, http)


async def exported(person: Person) -> Json:
    """A new export, once it is ready."""
    id = done(await person.post("/me/export"))["id"]

    async def is_ready() -> bool:
        return bool(shown(await person.get("/me/export"), id)["state"] == "ready")

    await eventually(is_ready)
    return shown(await person.get("/me/export"), id)


def shown(response: httpx.Response, id: str) -> Json:
    (found,) = [export for export in done(response)["data"] if export["id"] == id]
    return dict(found)


def unpacked(response: httpx.Response) -> dict[str, list[Json]]:
    """What is in the file, by the names of its folders."""
    assert response.status_code == 200, response.text
    found: dict[str, list[Json]] = {}
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            found.setdefault(name.partition("/")[0], []).extend(json.loads(archive.read(name)))
    return found


async def test_a_file_has_all_that_there_is_of_a_person_and_is_theirs_alone(village: Village) -> None:
    ada, bob = await sign_up(village.http, "Ada"), await sign_up(village.http, "Bob")
    team = (await bob.create_team())["id"]
    await bob.admit(ada, team)
    mine, theirs = await ada.open_task("Mine"), await bob.open_task("Not hers", workspace_id=team)
    done(await ada.post(f"/tasks/{theirs['id']}/comments", {"text": "But I say something."}))
    secret = await bob.open_task("Nothing of Ada's", workspace_id=team)
    room = done(await ada.post("/rooms", {"name": "Film night"}))
    done(await ada.post(f"/rooms/{room['id']}/messages", {"text": "Hello."}))
    done(await bob.post("/rooms/join", {"join_code": room["join_code"]}))

    export = await exported(ada)
    path = f"/me/export/{export['id']}"
    answer = await ada.get(path)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sum(file.file_size for file in archive.infolist()) == export["size"]
    file = unpacked(answer)
    (profile,) = file["account"]
    assert (profile["account"]["email"], len(profile["sessions"])) == (ada.email, 1)
    assert (profile["totp_at"], profile["passkeys"]) == (None, [])
    (preferences,) = file["notification_preferences"]
    assert preferences["types"]["task.assigned"]["email"] is True
    assert {workspace["id"] for workspace in file["workspaces"]} == {ada.id, team}
    assert {task["id"] for task in file["tasks"]} == {mine["id"], theirs["id"]}
    assert [comment["text"] for comment in file["comments"]] == ["But I say something."]
    assert [each["id"] for each in file["rooms"]] == [room["id"]]
    assert [[who["account_id"] for who in each["participants"]] for each in file["rooms"]] == [[ada.id]]
    assert [message["text"] for message in file["messages"]] == ["Hello."]
    assert "account.registered" in {event["type"] for event in file["account_events"]}
    assert secret["id"].encode() not in answer.content
    problem(await bob.get(path), 404, "not_found")
    assert (await village.http.get(f"/api/v1{path}")).status_code == 401
    types = [event["type"] for event in await ada.events("me") if event["resource"]["type"] == "export"]
    assert types == ["export.requested", "export.ready"]

    clock = village.house.clock()
    assert isinstance(clock, MovableClock)
    clock.advance(timedelta(hours=24, seconds=1))
    ada = await log_in(village.http, ada.email)
    problem(await ada.get(path), 404, "not_found")
    assert done(await ada.get("/me/export"))["data"] == []


async def test_who_is_leaving_can_take_everything_along(village: Village) -> None:
    ada = await sign_up(village.http, "Ada")
    done(await ada.send("DELETE", "/me", json={"password": PASSWORD}))
    leaving = await log_in(village.http, ada.email)
    problem(await leaving.get("/tasks"), 403, "scope_missing")
    export = await exported(leaving)
    assert unpacked(await leaving.get(f"/me/export/{export['id']}"))["account"][0]["account"]["id"] == ada.id
