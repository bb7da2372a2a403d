"""The commands of rooms over a live connection."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from application.ports.rooms import MessageView, QueueItemView, QueueView, RoomView, StateView
from application.rooms import (
    Chat,
    Command,
    Entrance,
    JoinRoom,
    Move,
    NewItem,
    NewItems,
    NewMessage,
    QueuePatch,
    RoomJoined,
    RoomQueues,
    RoomReport,
    RoomReports,
    Rooms,
    Skip,
)
from domain.channels import Channel
from domain.ids import QueueItemId, RoomId
from domain.rooms import ROOM
from entrypoints.websocket.calls import Method

# A report asks the store nothing unless it says something new.
REPORT_COST = 0.1


class RoomParams(Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a room."""

    id: UUID


class JoinParams(JoinRoom, frozen=True, kw_only=True):
    """The id of a room, and its password if it has one."""

    id: UUID


class ControlParams(Command, frozen=True, kw_only=True):
    """The id of a room, and what to do with what plays."""

    id: UUID


class ReportParams(RoomReport, frozen=True, kw_only=True):
    """The id of a room that the connection follows, and how the caller's player does."""

    id: UUID


class SkipParams(Skip, frozen=True, kw_only=True):
    """The id of a room, and the epoch of what the caller votes to end."""

    id: UUID


class SayParams(NewMessage, frozen=True, kw_only=True):
    """The id of a room, and something to say."""

    id: UUID


class QueueParams(QueuePatch, frozen=True, kw_only=True):
    """The id of a room, and how the next item is found."""

    id: UUID


class AddParams(NewItem, frozen=True, kw_only=True):
    """The id of a room, and something to play."""

    id: UUID


class AddManyParams(NewItems, frozen=True, kw_only=True):
    """The id of a room, and several things to play."""

    id: UUID


class ItemParams(Struct, frozen=True, forbid_unknown_fields=True):
    """The ids of a room and of an item of its queue."""

    id: UUID
    item_id: UUID


class MoveParams(Move, frozen=True, kw_only=True):
    """The ids of a room and of an item of its queue, and where to move that."""

    id: UUID
    item_id: UUID


class VoteParams(ItemParams, frozen=True, kw_only=True):
    """The ids of a room and of an item of its queue, and whether the caller wants it."""

    wanted: bool = True


def room_methods(
    rooms: Rooms, entrance: Entrance, queues: RoomQueues, chat: Chat, reports: RoomReports
) -> Sequence[Method]:
    """The commands of rooms that can be called over a live connection. Params are those of the route, with ids."""
    return (
        Method("room.get", RoomParams, lambda a, p: rooms.read(a, RoomId(p.id)), RoomView),
        # The answer is read after the place in the room has been committed, so no key holds that back.
        Method("room.join", JoinParams, lambda a, p: entrance.join(a, RoomId(p.id), p), RoomJoined, is_keyless=True),
        Method("room.leave", RoomParams, lambda a, p: rooms.leave(a, RoomId(p.id))),
        Method("room.control", ControlParams, lambda a, p: rooms.control(a, RoomId(p.id), p), StateView),
        Method("room.skip", SkipParams, lambda a, p: rooms.skip(a, RoomId(p.id), p), StateView),
        Method(
            "room.report",
            ReportParams,
            lambda a, p: reports.told(a, RoomId(p.id), p),
            about=lambda p: Channel(ROOM, p.id),
            cost=REPORT_COST,
            is_keyless=True,
        ),
        Method("room.say", SayParams, lambda a, p: chat.say(a, RoomId(p.id), p), MessageView),
        Method(
            "room.vote",
            VoteParams,
            lambda a, p: queues.vote(a, RoomId(p.id), QueueItemId(p.item_id), p.wanted),
        ),
        Method("room.queue.arrange", QueueParams, lambda a, p: queues.arrange(a, RoomId(p.id), p), QueueView),
        Method("room.queue.add", AddParams, lambda a, p: queues.add(a, RoomId(p.id), p), QueueItemView),
        Method("room.queue.add_many", AddManyParams, lambda a, p: queues.add_many(a, RoomId(p.id), p), QueueView),
        Method(
            "room.queue.move",
            MoveParams,
            lambda a, p: queues.move(a, RoomId(p.id), QueueItemId(p.item_id), p),
            QueueView,
        ),
        Method("room.queue.remove", ItemParams, lambda a, p: queues.remove(a, RoomId(p.id), QueueItemId(p.item_id))),
    )
