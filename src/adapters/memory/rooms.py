"""Rooms, their queues and messages in memory."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Raw
from msgspec.structs import replace

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.pages import page_of
from adapters.memory.unit import MemoryUnit
from adapters.memory.workspaces import standing_in
from application.journal import called, event_view
from application.paging import Page, decode_cursor
from application.ports.events import Entry
from application.ports.rooms import (
    MESSAGES_KEPT,
    MESSAGES_SHOWN,
    MessageRepository,
    MessageView,
    QueueRepository,
    QueueView,
    RoomQueries,
    RoomRepository,
    RoomSnapshot,
    RoomUpkeep,
    RoomView,
    Seated,
    message_view,
    queue_view,
    uses_of,
    view_of,
)
from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.ids import AccountId, MessageId, RoomId, WorkspaceId
from domain.rooms import NAMING, Message, Queue, Room, Seat, Visibility, room_stream

_Instant = Annotated[datetime, Meta(tz=True)]

ROOMS: Table[RoomId, Room] = Table("rooms")
QUEUES: Table[RoomId, Queue] = Table("queues")
MESSAGES: Table[MessageId, Message] = Table("messages")


def is_open(room: Room) -> int:
    """1 for an open room, which is what figures count."""
    return int(room.closed_at is None)


def here(room: Room) -> int:
    """How many are in an open room."""
    return len(room.participants) if room.closed_at is None else 0


class MemoryRooms(RoomRepository):
    """Rooms inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: RoomId) -> Room:
        return copied(_found(self._unit.tables, id))

    async def by_code(self, join_code: str) -> Room:
        return copied(_by_code(self._unit.tables, join_code))

    async def seat(self, id: RoomId, account: AccountId) -> Seated:
        room = _found(self._unit.tables, id)
        seat = room.seat(account)
        self._unit.require(_still(id, seat))
        return Seated(seat, room.workspace_id, room.playback)

    async def of_account(self, account: AccountId, most: int, workspace: WorkspaceId | None = None) -> Sequence[Room]:
        def is_wanted(room: Room) -> bool:
            is_for_members = room.workspace_id == workspace and room.visibility is Visibility.WORKSPACE
            return room.participant_of(account) is not None and (workspace is None or is_for_members)

        return self._open(is_wanted, most)

    async def of_workspace(self, workspace: WorkspaceId, most: int) -> Sequence[Room]:
        return self._open(lambda room: room.workspace_id == workspace, most)

    def add(self, room: Room) -> None:
        self.save(room)

    def save(self, room: Room) -> None:
        def check(tables: Tables) -> None:
            for other in tables[ROOMS].values():
                if other.join_code == room.join_code and other.id != room.id and is_open(other) and is_open(room):
                    raise Stale

        def kept(saved: Room) -> Room:
            self._unit.note_due(saved.due_at)
            return copied(saved)

        self._unit.saving(room.id, room, ROOMS, check, kept, uses_of)

    def _open(self, is_wanted: Callable[[Room], bool], most: int) -> Sequence[Room]:
        rooms = self._unit.tables[ROOMS].values()
        return [copied(room) for room in islice((r for r in rooms if is_open(r) and is_wanted(r)), most)]


class MemoryQueues(QueueRepository):
    """Queues inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: RoomId) -> Queue:
        return copied(_queue(self._unit.tables, _found(self._unit.tables, id)))

    def save(self, queue: Queue) -> None:
        self._unit.saving(queue.id, queue, QUEUES, lambda tables: _there(tables, queue.id))


class MemoryMessages(MessageRepository):
    """Messages inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: MessageId, room: RoomId) -> Message:
        message = self._unit.tables[MESSAGES].get(id)
        if message is None or message.room_id != room:
            raise NotFound
        return copied(message)

    def add(self, message: Message) -> None:
        self.save(message)

    def save(self, message: Message) -> None:
        self._unit.saving(message.id, message, MESSAGES, lambda tables: _there(tables, message.room_id))


