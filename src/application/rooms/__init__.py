"""The use cases of rooms, their queues and what is said in them."""

from application.rooms.chat import Chat
from application.rooms.departures import closing, erasing, leaving
from application.rooms.entrance import Entrance
from application.rooms.exported import exported_messages, exported_rooms
from application.rooms.feeds import RoomFeeds
from application.rooms.measures import DRIFT, FIGURES, HAPPENINGS, POLICIES
from application.rooms.messages import (
    Command,
    GuestToken,
    HostTransfer,
    ItemPatch,
    JoinByCode,
    JoinRoom,
    Move,
    NewItem,
    NewItems,
    NewMessage,
    NewRoom,
    ParticipantPatch,
    PolicyChoices,
    QueuePatch,
    RoomInvitation,
    RoomJoined,
    RoomPatch,
    Skip,
)
from application.rooms.notices import NOTICES
from application.rooms.queues import RoomQueues
from application.rooms.reports import RoomLeads, RoomReport, RoomReports
from application.rooms.roll_call import RollCall
from application.rooms.scopes import ROOMS_PLAY, ROOMS_READ, ROOMS_WRITE
from application.rooms.steps import Keeping, RoomSteps
from application.rooms.use_cases import Rooms

__all__ = [
    "DRIFT",
    "FIGURES",
    "HAPPENINGS",
    "NOTICES",
    "POLICIES",
    "ROOMS_PLAY",
    "ROOMS_READ",
    "ROOMS_WRITE",
    "Chat",
    "Command",
    "Entrance",
    "GuestToken",
    "HostTransfer",
    "ItemPatch",
    "JoinByCode",
    "JoinRoom",
    "Keeping",
    "Move",
    "NewItem",
    "NewItems",
    "NewMessage",
    "NewRoom",
    "ParticipantPatch",
    "PolicyChoices",
    "QueuePatch",
    "RollCall",
    "RoomFeeds",
    "RoomInvitation",
    "RoomJoined",
    "RoomLeads",
    "RoomPatch",
    "RoomQueues",
    "RoomReport",
    "RoomReports",
    "RoomSteps",
    "Rooms",
    "Skip",
    "closing",
    "erasing",
    "exported_messages",
    "exported_rooms",
    "leaving",
]
