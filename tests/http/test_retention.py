"""What the journal keeps no longer, and that it is another one after a restore, is told to everybody who reads it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from dependency_injector.providers import Singleton

from adapters.security.passwords import Argon2Hasher
from entrypoints.container import Container
from tests.http.house import house_in_memory, house_on_postgres, served
from tests.http.test_problems import problem
from tests.support.clients import Person, client, done, following, listening, sign_up

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Place:
    """A served assembly, and somebody in it with five tasks: six events in their workspace."""

    house: Container
    url: str
    ada: Person
    tasks: list[str]

    @property
    def channel(self) -> str:
        return f"workspace:{self.ada.id}"

    async def prune(self, most: int) -> None:
        """Drop the oldest events of the workspace, as if time had passed."""
        later = self.house.clock().now() + 2 * KEPT
        while (await self.house.journal().survey([self.channel])).spans[self.channel].tail < most:
            assert await self.house.upkeep().forget_events(later, KEPT, 1) == 1


@pytest.fixture(params=["in memory", "on PostgreSQL"])
def assembly(request: pytest.FixtureRequest) -> Container:
    if request.param == "in memory":
        return house_in_memory()
    # Closed with the house, so each has one of its own.
    hasher = Singleton(Argon2Hasher, memory_kib=8, passes=1)
    return house_on_postgres(request.getfixturevalue("emptied_database_url"), hasher=hasher)


@pytest_asyncio.fixture
async def place(assembly: Container) -> AsyncIterator[Place]:
    house = assembly
    async with served(house) as url, client(url) as http:
        ada = await sign_up(http)
        yield Place(house, url, ada, [(await ada.open_task(str(n)))["id"] for n in range(5)])


async def test_a_socket_that_resumes_before_what_is_kept_is_told_so_and_goes_on(place: Place) -> None:
    await place.prune(4)
    for since, recovered in ((0, False), (3, False), (4, True)):
        async with listening(place.url) as live:
            data = await live.connect(place.ada.token, place.channel, resume={place.channel: since})
            where = data["channels"][place.channel]
            assert (where["recovered"], where["offset"]) == (recovered, 4 if recovered else 6)
            if recovered:
                assert [(await live.event())["offset"] for _ in range(2)] == [5, 6]
            else:
                resync = await live.frame("resync")
                assert resync == {"type": "resync", "stream": place.channel, "reason": "pruned"}
    async with listening(place.url, place.ada.token) as live:
        reply = await live.call("subscribe", channel=f"task:{place.tasks[0]}", since=1)
        assert (reply["data"]["recovered"], (await live.frame("resync"))["reason"]) == (False, "pruned")
        await place.ada.patch(f"/tasks/{place.tasks[0]}", {"title": "New"})
        assert (await live.event())["offset"] == 7


@pytest.mark.parametrize("channel", ["workspace:{id}", "task:{task}"])
async def test_an_event_stream_that_resumes_before_what_is_kept_is_told_so_and_goes_on(
    place: Place, channel: str
) -> None:
    await place.prune(4)
    name = channel.format(id=place.ada.id, task=place.tasks[0])
    async with following(place.ada, name, since=2) as stream:
        resync = await stream.next()
        assert resync == {"event": "resync", "id": "6", "data": {"reason": "pruned"}}
        await place.ada.patch(f"/tasks/{place.tasks[0]}", {"title": "New"})
        event = await stream.next()
        assert event is not None
        assert (event["event"], event["id"]) == ("task.updated", "7")
    async with following(place.ada, since=4) as stream:
        assert [(await stream.next() or {})["id"] for _ in range(3)] == ["5", "6", "7"]


async def test_pages_say_what_is_kept_no_longer_and_histories_end_earlier(place: Place) -> None:
    async def page(path: str, **params: str) -> list[int]:
        return [event["offset"] for event in done(await place.ada.get(path, params=params))["data"]]

    up = done(await place.ada.get("/events", params={"sort": "offset", "limit": "2"}))["next_cursor"]
    down = done(await place.ada.get("/events", params={"limit": "2"}))["next_cursor"]
    await place.prune(4)
    answer = await place.ada.get("/events", params={"sort": "offset", "limit": "2", "cursor": up})
    assert problem(answer, 400, "history_gone")["errors"][0]["pointer"] == "?cursor"
    assert await page("/events", sort="offset") == [5, 6]
    assert await page("/events", cursor=down, limit="2") == []
    assert await page(f"/tasks/{place.tasks[0]}/history") == []
    assert await page(f"/tasks/{place.tasks[4]}/history") == [6]


async def test_open_connections_learn_of_another_lineage_and_go_on(place: Place) -> None:
    async with listening(place.url) as live, following(place.ada) as stream:
        told = (await live.connect(place.ada.token, place.channel, f"task:{place.tasks[0]}"))["epoch"]
        await place.ada.patch(f"/tasks/{place.tasks[0]}", {"title": "Before"})
        assert (await live.event())["offset"] == int((await stream.next() or {})["id"]) == 7
        epoch = await place.house.upkeep().begin_lineage()
        assert await live.frame("resync") == {
            "type": "resync",
            "stream": place.channel,
            "reason": "epoch",
            "offset": 7,
            "epoch": epoch,
        }
        assert await stream.next() == {"event": "resync", "id": "7", "data": {"reason": "epoch"}}
        await place.ada.patch(f"/tasks/{place.tasks[0]}", {"title": "After"})
        assert (await live.event())["offset"] == int((await stream.next() or {})["id"]) == 8
        # A position of before is believed by this connection no more than by a new one.
        assert not [frame for frame in live.inbox if frame["type"] == "resync"]
    for given, recovered in ((told, False), (epoch, True)):
        async with listening(place.url) as live:
            data = await live.connect(place.ada.token, place.channel, resume={place.channel: 7}, epoch=given)
            assert data["epoch"] == epoch
            assert data["channels"][place.channel]["recovered"] is recovered


async def test_a_connection_that_follows_nothing_learns_of_another_lineage_when_it_gives_a_position(
    place: Place,
) -> None:
    async with listening(place.url, place.ada.token) as live:
        epoch = await place.house.upkeep().begin_lineage()
        await place.house.hub().check_heads()
        for resync in ({"type": "resync", "stream": place.channel, "reason": "epoch", "epoch": epoch}, None):
            reply = await live.call("subscribe", channel=place.channel, since=3)
            assert reply["data"] == {
                "stream": place.channel,
                "offset": 3 if resync is None else 6,
                "recovered": resync is None,
            }
            assert [frame for frame in live.inbox if frame["type"] == "resync"] == ([resync] if resync else [])
            live.inbox.clear()
            await live.call("unsubscribe", channel=place.channel)
