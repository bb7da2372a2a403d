"""Two programs watch together: their players load, start, jump and pause with the room, through a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dependency_injector.providers import Singleton

from adapters.system import SystemClock
from application.realtime.frames import CloseCode
from application.rooms import NewRoom
from domain.rooms import Visibility
from entrypoints.client import Client, RoomPlayer
from entrypoints.container import Container
from tests.http.house import house_in_memory, served
from tests.support.clients import Person, client, sign_up, until
from tests.support.staying_together import Player

FILM = "https://videos.example.org/film.mp4"
LATENCY_MS = 80.0
APART_SECONDS = 0.1


class Member:
    """Somebody in the room, whose player takes a moment to start and to seek."""

    def __init__(self, client: Client, room_id: str) -> None:
        self.client, self.room_id = client, room_id
        self.player = Player(lambda: LATENCY_MS, lambda: 1.0)
        self.loaded: list[str] = []

    async def join(self) -> None:
        joined = await self.client.call("room.join", {"id": self.room_id})
        self.watching = RoomPlayer(self.client, joined, self.player, self._load)

    async def _load(self, item_id: str) -> None:
        self.loaded.append(item_id)


@asynccontextmanager
async def member(url: str, person: Person, room_id: str) -> AsyncIterator[Member]:
    async def token() -> str:
        return person.token

    async with Client(url, token) as own:
        member = Member(own, room_id)
        await member.join()
        running = asyncio.create_task(member.watching.run())
        try:
            yield member
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def open_room(house: Container, person: Person) -> str:
    actor = await house.authentication().identify(person.token)
    return str((await house.rooms().open(actor, NewRoom("Film night", visibility=Visibility.LINK))).id)


async def test_two_programs_start_jump_and_pause_together_and_survive_lost_connections() -> None:
    house = house_in_memory(clock=Singleton(SystemClock))
    async with served(house) as url, client(url) as http, AsyncExitStack() as stack:
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        room_id = await open_room(house, ada)
        members = [await stack.enter_async_context(member(url, who, room_id)) for who in (ada, bob)]
        first, second = members

        def are_together(beyond: float) -> bool:
            positions = [each.player.position for each in members]
            return (
                min(positions) > beyond
                and max(positions) - min(positions) < APART_SECONDS
                and not any(each.player.is_paused or each.player.rate != 1 for each in members)
            )

        item = await first.client.call("room.queue.add", {"id": room_id, "url": FILM, "duration_ms": 3_600_000})
        await first.watching.control("load", item_id=item["id"])
        await until(lambda: are_together(0.5))
        assert first.loaded == second.loaded == [item["id"]]

        await first.watching.control("seek", position_ms=60_000)
        await until(lambda: are_together(60.5))

        for connection in list(house.live()._connections):
            connection.close(CloseCode.SLOW_CONSUMER, "cut by a test")
        await second.client.call("room.get", {"id": room_id})
        await second.watching.control("pause")
        await until(lambda: all(each.player.is_paused for each in members))
        await until(lambda: abs(first.player.position - second.player.position) < 0.02)
        assert first.player.position > 60.5

        told = await first.client.call("room.get", {"id": room_id})
        assert [each["slot_until"] for each in told["participants"]] == [None, None]
