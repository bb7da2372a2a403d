"""A credential for some networks opens nothing to somebody who comes from elsewhere, by whichever door."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from typing import NamedTuple

import pytest
import pytest_asyncio
from dependency_injector import providers

from adapters.memory.system import MovableClock
from tests.http.house import house_in_memory, served, set_to
from tests.http.test_problems import problem
from tests.support.badges import Badges
from tests.support.clients import API, Person, client, done, listening, sign_up

OFFICE = ("198.51.100.0/25", "2001:db8:1:2::/112")
INSIDE = ("198.51.100.7", "2001:db8:1:2::9", "::ffff:198.51.100.7", "[2001:db8:1:2::9]:443")
# The last ones share what is counted of an address with somebody inside, or are none.
OUTSIDE = ("198.51.100.200", "192.0.2.1", "2001:db8:1:3::9", "2001:db8:1:2:1::9", "unknown")


class Site(NamedTuple):
    """Where badges are known, behind a proxy that tells the address of callers, and Ada with a badge for an office."""

    url: str
    ada: Person
    holder: Person


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    badges = Badges(clock := MovableClock())
    house = house_in_memory(
        clock=providers.Object(clock),
        credentials=providers.List(providers.Object(badges)),
        settings=set_to(trusted_proxies=(ip_network("127.0.0.0/8"),)),
    )
    async with served(house) as url, client(url) as http:
        ada = await sign_up(http)
        text, _ = badges.issue(ada.id, *house.scopes(), networks=OFFICE)
        yield Site(url, ada, replace(ada, token=text))


def coming_from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


@pytest.mark.parametrize("address", INSIDE)
async def test_somebody_inside_comes_in_by_every_door(site: Site, address: str) -> None:
    there = coming_from(address)
    assert done(await site.holder.get("/me", headers=there))["id"] == site.ada.id
    ticket = done(await site.holder.post("/live/tickets", {"subscribe": ["me"]}, headers=there))["ticket"]
    async with listening(site.url, path=f"{API}/ws?ticket={ticket}", additional_headers=there) as live:
        assert (await live.frame("reply"))["data"]["session"] is None
    async with listening(site.url, additional_headers=there | site.holder.authorization) as live:
        await live.connect()
    async with listening(site.url, site.ada.token, additional_headers=there) as live:
        await live.call("subscribe", channel="me")
    async with listening(site.url, site.holder.token, additional_headers=there) as live:
        assert (await live.call("authenticate", token=site.holder.token))["type"] == "reply"


@pytest.mark.parametrize("address", OUTSIDE)
@pytest.mark.parametrize("is_known", [False, True])
async def test_somebody_outside_comes_in_by_none(site: Site, address: str, is_known: bool) -> None:
    """Whether or not the credential has just been looked up for somebody inside."""
    there, inside = coming_from(address), coming_from(INSIDE[0])
    if is_known:
        done(await site.holder.get("/me", headers=inside))
    problem(await site.holder.get("/me", headers=there), 401, "network_not_allowed")
    async with asyncio.timeout(5):  # a stream that is not refused has no end
        problem(await site.holder.get("/events/stream", headers=there), 401, "network_not_allowed")
    async with listening(site.url, additional_headers=there) as live:
        await live.send({"type": "connect", "id": 1, "token": site.holder.token})
        assert await live.closed() == 4003
    async with listening(site.url, additional_headers=there | site.holder.authorization) as live:
        await live.send({"type": "connect", "id": 1})
        assert await live.closed() == 4003
    ticket = done(await site.holder.post("/live/tickets", {}, headers=inside))["ticket"]
    with pytest.raises(Exception, match="HTTP 401"):
        async with listening(site.url, path=f"{API}/ws?ticket={ticket}", additional_headers=there):
            raise AssertionError
    done(await site.ada.get("/me", headers=there))


async def test_a_connection_goes_on_with_none_that_is_for_another_network(site: Site) -> None:
    async with listening(site.url, site.ada.token, "me", additional_headers=coming_from("192.0.2.1")) as live:
        assert (await live.call("authenticate", token=site.holder.token))["code"] == "network_not_allowed"
        assert (await live.call("subscribe", channel=f"workspace:{site.ada.id}"))["type"] == "reply"
