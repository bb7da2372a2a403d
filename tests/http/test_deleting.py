"""A person deletes their account, on both stores: what goes, what stays, and that nothing tells any more who it was."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple

import asyncpg
import httpx
import pytest
import pytest_asyncio

from adapters.memory.database import MemoryDatabase
from adapters.memory.system import MovableClock
from adapters.postgres.tables import metadata
from domain.identity import ERASED_NAME
from entrypoints.container import Container
from tests.contracts.house import eventually
from tests.http.house import house_in_memory, house_on_postgres, visited
from tests.http.operations import ITEM
from tests.http.test_problems import problem
from tests.support.clients import API, PASSWORD, Json, Person, done, log_in, sign_up

NAME, ADDRESS = "Zebedee", "zebedee."
GRACE = timedelta(seconds=259_200)


class Village(NamedTuple):
    """An assembly, and somebody unknown who calls it."""

    house: Container
    http: httpx.AsyncClient

    async def time_passes(self, duration: timedelta) -> None:
        clock = self.house.clock()
        assert isinstance(clock, MovableClock)
        clock.advance(duration)

    async def is_quiet(self) -> bool:
        """Whether nothing is due, and no consumer has anything left to do."""
        # What failed is tried again after a second.
        await self.time_passes(timedelta(milliseconds=50))
        cursors, clock = self.house.cursors(), self.house.clock()
        due = [await kind.deadlines.look(clock.now(), 1) for kind in self.house.due()]
        return not any(ahead.late for ahead in due) and not await cursors.backlog()

    async def dump(self) -> str:
        """All that is stored, as text."""
        database = self.house.database()
        if isinstance(database, MemoryDatabase):
            kept = database.committed
            return repr(kept._tables) + repr(kept.streams)
        connection = await asyncpg.connect(self.house.settings().database_url)
        try:
            rows = [
                str(await connection.fetchval(f"SELECT array_agg(t.*::text) FROM {table} AS t"))
                for table in metadata.tables
            ]
        finally:
            await connection.close()
        return "".join(rows)


@pytest.fixture(params=["memory", "postgres"])
def house(request: pytest.FixtureRequest) -> Container:
    if request.param == "memory":
        return house_in_memory()
    return house_on_postgres(request.getfixturevalue("emptied_database_url"))


@pytest_asyncio.fixture
async def village(house: Container) -> AsyncIterator[Village]:
    async with visited(house) as http:
        yield Village(house, http)


async def a_life(village: Village, bob: Person) -> tuple[Person, Json]:
    """Somebody called Zebedee, and the ids of what is there of them."""
    zebedee = await sign_up(village.http, NAME)
    team = (await bob.create_team())["id"]
    await bob.admit(zebedee, team, "admin")
    alone = (await zebedee.create_team("Just me"))["id"]
    home = (await zebedee.open_task("Water the plants"))["id"]
    task = (await zebedee.open_task("Ship it", workspace_id=team, assignee_ids=[zebedee.id]))["id"]
    done(await zebedee.post(f"/tasks/{task}/comments", {"text": "I begin."}))
    theirs = (await zebedee.open_task("For Bob", workspace_id=team, assignee_ids=[bob.id]))["id"]
    done(await zebedee.post(f"/tasks/{theirs}/comments", {"text": f"@{bob.id}, will you?"}))
    done(await zebedee.post(f"/workspaces/{team}/invitations", {}, headers={"Idempotency-Key": "invite"}))
    done(await bob.post(f"/workspaces/{(await bob.create_team())['id']}/invitations", {"email": zebedee.email}))
    done(await zebedee.patch("/me", {"display_name": f"{NAME} the Great"}, headers={"Idempotency-Key": "rename"}))
    room = done(await zebedee.post("/rooms", {"name": "Film night", "workspace_id": team}))
    path = f"/rooms/{room['id']}"
    done(await bob.post("/rooms/join", {"join_code": room["join_code"]}))
    done(await zebedee.post(f"{path}/queue", ITEM))
    done(await zebedee.post(f"{path}/messages", {"text": "Hello there."}))
    done(await zebedee.post("/rooms", {"name": "At home", "workspace_id": zebedee.id}))
    problem(
        await village.http.post(f"{API}/auth/login", json={"email": zebedee.email, "password": "no"}),
        401,
        "invalid_credentials",
    )
    ids = {"team": team, "alone": alone, "home": home, "task": task, "room": room["id"]}
    return zebedee, ids


async def test_nothing_tells_any_more_who_a_deleted_account_was(village: Village) -> None:
    bob = await sign_up(village.http, "Bob")
    zebedee, ids = await a_life(village, bob)
    # The grace is over a day, so answers to others that name somebody are gone too; nobody is asked for them here.
    answer = await zebedee.send("DELETE", "/me", json={"password": PASSWORD}, headers={"Idempotency-Key": "bye"})
    assert answer.status_code == 202, answer.text
    problem(await zebedee.get("/me"), 401, "session_ended")
    await eventually(village.is_quiet)
    here = done(await bob.get(f"/rooms/{ids['room']}"))["participants"]
    assert [who["account_id"] for who in here] == [bob.id]
    assert done(await bob.get(f"/tasks/{ids['task']}"))["assignees"] == [zebedee.id]
    there = await village.dump()
    assert NAME in there
    assert ADDRESS in there
    before = await bob.events(f"workspace:{ids['team']}")

    await village.time_passes(GRACE)
    bob = await log_in(village.http, bob.email)
    await eventually(village.is_quiet)
    kept = await village.dump()
    assert NAME not in kept
    assert ADDRESS not in kept
    task = done(await bob.get(f"/tasks/{ids['task']}"))
    assert (task["assignees"], task["created_by"]) == ([], zebedee.id)
    told = [json.loads(bytes(entry.body)) for entry in await village.house.journal().read(f"room:{ids['room']}", 0, 99)]
    named = [event for event in told if event["actor"] == zebedee.id and "display_name" in event["data"]]
    assert [event["type"] for event in named] == ["room.created", "message.said"]
    assert {event["data"]["display_name"] for event in named} == {ERASED_NAME}
    assert named[1]["data"]["text"] == "Hello there."
    (comment,) = done(await bob.get(f"/tasks/{ids['task']}/comments"))["data"]
    assert (comment["author_id"], comment["text"]) == (zebedee.id, "I begin.")
    members = done(await bob.get(f"/workspaces/{ids['team']}/members"))["data"]
    assert [member["account_id"] for member in members] == [bob.id]
    events = await bob.events(f"workspace:{ids['team']}")
    assert events[: len(before)] == before
    assert [event["offset"] for event in events] == list(range(1, len(events) + 1))
    assert {"member.removed", "task.unassigned"} <= {event["type"] for event in events[len(before) :]}
    again = {"email": zebedee.email, "password": PASSWORD, "display_name": "Somebody else"}
    assert done(await village.http.post(f"{API}/auth/register", json=again))["user"]["id"] != zebedee.id
