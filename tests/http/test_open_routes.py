"""Routes that strangers may call: those for anybody ignore a bad credential, those for either kind of caller do not."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple

import pytest
import pytest_asyncio
from dependency_injector import providers
from litestar import Router, post
from msgspec import Struct

from adapters.memory.system import MovableClock
from domain.errors import Gone
from entrypoints.http.facts import Facts
from entrypoints.http.openapi import document
from entrypoints.http.request import ApiRequest
from tests.http.house import house_in_memory, served
from tests.http.test_problems import problem
from tests.support.clients import API, PASSWORD, Json, Person, client, done, sign_up


class Rung(Struct, frozen=True):
    """Who rang, and how often that happened."""

    account: str | None
    times: int


class PartyOver(Gone):
    """The party to which somebody came is over."""

    code = "party_over"


def doors() -> Router:
    """A door at which both neighbours and strangers ring, and one behind which nothing is any more."""
    times = 0

    @post("/doorbell", facts=Facts(callers="either"))
    async def ring(request: ApiRequest) -> Rung:
        """Ring the bell."""
        nonlocal times
        times += 1
        who = request.caller.principal
        return Rung(None if who is None else str(who.account_id), times)

    @post("/party", facts=Facts(callers="either", refuses={410}))
    async def join_party(request: ApiRequest) -> Rung:
        """Come to the party."""
        raise PartyOver("The party is over.")

    return Router("/", route_handlers=[ring, join_party], tags=["doors"], opt={"about": "Doors of a street."})


class Street(NamedTuple):
    """Ada, signed in, the clock by which her token expires, and the document of the house."""

    ada: Person
    clock: MovableClock
    document: Json


@pytest_asyncio.fixture
async def street() -> AsyncIterator[Street]:
    clock = MovableClock()
    house = house_in_memory(clock=providers.Object(clock))
    house.routes.add_args(providers.Singleton(doors))
    async with served(house) as url, client(url) as http:
        yield Street(await sign_up(http), clock, document(house.litestar()))


async def spoil(street: Street, how: str) -> dict[str, str]:
    """The header of Ada's credential after it became worthless."""
    if how == "expired":
        street.clock.advance(timedelta(minutes=17))
    elif how == "ended":
        done(await street.ada.post("/auth/logout-all"))
    else:
        return {"Authorization": how}
    return street.ada.authorization


BAD = {
    "expired": "token_expired",
    "ended": "session_ended",
    "Bearer no": "token_invalid",
    "Basic YTpi": "token_missing",
}


async def test_where_both_may_call_it_acts_for_who_comes(street: Street) -> None:
    stranger = await street.ada.http.post(f"{API}/doorbell")
    assert done(stranger) == {"account": None, "times": 1}
    assert done(await street.ada.post("/doorbell")) == {"account": street.ada.id, "times": 2}


@pytest.mark.parametrize("how", BAD)
async def test_where_both_may_call_nobody_becomes_a_stranger_by_a_credential_that_is_over(
    street: Street, how: str
) -> None:
    answer = await street.ada.http.post(f"{API}/doorbell", headers=await spoil(street, how))
    problem(answer, 401, BAD[how])


async def test_where_both_may_call_a_key_counts_for_a_principal_only(street: Street) -> None:
    key = {"Idempotency-Key": "once"}
    known = [done(await street.ada.post("/doorbell", headers=key))["times"] for _ in range(2)]
    strange = [done(await street.ada.http.post(f"{API}/doorbell", headers=key))["times"] for _ in range(2)]
    assert (known, strange) == ([1, 1], [2, 3])


@pytest.mark.parametrize("how", BAD)
async def test_a_credential_that_is_over_keeps_nobody_from_signing_in(street: Street, how: str) -> None:
    headers = await spoil(street, how)
    body = {"email": street.ada.email, "password": PASSWORD}
    assert (await street.ada.http.post(f"{API}/auth/login", json=body, headers=headers)).status_code == 200
    newcomer = {"email": "new@example.org", "password": PASSWORD, "display_name": "New"}
    assert (await street.ada.http.post(f"{API}/auth/register", json=newcomer, headers=headers)).status_code == 201
    assert (await street.ada.http.post(f"{API}/auth/logout", headers=headers)).status_code == 204


async def test_what_is_over_for_good_is_410(street: Street) -> None:
    problem(await street.ada.post("/party"), 410, "party_over")
    problem(await street.ada.http.post(f"{API}/party"), 410, "party_over")


def test_the_document_says_who_may_call_and_who_sets_a_cookie(street: Street) -> None:
    ring = street.document["paths"][f"{API}/doorbell"]["post"]
    assert ring["security"] == [{"bearer": []}, {}]
    assert "401" in ring["responses"]
    assert "Set-Cookie" not in ring["responses"]["201"]["headers"]
    assert "Set-Cookie" in street.document["paths"][f"{API}/auth/login"]["post"]["responses"]["200"]["headers"]
    assert "410" in street.document["paths"][f"{API}/party"]["post"]["responses"]
