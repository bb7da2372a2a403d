"""Rooms, their queues and messages inside a unit of work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import asyncpg
from sqlalchemy import and_, bindparam, delete, func, insert, literal_column, select, update

from adapters.postgres.failures import REFUSALS
from adapters.postgres.rooms.terms import ITEMS, OWN, PLAYBACK, POLICIES, ROOM, items_in, playback_of, room_of
from adapters.postgres.statement import Lookup, Part, Statement, bound, lookup_keys
from adapters.postgres.tables import messages, participants, queue_items, queues, rooms
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.rooms import MessageRepository, QueueRepository, RoomRepository, Seated, uses_of
from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.ids import AccountId, MessageId, RoomId, WorkspaceId
from domain.rooms import (
    Control,
    Message,
    Participant,
    Queue,
    QueueItem,
    QueueMode,
    Room,
    RoomRole,
    Seat,
    Visibility,
    refuse_closed,
)

# Another try makes another code, or sees what was written meanwhile.
for _constraint in ("uq_rooms_join_code", "pk_participants", "pk_queues", "pk_queue_items"):
    REFUSALS[_constraint] = Stale
# The room was found before, so it can only have been forgotten meanwhile.
for _constraint in ("fk_participants_room_id", "fk_queues_id", "fk_queue_items_room_id", "fk_messages_room_id"):
    REFUSALS[_constraint] = NotFound

# What a command on the timeline or a report changes. All else is written only if it has changed.
_TIMELINE = (*PLAYBACK, "starts_by", "duration_stated", "warned_minutes", "updated_at", "due_at", "version")
_FIXED = {"id", "workspace_id", "created_by", "created_at"}
_REST = tuple(name for name in (*OWN, *POLICIES) if name not in _FIXED and name not in _TIMELINE)
_rest_of = attrgetter(*(name for name in _REST if name not in POLICIES), "policies")
_own_of, _policies_of, _playback_of = attrgetter(*OWN), attrgetter(*POLICIES), attrgetter(*PLAYBACK)

_IS_OPEN = rooms.c.closed_at.is_(None)
_GET = Statement(select(*ROOM).where(rooms.c.id == bindparam("id")))
_BY_CODE = Statement(
    select(*ROOM)
    .where(rooms.c.join_code == bindparam("code"))
    .order_by(rooms.c.closed_at.desc().nulls_first())
    .limit(literal_column("1"))
)
_OF_ACCOUNT = (
    select(*ROOM)
    .join(participants, participants.c.room_id == rooms.c.id)
    .where(participants.c.account_id == bindparam("account"), ~participants.c.is_over)
    .limit(bindparam("most"))
)
_IN_WORKSPACE = rooms.c.workspace_id == bindparam("workspace")
_ANYWHERE = Statement(_OF_ACCOUNT)
_FOR_MEMBERS = rooms.c.visibility == literal_column(f"'{Visibility.WORKSPACE}'")
_THERE = Statement(_OF_ACCOUNT.where(_IN_WORKSPACE, _FOR_MEMBERS))
_OF_WORKSPACE = Statement(select(*ROOM).where(_IN_WORKSPACE, _IS_OPEN).limit(bindparam("most")))


def _update(*names: str) -> Statement:
    this = rooms.c.id == bindparam("key"), rooms.c.version == bindparam("loaded")
    return Statement(update(rooms).where(*this).values(bound(*names)))


_INSERT = Statement(insert(rooms).values(bound(*OWN, *POLICIES, *PLAYBACK, "due_at", "version")))
# By whether more than the timeline has changed.
_UPDATES = {False: _update(*_TIMELINE), True: _update(*_TIMELINE, *_REST)}

_PARTICIPANT = tuple(field.name for field in fields(Participant))
_participant_values = attrgetter(*_PARTICIPANT)
_INSERT_PARTICIPANT = Statement(insert(participants).values(bound("room_id", *_PARTICIPANT, "is_over")))
_THIS_PARTICIPANT = participants.c.room_id == bindparam("room"), participants.c.account_id == bindparam("account")
_UPDATE_PARTICIPANT = Statement(
    update(participants)
    .where(*_THIS_PARTICIPANT)
    .values(
        bound(*(name for name in _PARTICIPANT if name not in {"id", "account_id", "is_guest", "joined_at"}), "is_over")
    )
)
_DELETE_PARTICIPANT = Statement(delete(participants).where(*_THIS_PARTICIPANT))

_ASKED = lookup_keys("room", "account")
_SEAT = Lookup(
    _ASKED,
    select(
        participants.c.id,
        participants.c.display_name,
        participants.c.role,
        participants.c.muted,
        rooms.c.control,
        rooms.c.workspace_id,
        rooms.c.closed_at,
        rooms.c.close_reason,
        *(rooms.c[name] for name in PLAYBACK),
    )
    .select_from(_ASKED)
    .join(rooms, rooms.c.id == _ASKED.c.room)
    .join(participants, and_(participants.c.room_id == rooms.c.id, participants.c.account_id == _ASKED.c.account)),
)
_STILL_OPEN = Statement(
    select(rooms.c.id)
    .where(rooms.c.id == bindparam("room"), _IS_OPEN, rooms.c.control == bindparam("control"))
    .with_for_update(read=True)
)
_STILL_SEATED = Statement(
    select(participants.c.id)
    .where(*_THIS_PARTICIPANT, participants.c.role == bindparam("role"), participants.c.muted == bindparam("muted"))
    .with_for_update(read=True)
)


class PostgresRooms(RoomRepository):
    """Rooms inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: RoomId) -> Room:
        return self._known(await self._unit.fetchrow(_GET, id=id))

    async def by_code(self, join_code: str) -> Room:
        return self._known(await self._unit.fetchrow(_BY_CODE, code=join_code))

    async def seat(self, id: RoomId, account: AccountId) -> Seated:
        row = await self._unit.look_up(_SEAT, id, account)
        if row is None:
            raise NotFound
        taken = iter(row)
        participant_id, display_name, role, muted, control, workspace, closed_at, reason = (
            next(taken) for _ in range(8)
        )
        refuse_closed(closed_at, reason)
        self._unit.guard(_STILL_OPEN, room=id, control=control)
        self._unit.guard(_STILL_SEATED, room=id, account=account, role=role, muted=muted)
        seat = Seat(account, participant_id, display_name, RoomRole(role), Control(control), muted)
        return Seated(seat, workspace, playback_of(taken))

    async def of_account(self, account: AccountId, most: int, workspace: WorkspaceId | None = None) -> Sequence[Room]:
        statement = _THERE if workspace else _ANYWHERE
        rows = await self._unit.fetch(statement, account=account, most=most, workspace=workspace)
        return [self._known(row) for row in rows]

    async def of_workspace(self, workspace: WorkspaceId, most: int) -> Sequence[Room]:
        rows = await self._unit.fetch(_OF_WORKSPACE, workspace=workspace, most=most)
        return [self._known(row) for row in rows]

    def add(self, room: Room) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            self._unit.note_due(room.due_at)
            self._unit.count(uses_of(room))
            yield _INSERT.part(_values(room))
            yield from _people_writes(room, {}, is_closing=False)

        self._unit.saving(room, writes)

    def save(self, room: Room) -> None:
        # The aggregate never changes its participants in place, so they can be compared with those that were loaded.
        rest, before, uses = self._unit.loaded[room.id]

        def writes(loaded: int) -> Iterable[Part]:
            self._unit.note_due(room.due_at)
            self._unit.count(uses_of(room), uses)
            values = _values(room)
            values["key"], values["loaded"] = room.id, loaded
            yield _UPDATES[rest != _rest_of(room)].part(values)
            yield from _people_writes(room, before, is_closing=room.closed_at is not None)

        self._unit.saving(room, writes)

    def _known(self, row: asyncpg.Record | None) -> Room:
        if row is None:
            raise NotFound
        room = room_of(row)
        self._unit.loaded[room.id] = _rest_of(room), room.participants, uses_of(room)
        return room


