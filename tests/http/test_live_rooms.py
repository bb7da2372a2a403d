"""Rooms over the live connection, with everything in memory, and on PostgreSQL and Redis."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from dependency_injector import providers

from application.ports.rooms import RoomView
from application.rooms import NewRoom, ParticipantPatch
from application.rooms.measures import REACTIONS_PER_PARTICIPANT
from domain.ids import ParticipantId, RoomId
from domain.rooms import Visibility
from entrypoints.container import Container
from tests.http.house import house_in_memory, house_on_postgres, served, set_to
from tests.support.clients import Json, Listener, Person, client, listening, sign_up

FILM = "https://videos.example.org/film.mp4"


@pytest.fixture(params=["memory", "postgres_and_redis"])
def house(request: pytest.FixtureRequest) -> Container:
    """One assembly after the other; the services start only if a test needs them."""
    if request.param == "memory":
        return house_in_memory()
    database_url, redis_url = (request.getfixturevalue(name) for name in ("emptied_database_url", "redis_url"))
    settings = set_to(database_url=database_url, redis_url=redis_url)
    house = house_on_postgres(database_url, settings=settings)
    # A busy machine is not taken for a Redis that hangs.
    for asks_redis in (house.presence, house.newest, house.limiter, house.cache):
        assert isinstance(asks_redis, providers.Singleton)
        asks_redis.add_kwargs(answer_seconds=30.0)
    return house


class Cinema:
    """A room of Ada's, who has Bob in it, with the live connections of both."""

    def __init__(self, house: Container, url: str, ada: Person, bob: Person) -> None:
        self.house, self.url, self.ada, self.bob = house, url, ada, bob

    async def open(self) -> None:
        actor = await self.house.authentication().identify(self.ada.token)
        self.room: RoomView = await self.house.rooms().open(actor, NewRoom("Film night", visibility=Visibility.LINK))
        self.id, self.channel = str(self.room.id), f"room:{self.room.id}"

    async def enter(self, live: Listener) -> Json:
        """Join, follow everything of the room, and be there."""
        joined = (await live.call("call", method="room.join", params={"id": self.id}))["data"]
        since = joined["offset"]
        assert (await live.call("subscribe", channel=self.channel, since=since))["data"]["recovered"]
        for channel in (f"status:{self.channel}", f"reactions:{self.channel}"):
            assert (await live.call("subscribe", channel=channel))["data"] == {}
        await live.call("presence", channel=f"presence:{self.channel}")
        return dict(joined)

    async def say(self, live: Listener, method: str, **params: object) -> Json:
        """The answer to a command about the room."""
        return await live.call("call", method=f"room.{method}", params={"id": self.id, **params})


@pytest_asyncio.fixture
async def cinema(house: Container) -> AsyncIterator[Cinema]:
    async with served(house) as url, client(url) as http:
        cinema = Cinema(house, url, await sign_up(http, "Ada"), await sign_up(http, "Bob"))
        await cinema.open()
        yield cinema


@pytest_asyncio.fixture
async def lives(cinema: Cinema) -> AsyncIterator[tuple[Listener, Listener]]:
    """Ada and Bob, who are in the room and follow it."""
    async with AsyncExitStack() as stack:
        ada, bob = [
            await stack.enter_async_context(listening(cinema.url, who.token)) for who in (cinema.ada, cinema.bob)
        ]
        for live in (ada, bob):
            await cinema.enter(live)
        yield ada, bob


async def state(live: Listener, status: str) -> Json:
    """The next state of the room with this status, as its event tells."""
    frame = await live.find(
        lambda f: f["type"] == "event" and f["event"]["type"] == "room.state" and f["event"]["data"]["status"] == status
    )
    return dict(frame["event"]["data"])