class MemoryRoomQueries(RoomQueries):
    """Rooms for reading only."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def view(self, id: RoomId, by: AccountId) -> RoomView:
        return view_of(self._seen(id, by))

    async def page(
        self,
        by: AccountId,
        workspace: WorkspaceId | None,
        closed: bool,
        cursor: str | None,
        limit: int,
        within: UUID | None = None,
    ) -> Page[RoomView]:
        query = f"rooms {by} {workspace} {closed} {within}"
        after = decode_cursor(cursor, query, UUID) if cursor is not None else None
        tables = self._database.committed
        if workspace is not None and standing_in(tables, workspace, by) is None:
            raise NotFound

        def is_shown(room: Room) -> bool:
            if bool(room.closed_at) is not closed or workspace not in {None, room.workspace_id}:
                return False
            if within not in {None, room.id, room.workspace_id}:
                return False
            is_for_members = workspace is not None and room.visibility is Visibility.WORKSPACE and not closed
            return room.participant_of(by) is not None or (is_for_members and by not in room.banned)

        def shown(room: Room) -> RoomView:
            view = view_of(room)
            return view if room.participant_of(by) else replace(view, join_code=None)

        rooms = filter(is_shown, tables[ROOMS].values())
        return page_of(rooms, shown, lambda room: (room.id,), query, after, limit, descending=True)

    async def snapshot(self, id: RoomId, by: AccountId) -> RoomSnapshot:
        room, tables = self._seen(id, by), self._database.committed
        said = [message_view(message) for message in reversed(_newest(tables, id, MESSAGES_SHOWN))]
        queue = queue_view(_queue(tables, room))
        return RoomSnapshot(view_of(room), queue, said, self._database.epoch, tables.head(room_stream(id)))

    async def queue(self, id: RoomId, by: AccountId) -> QueueView:
        return queue_view(_queue(self._database.committed, self._seen(id, by)))

    async def messages(self, id: RoomId, by: AccountId, cursor: str | None, limit: int) -> Page[MessageView]:
        self._seen(id, by)
        query = f"messages {id}"
        before = decode_cursor(cursor, query, _Instant, UUID) if cursor is not None else None
        newest = _newest(self._database.committed, id, MESSAGES_KEPT)
        return page_of(newest, message_view, _age, query, before, limit, descending=True)

    async def messages_of_person(self, account: AccountId, cursor: str | None, limit: int) -> Page[MessageView]:
        query = f"messages of {account}"
        after = decode_cursor(cursor, query, UUID) if cursor is not None else None
        said = [message for message in self._database.committed[MESSAGES].values() if message.account_id == account]
        return page_of(said, message_view, lambda message: (message.id,), query, after, limit)

    async def participating(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        rooms = self._database.committed[ROOMS]
        return {
            (id, account)
            for id, account in asked
            if (room := rooms.get(RoomId(id))) and is_open(room) and room.participant_of(account)
        }

    async def speaking(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        rooms = self._database.committed[ROOMS]
        return {
            (id, account)
            for id, account in await self.participating(asked)
            if not (who := rooms[RoomId(id)].participant_of(account)) or not who.muted
        }

    async def attended(self, after: RoomId, most: int) -> Sequence[RoomId]:
        rooms = self._database.committed[ROOMS]
        there = (
            id
            for id, room in rooms.items()
            if id > after and is_open(room) and any(each.is_here for each in room.participants.values())
        )
        return sorted(there)[:most]

    def _seen(self, id: RoomId, by: AccountId) -> Room:
        room = _found(self._database.committed, id)
        if room.participant_of(by) is None:
            raise NotFound
        return room


class MemoryRoomUpkeep(RoomUpkeep):
    """Walks all rooms, and all messages."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        def drop(tables: Tables) -> int:
            old = [id for id, room in tables[ROOMS].items() if room.closed_at and room.closed_at < now - kept][:most]
            for id in old:
                _drop_room(tables, id)
            return len(old)

        return await self._dropped(drop)

    async def erase_rooms(self, workspace: WorkspaceId, most: int) -> int:
        def drop(tables: Tables) -> int:
            closed = [room for room in tables[ROOMS].values() if room.workspace_id == workspace and room.closed_at]
            for room in closed[:most]:
                _drop_room(tables, room.id)
            return min(most, len(closed))

        return await self._dropped(drop)

    async def erase_names(self, account: AccountId, name: str, most: int) -> int:
        return await self._dropped(lambda tables: _rename(tables, account, name, most))

    async def forget_messages(self, most: int) -> int:
        def drop(tables: Tables) -> int:
            rooms = [id for id, room in tables[ROOMS].items() if is_open(room)]
            surplus = [message for id in rooms for message in _newest(tables, id, None)[MESSAGES_KEPT:]][:most]
            _drop(tables, surplus)
            return len(surplus)

        return await self._dropped(drop)

    async def _dropped(self, drop: Callable[[Tables], int]) -> int:
        counts: list[int] = []

        def change(tables: Tables) -> Sequence[Entry]:
            counts.append(drop(tables))
            return ()

        await self._database.apply(change, lambda _: None)
        return counts[0]