def _values(room: Room) -> dict[str, Any]:
    values = dict(zip(OWN, _own_of(room), strict=True))
    values.update(zip(POLICIES, _policies_of(room.policies), strict=True))
    values.update(zip(PLAYBACK, _playback_of(room.playback), strict=True))
    values["due_at"], values["version"] = room.due_at, room.version
    return values


def _people_writes(room: Room, before: Mapping[Any, Participant], is_closing: bool) -> Iterable[Part]:
    after = room.participants
    for id, who in after.items():
        old = before.get(id)
        if old == who and not is_closing:
            continue
        values = dict(zip(_PARTICIPANT, _participant_values(who), strict=True))
        values["is_over"] = is_closing
        if old is None:
            values["room_id"] = room.id
            yield _INSERT_PARTICIPANT.part(values)
        else:
            values["room"], values["account"] = room.id, who.account_id
            yield _UPDATE_PARTICIPANT.part(values)
    for id in before.keys() - after.keys():
        yield _DELETE_PARTICIPANT.part({"room": room.id, "account": before[id].account_id})


_QUEUE = Statement(
    select(
        rooms.c.workspace_id,
        queues.c.mode,
        queues.c.current_id,
        queues.c.ordered,
        queues.c.skips,
        queues.c.version,
        ITEMS.label("items"),
    )
    .select_from(rooms)
    .outerjoin(queues, queues.c.id == rooms.c.id)
    .where(rooms.c.id == bindparam("id"))
)
_QUEUE_COLUMNS = ("mode", "current_id", "ordered", "skips", "version")
_INSERT_QUEUE = Statement(insert(queues).values(bound("id", *_QUEUE_COLUMNS)))
_UPDATE_QUEUE = Statement(
    update(queues)
    .where(queues.c.id == bindparam("key"), queues.c.version == bindparam("loaded"))
    .values(bound(*_QUEUE_COLUMNS))
)
_ITEM = tuple(field.name for field in fields(QueueItem))
_item_values = attrgetter(*_ITEM)
_THIS_ITEM = queue_items.c.room_id == bindparam("room"), queue_items.c.id == bindparam("item")
_INSERT_ITEM = Statement(insert(queue_items).values(bound("room_id", *_ITEM)))
_UPDATE_ITEM = Statement(
    update(queue_items).where(*_THIS_ITEM).values(bound("title", "duration_ms", "duration_stated", "votes"))
)
_DELETE_ITEM = Statement(delete(queue_items).where(*_THIS_ITEM))


