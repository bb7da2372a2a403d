"""Server-sent events: the journal from any offset on, then live, with no hole in between and no longer than allowed."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import timedelta
from uuid import UUID

import pytest
from dependency_injector import providers

from adapters.memory.access import MemoryAccessQueries
from adapters.memory.system import MovableClock
from application.ports.events import Entry
from application.realtime.news import Begun, RightLost, follow
from domain.errors import Unavailable
from domain.ids import AccountId, WorkspaceId
from tests.application.live_house import House
from tests.http.house import house_in_memory, served, set_to
from tests.http.test_problems import problem
from tests.support.builders import principal
from tests.support.clients import (
    API,
    PATIENCE_SECONDS,
    EventStream,
    Json,
    Person,
    client,
    done,
    following,
    log_in,
    sign_up,
)
from tests.support.promised import within


async def offsets(stream: EventStream, count: int) -> list[int]:
    """The offsets of the next events."""
    found = []
    for _ in range(count):
        event = await stream.next()
        assert event is not None
        found.append(int(event["id"]))
    return found


async def test_a_stream_begins_now_unless_it_is_told_where(grace: Person) -> None:
    await grace.open_task("before")
    async with following(grace) as stream:
        task = await grace.open_task("after")
        event = await stream.next()

    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert event is not None
    assert (event["id"], event["event"]) == ("3", "task.created")
    assert event["data"]["resource"]["id"] == task["id"]
    assert (
        event["data"] | {"stream": f"workspace:{grace.id}", "offset": 3}
        == (await grace.events(f"workspace:{grace.id}"))[-1]
    )


async def test_a_stream_resumes_behind_the_last_event_that_was_seen(grace: Person) -> None:
    for n in range(5):
        await grace.open_task(str(n))
    async with following(grace, since=2) as stream:
        assert await offsets(stream, 4) == [3, 4, 5, 6]
        await grace.open_task("live")
        assert await offsets(stream, 1) == [7]


async def test_a_client_without_the_header_says_in_the_query_where_to_begin_and_the_header_counts_more(
    grace: Person,
) -> None:
    for n in range(3):
        await grace.open_task(str(n))
    async with following(grace, last_event_id=2) as stream:
        assert await offsets(stream, 2) == [3, 4]
        assert stream.response.headers["x-accel-buffering"] == "no"
    async with following(grace, since=3, last_event_id=1) as stream:
        assert await offsets(stream, 1) == [4]
    for wrong in ("-1", "x", "1.5", str(10**15)):
        problem(await grace.get("/events/stream", params={"last_event_id": wrong}), 400, "invalid_parameter")


async def test_there_is_no_hole_between_replay_and_live_while_somebody_writes(grace: Person) -> None:
    stop = asyncio.Event()

    async def write() -> int:
        count = 0
        while not stop.is_set():
            await grace.open_task(str(count))
            count += 1
        return count

    writing = asyncio.create_task(write())
    try:
        for since in (0, 1, 3):
            async with following(grace, since=since) as stream:
                assert await offsets(stream, 60) == list(range(since + 1, since + 61))
    finally:
        stop.set()
        await writing


async def test_a_stream_of_a_task_shows_that_task_only(grace: Person) -> None:
    one, other = await grace.open_task("one"), await grace.open_task("other")
    async with following(grace, f"task:{one['id']}", since=0) as stream:
        await grace.patch(f"/tasks/{other['id']}", {"title": "changed"})
        await grace.patch(f"/tasks/{one['id']}", {"title": "changed"})
        assert await offsets(stream, 2) == [2, 5]


async def test_an_offset_of_another_lineage_is_told_and_the_stream_goes_on_from_now(grace: Person) -> None:
    async with following(grace, since=4_711) as stream:
        first = await stream.next()
        await grace.open_task()
        assert first is not None
        assert (first["event"], first["id"]) == ("resync", "1")
        assert await offsets(stream, 1) == [2]


@pytest.mark.parametrize("bad", ["x", "-1", "1.5", "9" * 16, "1, 2"])
async def test_an_offset_that_is_none_is_refused(grace: Person, bad: str) -> None:
    response = await grace.get("/events/stream", headers={"Last-Event-ID": bad})

    assert problem(response, 400, "invalid_parameter")["errors"][0]["pointer"] == "Last-Event-ID"


@pytest.mark.parametrize("channel", ["workspace:{id}", "task:{id}", "account:{id}", "me:{id}", "", "*", "workspace:x"])
async def test_a_stream_of_what_one_may_not_see_is_a_404(grace: Person, linus: Person, channel: str) -> None:
    response = await linus.get("/events/stream", params={"channel": channel.format(id=grace.id)})

    problem(response, 404, "not_found")


async def test_a_stream_needs_a_token(grace: Person) -> None:
    assert (await grace.http.get(f"{API}/events/stream")).status_code == 401


@pytest.mark.parametrize("how", ["logout-all", "password", "session"])
async def test_a_stream_ends_within_a_second_of_its_session(grace: Person, how: str) -> None:
    other = await log_in(grace.http, grace.email)
    async with following(grace) as stream, following(other) as second:
        await grace.open_task()
        assert await offsets(stream, 1) == await offsets(second, 1) == [2]
        with within(1):
            if how == "logout-all":
                done(await grace.post("/auth/logout-all"))
            elif how == "password":
                change = {"current_password": "correct horse battery", "new_password": "a better horse battery"}
                done(await grace.post("/me/password", change))
            else:
                (mine,) = [session for session in done(await grace.get("/auth/sessions"))["data"] if session["current"]]
                done(await other.delete(f"/auth/sessions/{mine['id']}"))
            assert await stream.next() is None
            if how != "session":
                assert await second.next() is None


async def test_a_stream_ends_when_its_token_runs_out() -> None:
    house = house_in_memory()
    clock: MovableClock = house.clock()  # type: ignore[assignment]
    async with served(house) as url, client(url) as http:
        grace = await sign_up(http)
        async with following(grace) as stream:
            await grace.open_task()
            assert await offsets(stream, 1) == [2]
            clock.advance(timedelta(minutes=15))
            assert await stream.next() is None


@pytest.mark.parametrize("channel", ["workspace:{team}", "task:{task}"])
async def test_who_loses_the_membership_is_told_and_hears_no_more(grace: Person, linus: Person, channel: str) -> None:
    team = (await grace.create_team())["id"]
    task = (await grace.open_task(workspace_id=team))["id"]
    await grace.admit(linus, team)
    async with following(linus, channel.format(team=team, task=task)) as stream:
        await grace.patch(f"/tasks/{task}", {"title": "for both"})
        event = await stream.next()
        assert event is not None
        assert event["event"] == "task.updated"
        done(await grace.delete(f"/workspaces/{team}/members/{linus.id}"))
        await grace.patch(f"/tasks/{task}", {"title": "for one"})
        rest = [event["event"] async for event in remaining(stream)]

    assert rest in (["unsubscribed"], ["member.removed", "unsubscribed"])
    problem(await linus.get("/events/stream", params={"channel": f"workspace:{team}"}), 404, "not_found")


async def remaining(stream: EventStream) -> AsyncIterator[Json]:
    while (event := await stream.next()) is not None:
        yield event


async def test_the_end_of_a_workspace_is_the_end_of_its_stream(grace: Person) -> None:
    team = (await grace.create_team())["id"]
    async with following(grace, f"workspace:{team}") as stream:
        done(await grace.delete(f"/workspaces/{team}"))
        assert [event["event"] async for event in remaining(stream)] == ["workspace.deleted", "unsubscribed"]


async def test_while_nobody_can_tell_whether_a_right_was_lost_a_stream_shows_nothing_and_stays() -> None:
    was_asked = asyncio.Event()
    house = house_in_memory()
    away: list[bool] = []

    class Access(MemoryAccessQueries):
        async def workspaces_of(
            self, asked: Collection[tuple[UUID, AccountId]]
        ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
            if away:
                was_asked.set()
                raise Unavailable("The store is away.")
            return await super().workspaces_of(asked)

    house.access_queries.override(providers.Singleton(Access, house.database))
    async with served(house) as url, client(url) as http:
        grace, linus = await sign_up(http, "Grace"), await sign_up(http, "Linus")
        team = (await grace.create_team())["id"]
        await grace.admit(linus, team)
        async with following(linus, f"workspace:{team}") as stream:
            away.append(True)
            done(await grace.delete(f"/workspaces/{team}/members/{linus.id}"))
            await grace.open_task("a secret", workspace_id=team)
            assert (await anext(remaining(stream)))["event"] == "member.removed"
            await asyncio.wait_for(was_asked.wait(), PATIENCE_SECONDS)
            away.clear()
            assert [event["event"] async for event in remaining(stream)] == ["unsubscribed"]


async def test_a_right_that_is_lost_unnoticed_is_missed_when_it_is_asked_for_again() -> None:
    taken_away: list[AccountId] = []

    class Access(MemoryAccessQueries):
        async def workspaces_of(
            self, asked: Collection[tuple[UUID, AccountId]]
        ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
            return await super().workspaces_of([pair for pair in asked if pair[1] not in taken_away])

    house = House()
    house.container.access_queries.override(providers.Singleton(Access, house.container.database))
    await house.settle()
    hub, bob = house.container.hub(), principal(house.bob)
    feed = await hub.channels.feed(bob, house.channel)
    news = follow(hub, house.container.authentication(), bob, feed, None, rights_seconds=0.0)
    assert isinstance(begun := await anext(news), Begun)
    await house.task()
    assert isinstance(created := await anext(news), Entry)
    assert (created.type, created.offset) == ("task.created", begun.offset + 1)
    taken_away.append(bob.account_id)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert isinstance(await anext(news), RightLost)
        assert [each async for each in news] == []


async def test_who_was_removed_and_came_back_replays_all_of_it(grace: Person, linus: Person) -> None:
    team = (await grace.create_team())["id"]
    await grace.admit(linus, team)
    done(await grace.delete(f"/workspaces/{team}/members/{linus.id}"))
    await grace.admit(linus, team)
    task = await grace.open_task("welcome back", workspace_id=team)
    async with following(linus, f"workspace:{team}", since=0) as stream:
        seen: list[Json] = []
        while not seen or seen[-1]["event"] != "task.created":
            event = await stream.next()
            assert event is not None
            seen.append(event)

    types = [event["event"] for event in seen]
    assert types.count("member.added") == 2
    assert "unsubscribed" not in types
    assert seen[-1]["data"]["resource"]["id"] == task["id"]


async def test_a_stream_is_not_bound_by_the_deadline_of_requests() -> None:
    async with served(house_in_memory(settings=set_to(request_deadline_seconds=1.0))) as url, client(url) as http:
        grace = await sign_up(http)
        for accept in ("identity", "gzip"):
            http.headers["Accept-Encoding"] = accept
            async with following(grace) as stream:
                await asyncio.sleep(1.2)  # more than a request may take
                task = await grace.open_task()
                event = await stream.next()
                assert event is not None
                assert event["data"]["resource"]["id"] == task["id"]
                assert "content-encoding" not in stream.response.headers
