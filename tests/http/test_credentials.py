"""Whoever comes with a credential that has to be looked up is served as somebody with a session is, at every door."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

import pytest
import pytest_asyncio
from dependency_injector import providers

from adapters.memory.system import MovableClock
from application.tasks import TASKS_WRITE
from entrypoints.container import Container
from tests.http.house import house_in_memory, served, set_to
from tests.http.test_problems import problem
from tests.support.badges import Badges
from tests.support.clients import API, PASSWORD, Person, client, done, following, listening, sign_up, until

OVER = 4004


class Site(NamedTuple):
    """An assembly that knows badges, where it is served, and Ada in it, signed in and with a badge."""

    url: str
    house: Container
    badges: Badges
    ada: Person
    holder: Person
    badge: UUID


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    clock = MovableClock()
    badges = Badges(clock)
    house = house_in_memory(
        clock=providers.Object(clock), credentials=providers.List(providers.Object(badges)), settings=set_to()
    )
    async with served(house) as url, client(url) as http:
        ada = await sign_up(http)
        text, id = badges.issue(ada.id, *house.scopes())
        yield Site(url, house, badges, ada, replace(ada, token=text), id)


async def test_a_request_is_answered_as_its_account_and_tells_by_what_it_was_made(site: Site) -> None:
    assert done(await site.holder.get("/me"))["id"] == site.ada.id
    await site.ada.open_task("By a session")
    task = await site.holder.open_task("By a badge")
    by_badge, by_session, created = done(await site.ada.get("/events"))["data"]
    assert (by_badge["actor"], by_badge["via"], by_badge["resource"]["id"]) == (
        site.ada.id,
        str(site.badge),
        task["id"],
    )
    assert (by_session["actor"], by_session["via"]) == (site.ada.id, None)
    assert created["via"] is None


async def test_a_route_that_needs_nobody_acts_for_nobody(site: Site) -> None:
    body = {"email": site.ada.email, "password": PASSWORD}
    done(await site.holder.post("/auth/login", body))
    assert (await site.ada.events("me"))[-1]["type"] == "session.created"
    assert {event["via"] for event in await site.ada.events("me")} == {None}


@pytest.mark.parametrize("by", ["frame", "header", "ticket"])
async def test_a_live_connection_opens_listens_and_acts_with_it(site: Site, by: str) -> None:
    path, headers = f"{API}/ws", {}
    if by == "header":
        headers = site.holder.authorization
    elif by == "ticket":
        ticket = done(await site.holder.post("/live/tickets", {"subscribe": [f"workspace:{site.ada.id}"]}))["ticket"]
        path += f"?ticket={ticket}"
    async with listening(site.url, path=path, additional_headers=headers) as live:
        if by == "ticket":
            data = (await live.frame("reply"))["data"]
        else:
            given = site.holder.token if by == "frame" else None
            data = await live.connect(given, f"workspace:{site.ada.id}")
        assert (data["session"], data["expires_in"]) == (None, 3_600)
        done(await site.ada.post("/tasks", {"title": "By a session"}))
        assert (await live.event())["event"]["via"] is None
        await live.call("call", method="task.create", params={"title": "By a badge"})
        event = (await live.event())["event"]
        assert (event["actor"], event["via"]) == (site.ada.id, str(site.badge))


async def test_a_live_connection_goes_on_with_it_and_not_with_that_of_somebody_else(site: Site) -> None:
    bob = await sign_up(site.ada.http, "Bob")
    his, _ = site.badges.issue(bob.id, *site.house.scopes())
    narrow, first = site.badges.issue(site.ada.id, TASKS_WRITE)
    async with listening(site.url, narrow) as live:
        assert (await live.call("authenticate", token=his))["code"] == "identity_changed"
        assert (await live.call("authenticate", token="badge-of-nobody"))["code"] == "badge_unknown"
        assert (await live.call("authenticate", token=site.holder.token))["data"] == {"expires_in": 3_600}
        site.badges.revoke(first)
        done(await site.ada.post("/auth/logout-all"))
        await live.call("call", method="task.create", params={"title": "Still here"})
        site.badges.revoke(site.badge)
        assert await live.closed() == OVER


async def test_an_event_stream_follows_with_it(site: Site) -> None:
    async with following(site.holder) as stream:
        task = await site.holder.open_task()
        event = await stream.next()
        assert event is not None
        assert (event["data"]["resource"]["id"], event["data"]["via"]) == (task["id"], str(site.badge))
        site.badges.revoke(site.badge)
        assert await stream.next() is None


async def test_once_it_is_revoked_it_opens_nothing_and_what_it_opened_ends(site: Site) -> None:
    ticket = done(await site.holder.post("/live/tickets", {}))["ticket"]
    async with listening(site.url, site.holder.token) as live, listening(site.url, site.ada.token) as other:
        site.badges.revoke(site.badge)
        assert await live.closed() == OVER
        assert live.socket.close_reason == "credential_revoked"
        problem(await site.holder.get("/me"), 401, "credential_revoked")
        with pytest.raises(Exception, match="HTTP 401"):
            async with listening(site.url, path=f"{API}/ws?ticket={ticket}"):
                raise AssertionError
        async with listening(site.url) as late:
            await late.send({"type": "connect", "id": 1, "token": site.holder.token})
            assert await late.closed() == OVER
        done(await site.ada.get("/me"))
        assert (await other.call("subscribe", channel="me"))["type"] == "reply"


async def test_one_that_stands_for_nobody_is_refused(site: Site) -> None:
    stranger = replace(site.ada, token="badge-of-nobody")
    problem(await stranger.get("/me"), 401, "badge_unknown")
    async with listening(site.url) as live:
        await live.send({"type": "connect", "id": 1, "token": stranger.token})
        assert await live.closed() == 4003
        (error,) = live.inbox
        assert (error["id"], error["code"], error["retry"]) == (1, "badge_unknown", "reauthenticate")


async def test_while_nobody_can_tell_whose_it_is_others_are_served_and_it_may_be_tried_again(site: Site) -> None:
    site.badges.is_away = True
    problem(await site.holder.get("/me"), 503, "dependency_unavailable")
    async with listening(site.url) as live:
        await live.send({"type": "connect", "id": 1, "token": site.holder.token})
        assert await live.closed() == 4101
        (error,) = live.inbox
        assert (error["id"], error["retry"]) == (1, "later")
    done(await site.ada.get("/me"))
    site.badges.is_away = False
    done(await site.holder.get("/me"))


async def test_what_is_said_while_it_is_looked_up_is_answered_in_order_afterwards(site: Site) -> None:
    site.badges.is_open.clear()
    async with listening(site.url) as live:
        await live.send({"type": "connect", "id": 1, "token": site.holder.token})
        await live.send({"type": "subscribe", "id": 2, "channel": "me"})
        await live.send({"type": "call", "id": 3, "method": "task.create", "params": {"title": "First"}})
        request = asyncio.create_task(site.holder.get("/me"))
        done(await site.ada.get("/me"))
        assert not request.done()
        site.badges.is_open.set()
        assert [(await live.frame("reply"))["id"] for _ in range(3)] == [1, 2, 3]
        done(await request)


async def test_an_event_keeps_how_many_webhooks_in_a_row_led_to_it_and_so_does_what_follows_from_it(site: Site) -> None:
    """A person cannot say so: it would be told to no webhook then."""
    team = (await site.ada.create_team())["id"]
    bob = await sign_up(site.ada.http, "Bob")
    await site.ada.admit(bob, team)
    task = (await site.ada.open_task(workspace_id=team, assignee_ids=[bob.id]))["id"]
    told = [(site.holder, given) for given in ("2", "99", "-1", "x")]
    for person, given in (*told, (site.ada, "3")):
        title = {"title": f"By {given}"}
        done(await person.patch(f"/tasks/{task}", title, headers={"Webhook-Depth": given}))
    written = [event for event in await site.ada.events(f"task:{task}") if event["type"] == "task.updated"]
    assert [event.get("depth") for event in written] == [2, 5, None, None, None]

    done(await site.holder.delete(f"/workspaces/{team}/members/{bob.id}", headers={"Webhook-Depth": "4"}))
    await until(lambda: is_unassigned(site.ada, task))
    followed = (await site.ada.events(f"task:{task}"))[-1]
    assert (followed["actor"], followed["via"], followed["depth"]) == (site.ada.id, None, 4)


async def is_unassigned(person: Person, task: str) -> bool:
    return not done(await person.get(f"/tasks/{task}"))["assignees"]