class PostgresQueues(QueueRepository):
    """Queues inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: RoomId) -> Queue:
        row = await self._unit.fetchrow(_QUEUE, id=id)
        if row is None:
            raise NotFound
        workspace, *kept = row
        queue = queue_of(id, workspace, kept)
        self._unit.loaded["queue", id] = _all_items(queue)
        return queue

    def save(self, queue: Queue) -> None:
        before = self._unit.loaded["queue", queue.id]

        def writes(loaded: int) -> Iterable[Part]:
            values = {
                "id": queue.id,
                "key": queue.id,
                "loaded": loaded,
                "mode": queue.mode,
                "current_id": queue.current and queue.current.id,
                "ordered": [item.id for item in queue.items],
                "skips": queue.skips,
                "version": queue.version,
            }
            yield (_UPDATE_QUEUE if loaded else _INSERT_QUEUE).part(values)
            yield from _item_writes(queue.id, before, _all_items(queue))

        self._unit.saving(queue, writes)


def queue_of(id: RoomId, workspace: WorkspaceId | None, kept: Sequence[Any]) -> Queue:
    """The queue of a room, from its columns and items; without a row it is empty and at version 0."""
    mode, current, ordered, skips, version, json = kept
    if version is None:
        return Queue(id, workspace)
    items = items_in(json)
    queue = Queue(id, workspace, QueueMode(mode), items.get(current), [items[each] for each in ordered], tuple(skips))
    queue.version = version
    return queue


def _all_items(queue: Queue) -> dict[Any, QueueItem]:
    return {item.id: item for item in (*queue.items, queue.current) if item is not None}


def _item_writes(room: RoomId, before: Mapping[Any, QueueItem], after: Mapping[Any, QueueItem]) -> Iterable[Part]:
    for id, item in after.items():
        if id not in before:
            yield _INSERT_ITEM.part(dict(zip(_ITEM, _item_values(item), strict=True)) | {"room_id": room})
        elif before[id] != item:
            values = {name: getattr(item, name) for name in ("title", "duration_ms", "duration_stated", "votes")}
            yield _UPDATE_ITEM.part(values | {"room": room, "item": id})
    for id in before.keys() - after.keys():
        yield _DELETE_ITEM.part({"room": room, "item": id})


_MESSAGE = (*(field.name for field in fields(Message) if field.init and field.name != "version"), "version")
_message_values = attrgetter(*_MESSAGE)
_GET_MESSAGE = Statement(
    select(*(messages.c[name] for name in _MESSAGE)).where(
        messages.c.id == bindparam("id"), messages.c.room_id == bindparam("room")
    )
)
_before = messages.alias("before")
_NUMBER = (
    select(_before.c.number)
    .where(_before.c.room_id == bindparam("room_id"))
    .order_by(_before.c.number.desc(), _before.c.id.desc())
    .limit(literal_column("1"))
    .scalar_subquery()
)
_ONE_MORE = func.coalesce(_NUMBER, literal_column("0")) + literal_column("1")
_INSERT_MESSAGE = Statement(insert(messages).values(bound(*_MESSAGE) | {"number": _ONE_MORE}))
_UPDATE_MESSAGE = Statement(
    update(messages)
    .where(messages.c.id == bindparam("key"), messages.c.version == bindparam("loaded"))
    .values(bound("text", "deleted_at", "version"))
)


class PostgresMessages(MessageRepository):
    """Messages inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: MessageId, room: RoomId) -> Message:
        row = await self._unit.fetchrow(_GET_MESSAGE, id=id, room=room)
        if row is None:
            raise NotFound
        *values, version = row
        return Message(*values, version=version)

    def add(self, message: Message) -> None:
        self._write(message, _INSERT_MESSAGE)

    def save(self, message: Message) -> None:
        self._write(message, _UPDATE_MESSAGE)

    def _write(self, message: Message, statement: Statement) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            values = dict(zip(_MESSAGE, _message_values(message), strict=True))
            return [statement.part(values | {"key": message.id, "loaded": loaded})]

        self._unit.saving(message, writes)