async def here(live: Listener, person: Person) -> None:
    """Wait until the room knows that this person is connected."""
    await live.find(
        lambda f: (
            f["type"] == "event"
            and f["event"]["type"] == "participant.changed"
            and f["event"]["data"]["account_id"] == person.id
            and f["event"]["changes"].get("slot_until", [None, ""])[1] is None
        )
    )


async def test_two_players_start_together_when_both_are_ready(cinema: Cinema, lives: tuple[Listener, Listener]) -> None:
    ada, bob = lives
    await here(ada, cinema.bob)
    item = (await cinema.say(ada, "queue.add", url=FILM, title="The film", duration_ms=5_400_000))["data"]
    loading = (await cinema.say(ada, "control", action="load", item_id=item["id"]))["data"]
    assert loading["status"] == "loading"
    told = {"epoch": loading["epoch"], "item_id": item["id"], "position_ms": 0, "rtt_ms": 400}
    assert (await cinema.say(ada, "report", **told, ready=False))["data"] is None
    assert (await bob.frame("value"))["key"] == cinema.ada.id
    for live in (ada, bob):
        await cinema.say(live, "report", **told, ready=True)
    playing = [await state(live, "playing") for live in (ada, bob)]
    assert playing[0] == playing[1]
    assert (playing[0]["epoch"], playing[0]["reason"]) == (loading["epoch"] + 1, "ready")

    stale = await cinema.say(bob, "control", action="pause", epoch=loading["epoch"])
    assert (stale["code"], stale["extra"]["state"]["epoch"]) == ("stale_epoch", loading["epoch"] + 1)
    assert (await cinema.say(bob, "control", action="pause", epoch=loading["epoch"] + 1))["data"]["status"] == "paused"
    assert (await state(ada, "paused"))["reason"] == "pause"


async def test_who_comes_later_is_shown_the_newest_reports(cinema: Cinema, lives: tuple[Listener, Listener]) -> None:
    ada, _ = lives
    for position in (1_000, 2_000):
        await cinema.say(ada, "report", epoch=0, item_id=None, position_ms=position, drift_ms=-3)
    async with listening(cinema.url, cinema.bob.token, f"status:{cinema.channel}") as late:
        shown = await late.frame("value")
    assert (shown["key"], shown["data"]["position_ms"], shown["data"]["drift_ms"]) == (cinema.ada.id, 2_000, -3)
    assert "id" not in shown["data"]


async def test_a_report_is_for_those_who_follow_the_room_on_that_connection(cinema: Cinema) -> None:
    report = {"epoch": 0, "item_id": None, "position_ms": 0}
    async with listening(cinema.url, cinema.ada.token) as ada:
        assert (await cinema.say(ada, "report", **report))["code"] == "not_found"
        await cinema.enter(ada)
        assert (await cinema.say(ada, "report", **report))["data"] is None
        for wrong in ({"epoch": -1}, {"position_ms": "soon"}, {"sync": "not at all"}, {"speed": 1}):
            assert (await cinema.say(ada, "report", **{**report, **wrong}))["code"] == "validation_failed"
        async with listening(cinema.url, cinema.bob.token) as bob:
            assert (await bob.call("subscribe", channel=cinema.channel))["code"] == "not_found"
            assert (await cinema.say(bob, "report", **report))["code"] == "not_found"


async def test_reactions_are_emojis_of_those_who_are_not_muted(
    cinema: Cinema, lives: tuple[Listener, Listener]
) -> None:
    ada, bob = lives
    channel = f"reactions:{cinema.channel}"
    assert (await bob.call("publish", channel=channel, data={"emoji": "🎉"}))["data"] == {}
    assert (await ada.frame("value"))["data"] == {"emoji": "🎉"}
    for wrong in ("🎉", {"emoji": ""}, {"emoji": "\u200d"}, {"emoji": "x" * 17}, {"emoji": "🎉", "size": 9}):
        assert (await bob.call("publish", channel=channel, data=wrong))["code"] == "validation_failed"
    actor = await cinema.house.authentication().identify(cinema.ada.token)
    room = await cinema.house.rooms().read(actor, RoomId(cinema.room.id))
    (place,) = [ParticipantId(each.id) for each in room.participants if str(each.account_id) == cinema.bob.id]
    await cinema.house.rooms().change_participant(actor, RoomId(cinema.room.id), place, ParticipantPatch(muted=True))
    assert (await bob.call("publish", channel=channel, data={"emoji": "🎉"}))["code"] == "muted"
    assert (await cinema.say(bob, "say", text="Psst."))["code"] == "muted"
    assert (await ada.call("publish", channel=channel, data={"emoji": "👋"}))["data"] == {}
    assert (await bob.find(lambda f: f["type"] == "value" and f["key"] == cinema.ada.id))["data"] == {"emoji": "👋"}


