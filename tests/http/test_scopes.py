"""A credential that is no session does what its scopes say and nothing else, at every door and for every operation."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from dependency_injector import providers

from adapters.memory.system import MovableClock
from application.accounts import ACCOUNT_READ
from application.market import MARKET_READ
from application.scopes import MFA_SETUP, SESSION, UNGIVEN, Scope
from application.tasks import TASKS_READ, TASKS_WRITE
from application.workspaces import EVENTS_READ, WORKSPACE_READ
from entrypoints.container import Container, in_memory
from tests.http.house import house_in_memory, served, set_to, visited
from tests.http.operations import OPERATIONS, PUBLIC, Operation, World, a_world, request_for
from tests.http.test_openapi import described
from tests.http.test_problems import problem
from tests.support.badges import Badges
from tests.support.clients import API, Json, Person, client, done, following, listening, sign_up

SCOPES: list[Scope] = in_memory().scopes()
GUARDED = {name: operation for name, operation in OPERATIONS.items() if API + operation.path not in PUBLIC}
# What they need depends on the channel that they are asked for, which is that of the walk here.
BY_CHANNEL = {"list_events": "events:read", "stream_events": "tasks:read"}
FREE = {"issue_ticket", "list_event_types"}


def house_with(badges: Badges, clock: MovableClock) -> Container:
    credentials = providers.List(providers.Object(badges))
    return house_in_memory(clock=providers.Object(clock), credentials=credentials, settings=set_to())


class Walk(NamedTuple):
    """A world whose owner has badges."""

    http: httpx.AsyncClient
    badges: Badges
    world: World

    async def send(self, operation: Operation, *scopes: Scope) -> httpx.Response:
        """A good request of the owner, by a badge with these scopes."""
        text, _ = self.badges.issue(self.world.owner.id, *scopes)
        return await replace(self.world.owner, token=text).send(**request_for(operation, self.world.ids))


@pytest_asyncio.fixture(scope="module")
async def way() -> AsyncIterator[tuple[httpx.AsyncClient, Badges]]:
    """Somebody unknown who calls an assembly with badges; everybody in it is new in each test."""
    badges = Badges(clock := MovableClock())
    async with visited(house_with(badges, clock)) as http:
        yield http, badges


@pytest_asyncio.fixture
async def walk(way: tuple[httpx.AsyncClient, Badges]) -> Walk:
    return Walk(*way, await a_world(way[0]))


def told(operation: Operation) -> str | None:
    """The scope that the document names."""
    (security,) = described(operation)["security"]
    (name,) = security["bearer"] or [None]
    return name or BY_CHANNEL.get(operation.name)


def test_every_operation_names_a_scope_unless_it_needs_none() -> None:
    assert {name for name, operation in GUARDED.items() if told(operation) is None} == FREE


async def test_no_scope_opens_what_another_one_is_for(walk: Walk) -> None:
    before = await walk.world.owner.events(f"workspace:{walk.world.ids['workspaces']}")
    for operation, scope in product(GUARDED.values(), SCOPES):
        needed = told(operation)
        if needed not in {None, scope.name}:
            said = problem(await walk.send(operation, scope), 403, "scope_missing")
            assert said["required_scope"] == needed, operation
    assert await walk.world.owner.events(f"workspace:{walk.world.ids['workspaces']}") == before


@pytest.mark.parametrize(
    "name", sorted(GUARDED.keys() - {"stream_events", "fetch_export"})
)  # one has no end, the other takes a while
async def test_its_scope_opens_it_and_only_a_session_does_what_is_for_sessions(walk: Walk, name: str) -> None:
    operation = GUARDED[name]
    needed = told(operation)
    if needed in {scope.name for scope in UNGIVEN}:
        problem(await walk.send(operation, *SCOPES), 403, "scope_missing")
    else:
        done(await walk.send(operation, *(scope for scope in SCOPES if scope.name == needed)))


async def test_the_statistics_are_for_sessions(walk: Walk) -> None:
    text, _ = walk.badges.issue(walk.world.owner.id, *SCOPES)
    problem(await walk.http.get("/stats", headers={"Authorization": f"Bearer {text}"}), 403, "scope_missing")


async def test_who_has_to_have_a_second_factor_does_nothing_else_before_at_any_door() -> None:
    class Anything(dict[str, str]):
        def __missing__(self, name: str) -> str:
            return str(uuid4()) if name != "attestation" else ""

    async with served(house_in_memory(settings=set_to(mfa_required="all"))) as url, client(url) as http:
        ada = await sign_up(http)
        open_to_her = {name for name, operation in GUARDED.items() if told(operation) == MFA_SETUP.name} | FREE
        for name, operation in GUARDED.items():
            answer = await ada.send(**request_for(operation, Anything()))
            if name in open_to_her:
                assert answer.status_code != 403, name
            else:
                problem(answer, 403, "mfa_setup_required")
        async with listening(url, ada.token) as live:
            for channel in ("me", f"workspace:{ada.id}"):
                assert (await live.call("subscribe", channel=channel))["code"] == "mfa_setup_required"
            created = await live.call("call", method="task.create", params={"title": "No"})
            assert (created["code"], created["retry"]) == ("mfa_setup_required", "no")


async def test_a_key_of_one_credential_gives_its_answer_to_no_other(walk: Walk) -> None:
    owner = walk.world.owner
    (reading, _), (writing, _) = (walk.badges.issue(owner.id, scope) for scope in (TASKS_READ, TASKS_WRITE))

    async def create(token: str) -> httpx.Response:
        return await replace(owner, token=token).post("/tasks", {"title": "Once"}, headers={"Idempotency-Key": "k"})

    made = done(await create(writing))
    problem(await create(reading), 422, "idempotency_key_reused")
    problem(await create(owner.token), 422, "idempotency_key_reused")
    assert done(await create(writing)) == made


def test_the_page_about_the_interface_lists_every_scope_with_its_operations() -> None:
    section = Path("docs/api.md").read_text().partition("## Scopes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\S+)` \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    expected = []
    for scope in (*sorted(SCOPES, key=lambda scope: scope.name), *UNGIVEN):
        theirs = [o for o in GUARDED.values() if told(o) == scope.name and o.name not in BY_CHANNEL]
        operations = ", ".join(f"`{operation.method} {operation.path}`" for operation in theirs)
        expected.append((scope.name, scope.allows, operations))
    assert rows == expected


class Site(NamedTuple):
    """Where badges are known, Ada, and a task of hers."""

    url: str
    badges: Badges
    ada: Person
    task: str

    def holder(self, *scopes: Scope) -> Person:
        return replace(self.ada, token=self.badges.issue(self.ada.id, *scopes)[0])

    @property
    def home(self) -> str:
        return f"workspace:{self.ada.id}"


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    badges = Badges(clock := MovableClock())
    async with served(house_with(badges, clock)) as url, client(url) as http:
        ada = await sign_up(http)
        yield Site(url, badges, ada, f"task:{(await ada.open_task())['id']}")


def lacks(frame: Json, scope: Scope) -> bool:
    return frame["code"] == "scope_missing" and frame["retry"] == "no" and scope.name in frame["message"]


@pytest.mark.parametrize("by", ["frame", "header", "ticket"])
async def test_a_live_connection_does_what_its_scopes_say_whichever_door_it_came_by(site: Site, by: str) -> None:
    reader = site.holder(TASKS_READ)
    wanted = [site.home, site.task, "me", "market:ACME"]
    path, headers = f"{API}/ws", {}
    if by == "header":
        headers = reader.authorization
    elif by == "ticket":
        path += f"?ticket={done(await reader.post('/live/tickets', {'subscribe': wanted}))['ticket']}"
    async with listening(site.url, path=path, additional_headers=headers) as live:
        if by == "ticket":
            channels = (await live.frame("reply"))["data"]["channels"]
        else:
            channels = (await live.connect(reader.token if by == "frame" else None, *wanted))["channels"]
        refused = {name: code for name, answer in channels.items() if (code := answer.get("code"))}
        assert refused == dict.fromkeys({site.home, "me", "market:ACME"}, "scope_missing")

        for name in (site.home, f"presence:{site.home}", f"typing:{site.home}"):
            assert lacks(await live.call("subscribe", channel=name), EVENTS_READ)
        assert lacks(await live.call("subscribe", channel="market:ACME"), MARKET_READ)
        assert lacks(await live.call("subscribe", channel="me"), ACCOUNT_READ)
        assert lacks(await live.call("presence", channel=f"presence:{site.home}"), EVENTS_READ)
        assert (await live.call("publish", channel=f"typing:{site.home}", data={}))["type"] == "error"
        assert lacks(await live.call("call", method="task.create", params={"title": "No"}), TASKS_WRITE)

        assert (await live.call("presence", channel=f"presence:{site.task}"))["type"] == "reply"
        assert (await live.call("subscribe", channel=f"typing:{site.task}"))["type"] == "reply"
        assert lacks(await live.call("publish", channel=f"typing:{site.task}", data={}), TASKS_WRITE)
        done(await site.ada.patch(f"/tasks/{site.task.partition(':')[2]}", {"title": "Changed"}))
        assert (await live.event())["event"]["type"] == "task.updated"
    assert [task["title"] for task in done(await site.ada.get("/tasks"))["data"]] == ["Changed"]


async def test_what_may_not_be_seen_answers_alike_whether_or_not_it_exists(site: Site) -> None:
    stranger = replace(await sign_up(site.ada.http, "Eve"), token="")
    text, _ = site.badges.issue(stranger.id, WORKSPACE_READ)
    async with listening(site.url, text) as live:
        answers = [await live.call("subscribe", channel=name) for name in (site.home, f"workspace:{stranger.id}")]
        assert all(lacks(answer, EVENTS_READ) for answer in answers)
        assert (await live.call("subscribe", channel="no:channel"))["code"] == "not_found"


async def test_an_event_stream_is_for_the_scope_of_its_channel(site: Site) -> None:
    reader = site.holder(TASKS_READ)
    said = problem(await reader.get("/events/stream", params={"channel": site.home}), 403, "scope_missing")
    assert said["required_scope"] == EVENTS_READ.name
    async with following(reader, site.task, since=0) as stream:
        event = await stream.next()
        assert event is not None
        assert event["data"]["type"] == "task.created"


async def test_a_connection_goes_on_with_a_credential_for_more_and_not_for_less(site: Site) -> None:
    reader, both = site.holder(TASKS_READ), site.holder(TASKS_READ, TASKS_WRITE)
    async with listening(site.url, reader.token, site.task) as live:
        assert lacks(await live.call("call", method="task.create", params={"title": "No"}), TASKS_WRITE)
        assert (await live.call("authenticate", token=both.token))["type"] == "reply"
        assert (await live.call("call", method="task.create", params={"title": "Yes"}))["type"] == "reply"
        assert lacks(await live.call("authenticate", token=reader.token), TASKS_WRITE)
        assert (await live.call("authenticate", token=site.ada.token))["type"] == "reply"
        assert (await live.call("subscribe", channel=site.home))["type"] == "reply"
        assert lacks(await live.call("authenticate", token=both.token), SESSION)
        assert (await live.call("call", method="task.create", params={"title": "Still"}))["type"] == "reply"
