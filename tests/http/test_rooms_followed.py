"""Rooms that people entered over HTTP, as they follow them live, and what ends when they are out or time is over."""

from datetime import timedelta

import pytest

from adapters.memory.system import MovableClock
from entrypoints.container import Container
from tests.http.house import house_in_memory, house_on_postgres, served, set_to
from tests.http.test_problems import problem
from tests.http.test_rooms import Town, a_room, at, house, play_a_film, town, url
from tests.support.clients import client, done, listening, sign_up

__all__ = ["house", "town", "url"]

LIFETIME = timedelta(minutes=10)


async def test_a_snapshot_goes_on_behind_its_offset(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    await play_a_film(town.ada, room)
    snapshot = done(await town.bob.get(at(room, "/state")))
    async with listening(town.url, town.bob.token) as live:
        data = (await live.call("subscribe", channel=f"room:{room['id']}", since=snapshot["offset"]))["data"]
        assert data["offset"] == snapshot["offset"]
        done(await town.ada.post(at(room, "/control"), {"action": "pause"}))
        event = await live.event("room.state")
        assert (event["offset"], event["event"]["data"]["status"]) == (snapshot["offset"] + 1, "paused")


async def test_who_was_sent_out_follows_the_room_no_longer(town: Town) -> None:
    room = await a_room(town.ada, town.bob)
    (_, bob) = done(await town.ada.get(at(room)))["participants"]
    async with listening(town.url, town.bob.token, f"room:{room['id']}") as live:
        done(await town.ada.delete(at(room, f"/participants/{bob['id']}")))
        assert (await live.frame("unsubscribed"))["channel"] == f"room:{room['id']}"


async def test_a_guest_hears_what_is_said(town: Town) -> None:
    room = await a_room(town.ada, allow_guests=True)
    guest, _ = await town.guest(room)
    async with listening(town.url, guest.token, f"room:{room['id']}") as live:
        done(await town.ada.post(at(room, "/messages"), {"text": "Hello, Grace"}))
        assert (await live.event("message.said"))["event"]["data"]["text"] == "Hello, Grace"


@pytest.fixture(params=["memory", "postgres"])
def brief(request: pytest.FixtureRequest) -> Container:
    """An assembly, one after the other, in which no room lasts for long."""
    lifetime = {"room_lifetime_seconds": LIFETIME.seconds}
    if request.param == "memory":
        return house_in_memory(settings=set_to(**lifetime))
    database_url = request.getfixturevalue("emptied_database_url")
    return house_on_postgres(database_url, settings=set_to(database_url=database_url, **lifetime))


async def test_when_its_time_is_over_a_room_is_gone_for_those_who_watched(brief: Container) -> None:
    async with served(brief) as url, client(url) as http:
        ada = await sign_up(http, "Ada")
        room, clock = await a_room(ada), brief.clock()
        assert isinstance(clock, MovableClock)
        channel = f"room:{room['id']}"
        async with listening(url, ada.token, channel) as live:
            await live.call("presence", channel=f"presence:{channel}")
            await live.event("participant.changed")  # she is here, so her place outlasts the room
            clock.advance(LIFETIME)
            await live.event("room.expired")
        problem(await ada.post(at(room, "/control"), {"action": "pause"}), 410, "room_expired")
        assert done(await ada.get(at(room)))["close_reason"] == "expired"