async def test_reactions_have_a_limit_of_their_own() -> None:
    house = house_in_memory(settings=set_to(rate_limit_enabled=True, rate_limit_max_requests=1_000))
    async with served(house) as url, client(url) as http:
        cinema = Cinema(house, url, await sign_up(http, "Ada"), await sign_up(http, "Bob"))
        await cinema.open()
        async with listening(url, cinema.ada.token) as ada:
            await cinema.enter(ada)
            told = [
                await ada.call("publish", channel=f"reactions:{cinema.channel}", data={"emoji": "🎉"})
                for _ in range(REACTIONS_PER_PARTICIPANT.limit + 1)
            ]
            assert [answer.get("code") for answer in told] == [
                *[None] * REACTIONS_PER_PARTICIPANT.limit,
                "rate_limited",
            ]
            assert (await cinema.say(ada, "say", text="Well."))["data"]["text"] == "Well."


async def test_the_queue_is_arranged_and_voted_on_by_commands(cinema: Cinema, lives: tuple[Listener, Listener]) -> None:
    ada, bob = lives
    first, *_ = (await cinema.say(ada, "queue.add_many", items=[{"url": FILM}, {"url": f"{FILM}?2"}]))["data"]["items"]
    assert (await cinema.say(ada, "queue.arrange", mode="vote"))["data"]["mode"] == "vote"
    assert (await cinema.say(bob, "vote", item_id=first["id"]))["data"] is None
    voted = (await ada.event("queue.voted"))["event"]["data"]
    assert (voted["account_id"], voted["votes"]) == (cinema.bob.id, 1)
    assert (await cinema.say(bob, "vote", item_id=first["id"], wanted=False))["data"] is None
    assert (await ada.event("queue.voted"))["event"]["data"]["votes"] == 0
    moved = (await cinema.say(ada, "queue.move", item_id=first["id"], position=1))["data"]
    assert [item["id"] for item in moved["items"]][1] == first["id"]
    assert (await cinema.say(ada, "queue.remove", item_id=first["id"]))["data"] is None
    assert (await cinema.say(ada, "queue.remove", item_id=first["id"]))["code"] == "not_found"


async def test_who_leaves_loses_every_channel_of_the_room(cinema: Cinema, lives: tuple[Listener, Listener]) -> None:
    ada, bob = lives
    said = (await cinema.say(bob, "say", text="I have to go."))["data"]
    assert (await ada.event("message.said"))["event"]["resource"]["id"] == said["id"]
    assert (await cinema.say(bob, "leave"))["data"] is None
    lost = {(await bob.frame("unsubscribed"))["channel"] for _ in range(4)}
    assert lost == {cinema.channel, *(f"{kind}:{cinema.channel}" for kind in ("status", "reactions", "presence"))}
    assert (await ada.event("participant.left"))["event"]["data"]["account_id"] == cinema.bob.id
    report = {"epoch": 0, "item_id": None, "position_ms": 0}
    assert (await cinema.say(bob, "report", **report))["code"] == "not_found"
    assert (await cinema.say(bob, "get"))["code"] == "not_found"
    assert (await cinema.say(ada, "get"))["data"]["version"] > cinema.room.version
