"""A room in an assembly in memory, people of all kinds, and short words for what they do there."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from application.due import Later
from application.ports.events import EventFilter, EventView
from application.ports.rooms import RoomView, StateView
from application.principal import Principal
from application.rooms import Command, Entrance, JoinByCode, JoinRoom, NewItem, NewRoom, RoomJoined, RoomQueues, Rooms
from application.workspaces import Workspaces
from domain.access import Role
from domain.channels import PRESENCE, Channel
from domain.ids import RoomId
from domain.rooms import ROOM, Visibility
from entrypoints.container import Container, in_memory
from tests.support.builders import a_team, an_account, principal

ADDRESS = "203.0.113.7"


class Cinema:
    """`ada` opens rooms. All others are accounts too, and in no room at first."""

    def __init__(self, **changes: Any) -> None:
        self.house: Container = in_memory(**changes)
        self.work, self.ids = self.house.work(), self.house.ids()
        self.rooms: Rooms = self.house.rooms()
        self.entrance: Entrance = self.house.entrance()
        self.queues: RoomQueues = self.house.room_queues()
        self.chat = self.house.chat()
        self.workspaces: Workspaces = self.house.workspaces()
        self.journal, self.presence = self.house.journal(), self.house.presence()
        clock, observer = self.house.clock(), self.house.observer()
        assert isinstance(clock, MovableClock)
        assert isinstance(observer, MemoryObserver)
        self.clock, self.observer = clock, observer

    @classmethod
    async def open(cls, *names: str, **changes: Any) -> "Cinema":
        """A cinema with Ada, Bob, Eve and these."""
        cinema = cls(**changes)
        cinema.ada, cinema.bob, cinema.eve = [await cinema.person(name) for name in ("Ada", "Bob", "Eve")]
        return cinema

    ada: Principal
    bob: Principal
    eve: Principal

    async def person(self, name: str) -> Principal:
        return principal(await an_account(self, name))

    async def crowd(self, count: int) -> list[Principal]:
        return [await self.person(f"Person {n}") for n in range(count)]

    async def room(self, *others: Principal, visibility: Visibility = Visibility.LINK, **values: Any) -> RoomView:
        """A room of Ada's with these others in it, all of them connected."""
        opened = await self.rooms.open(self.ada, NewRoom("Film night", visibility=visibility, **values))
        for each in others:
            await self.enter(opened, each)
        await self.connect(opened.id, self.ada, *others)
        return await self.show(opened.id)

    async def enter(self, room: RoomView, who: Principal | None, **values: Any) -> RoomJoined:
        """Come in by the code."""
        return await self.entrance.enter(who, JoinByCode(code_of(room), **values), ADDRESS)

    async def join(self, room: RoomView, who: Principal, password: str | None = None) -> RoomJoined:
        """Come in by the id."""
        return await self.entrance.join(who, RoomId(room.id), JoinRoom(password))

    async def guest(self, room: RoomView, name: str = "Grace") -> tuple[Principal, RoomJoined]:
        """A guest who comes in by the code."""
        joined = await self.enter(room, None, display_name=name)
        assert joined.guest
        return await self.house.guests().find(joined.guest.access_token), joined

    async def connect(self, room: UUID, *people: Principal) -> None:
        """Let a device of each of these be there."""
        for each in people:
            await self.presence.enter(_presence(room), each.account_id, f"of {each.account_id}")
            await self._noticed(room, each, True)

    async def disconnect(self, room: UUID, *people: Principal) -> None:
        """Let these have been gone for ten seconds, as what is live tells then."""
        for each in people:
            await self.presence.leave(_presence(room), f"of {each.account_id}")
            await self._noticed(room, each, False)

    async def _noticed(self, room: UUID, who: Principal, is_here: bool) -> None:
        place = Channel(ROOM, room)
        await self.rooms.attended(place, who.account_id, is_here, "" if is_here else "lost", self.clock.now())

    async def put(self, room: UUID, by: Principal | None = None, count: int = 1, **values: Any) -> list[UUID]:
        """The ids of so many new items in the queue."""
        item = NewItem("https://films.example/1", **{"duration_ms": 60_000, **values})
        return [(await self.queues.add(by or self.ada, RoomId(room), item)).id for _ in range(count)]

    async def control(self, room: UUID, by: Principal | None = None, /, **command: Any) -> StateView:
        return await self.rooms.control(by or self.ada, RoomId(room), Command(**command))

    async def show(self, room: UUID, by: Principal | None = None) -> RoomView:
        return await self.rooms.read(by or self.ada, RoomId(room))

    def wait(self, **duration: float) -> None:
        self.clock.advance(timedelta(**duration))

    async def pass_time(self, **duration: float) -> None:
        """Let time pass, and with it happen what is due by then."""
        self.wait(**duration)
        later = Later(self.house.due(), self.house.broker(), self.clock, self.observer)
        while await later.turn():
            pass

    async def follow_up(self) -> None:
        while await self.house.following_up().turn():
            pass

    async def news(self, room: UUID, after: int = 0) -> list[EventView]:
        """What happened in a room behind an offset."""
        page = await self.journal.page(f"room:{room}", EventFilter(), False, None, 200)
        return [event for event in page.data if event.offset > after]

    async def types(self, room: UUID, after: int = 0) -> list[str]:
        return [event.type for event in await self.news(room, after)]

    async def team(self, *members: Principal) -> UUID:
        """A workspace of Ada's with these members."""
        return (await a_team(self, self.ada.account_id, {each.account_id: Role.MEMBER for each in members})).id


def code_of(room: RoomView) -> str:
    assert room.join_code is not None
    return room.join_code


def _presence(room: UUID) -> str:
    return str(Channel(PRESENCE, Channel(ROOM, room)))