def _found(tables: Tables, id: RoomId) -> Room:
    room = tables[ROOMS].get(id)
    if room is None:
        raise NotFound
    return room


def _by_code(tables: Tables, join_code: str) -> Room:
    """The open room with this code, or else the one that was closed last."""
    found = [room for room in tables[ROOMS].values() if room.join_code == join_code]
    if not found:
        raise NotFound
    return max(found, key=lambda room: (room.closed_at is None, room.closed_at))


def _there(tables: Tables, id: RoomId) -> None:
    _found(tables, id)


def _still(id: RoomId, seat: Seat) -> Callable[[Tables], None]:
    """A guard: Stale, unless the room is open and the account has this seat."""

    def check(tables: Tables) -> None:
        room = tables[ROOMS].get(id)
        if room is None or not is_open(room) or not room.participant_of(seat.account_id):
            raise Stale
        if room.seat(seat.account_id) != seat:
            raise Stale

    return check


def _queue(tables: Tables, room: Room) -> Queue:
    return tables[QUEUES].get(room.id) or Queue(room.id, room.workspace_id)


def _newest(tables: Tables, room: RoomId, most: int | None) -> list[Message]:
    said = (message for message in tables[MESSAGES].values() if message.room_id == room)
    return sorted(said, key=_age, reverse=True)[:most]


def _drop_room(tables: Tables, id: RoomId) -> None:
    del tables[ROOMS][id]
    tables[QUEUES].pop(id, None)
    _drop(tables, _newest(tables, id, None))


def _rename(tables: Tables, account: AccountId, name: str, most: int) -> int:
    """Put this name beside what the account did, at most `most` times of each kind. Returns how often."""
    said = [each for each in tables[MESSAGES].values() if each.account_id == account and each.display_name != name]
    for message in said[:most]:
        tables[MESSAGES][message.id] = dataclasses.replace(message, display_name=name)
    sat = [
        (room, who)
        for room in tables[ROOMS].values()
        if (who := room.participant_of(account)) and who.display_name != name
    ]
    for room, who in sat[:most]:
        people = room.participants | {who.id: dataclasses.replace(who, display_name=name)}
        tables[ROOMS][room.id] = dataclasses.replace(room, participants=people)
    named = [
        (stream, place, entry)
        for stream, entries in tables.streams.items()
        for place, entry in enumerate(entries)
        if entry.type in NAMING
        and (event := event_view(stream, entry.offset, bytes(entry.body).decode())).actor == account
        and event.data["display_name"] != name
    ]
    for stream, place, entry in named[:most]:
        body = Raw(called(bytes(entry.body).decode(), name).encode())
        entries = list(tables.streams[stream])
        entries[place] = Entry(stream, entry.offset, entry.type, entry.resource_id, body)
        tables.streams[stream] = entries
        tables.borrowed.discard(stream)
    return sum(min(most, len(found)) for found in (said, sat, named))


def _drop(tables: Tables, messages: Iterable[Message]) -> None:
    for message in messages:
        del tables[MESSAGES][message.id]


def _age(message: Message) -> tuple[datetime, UUID]:
    return message.said_at, message.id
