"""Guests, whose accounts do nothing but what their passes say, at every door, until that is over."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from adapters.memory.system import MovableClock
from application.scopes import Scope
from application.tasks import TASKS_READ
from domain.ids import AccountId
from entrypoints.container import Container
from tests.http.house import house_in_memory, house_on_postgres, served
from tests.http.operations import OPERATIONS, PUBLIC, a_world, request_for
from tests.http.test_problems import problem
from tests.support.clients import API, PASSWORD, Person, client, done, listening

OVER = 4004
FROM_HERE_ON = timedelta(hours=24)
# What guests may do. No route needs either of them.
LOOK, SPEAK = Scope("look", "Look at what the guest came for."), Scope("speak", "Say something about it.")
FREE = {"issue_ticket", "list_event_types"}


class Inn(NamedTuple):
    """An assembly with guests, and where it is served."""

    house: Container
    url: str
    http: httpx.AsyncClient

    async def came(self, *scopes: Scope) -> Person:
        """A guest who may do this for a day."""
        now = self.house.clock().now()
        async with self.house.work()() as work:
            account, token = self.house.guests().came(work, "Grace", scopes, now + FROM_HERE_ON, now)
        return Person(self.http, str(account.id), "", token, "")

    async def gone(self, *guests: Person) -> None:
        accounts = [AccountId(UUID(guest.id)) for guest in guests]
        async with self.house.work()() as work:
            await self.house.guests().gone(work, accounts, None, self.house.clock().now())

    async def stay(self, guest: Person, days: int) -> None:
        now = self.house.clock().now()
        async with self.house.work()() as work:
            theirs = [AccountId(UUID(guest.id))]
            await self.house.guests().stay(work, theirs, now + days * FROM_HERE_ON, None, now)


@pytest.fixture(scope="module", params=["memory", "postgres"])
def house(request: pytest.FixtureRequest) -> Container:
    """One assembly after the other, for all tests, as everybody is new in each of them."""
    if request.param == "memory":
        return house_in_memory()
    return house_on_postgres(request.getfixturevalue("new_database")())


@pytest_asyncio.fixture(scope="module")
async def inn(house: Container) -> AsyncIterator[Inn]:
    async with served(house) as url, client(url) as http:
        yield Inn(house, url, http)


async def test_a_guest_may_do_nothing_that_its_pass_does_not_name(inn: Inn) -> None:
    world, guest = await a_world(inn.http), await inn.came(LOOK, SPEAK)
    for name, operation in OPERATIONS.items():
        if API + operation.path not in PUBLIC and name not in FREE:
            problem(await guest.send(**request_for(operation, world.ids)), 403, "scope_missing")
    problem(await inn.http.get("/stats", headers=guest.authorization), 403, "scope_missing")


async def test_a_guest_does_what_its_pass_names_as_an_account_without_any_workspace(inn: Inn) -> None:
    world, guest = await a_world(inn.http), await inn.came(TASKS_READ)
    problem(await guest.get(f"/tasks/{world.ids['tasks']}"), 404, "not_found")
    problem(await guest.get("/tasks"), 404, "not_found")


async def test_nobody_signs_in_as_a_guest(inn: Inn) -> None:
    guest = await inn.came(LOOK)
    for email in ("", "None", "null", guest.id, "Grace"):
        answer = await inn.http.post(f"{API}/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code in {401, 422}
    for cookie in ("", guest.token):
        headers = {"Cookie": f"__Host-refresh={cookie}", "X-Requested-With": "test"}
        problem(await inn.http.post(f"{API}/auth/refresh", headers=headers), 401, "token_invalid")


async def test_a_ticket_of_a_guest_opens_what_the_guest_may_see(inn: Inn) -> None:
    guest = await inn.came(LOOK)
    ticket = done(await guest.post("/live/tickets", {"subscribe": ["me", f"workspace:{guest.id}"]}))["ticket"]
    async with listening(inn.url, path=f"{API}/ws?ticket={ticket}") as live:
        data = (await live.frame("reply"))["data"]
        assert [channel["code"] for channel in data["channels"].values()] == ["scope_missing"] * 2
        assert data["session"] is None


async def test_a_guest_that_is_gone_is_refused_and_what_it_opened_is_closed(inn: Inn) -> None:
    guest, other = await inn.came(TASKS_READ), await inn.came(TASKS_READ)
    ticket = done(await guest.post("/live/tickets", {}))["ticket"]
    async with listening(inn.url, guest.token) as live, listening(inn.url, other.token) as stays:
        await inn.gone(guest)
        assert await live.closed() == OVER
        assert live.socket.close_reason == "credential_revoked"
        problem(await guest.get("/event-types"), 401, "credential_revoked")
        with pytest.raises(Exception, match="HTTP 401"):
            async with listening(inn.url, path=f"{API}/ws?ticket={ticket}"):
                raise AssertionError
        assert (await stays.call("subscribe", channel="me"))["code"] == "scope_missing"
        done(await other.get("/event-types"))


async def test_a_guest_whose_time_is_over_is_refused_unless_it_was_extended(inn: Inn) -> None:
    (guest, other), clock = (await inn.came(LOOK), await inn.came(LOOK)), inn.house.clock()
    assert isinstance(clock, MovableClock)
    await inn.stay(other, 2)
    clock.advance(FROM_HERE_ON)
    problem(await guest.get("/event-types"), 401, "credential_revoked")
    done(await other.get("/event-types"))
    clock.advance(FROM_HERE_ON)
    problem(await other.get("/event-types"), 401, "credential_revoked")


@pytest.mark.parametrize("spoilt", [slice(1, None), slice(0, -1)])
async def test_a_token_that_nobody_was_given_is_none(inn: Inn, spoilt: slice) -> None:
    guest = await inn.came(LOOK)
    assert guest.token.startswith("sbguest_")
    problem(await replace(guest, token=guest.token[spoilt]).get("/event-types"), 401, "token_invalid")


async def test_the_operator_sees_who_is_a_guest(inn: Inn) -> None:
    guest = await inn.came(LOOK)
    listed = [account async for account in inn.house.administration().accounts()]
    (line,) = [account for account in listed if str(account.id) == guest.id]
    assert (line.kind, line.email, line.display_name) == ("guest", None, "Grace")


async def test_a_person_is_told_to_be_one(inn: Inn) -> None:
    world = await a_world(inn.http)
    me = done(await world.owner.get("/me"))
    assert (me["kind"], me["email"]) == ("person", world.owner.email)
