"""Rooms, in which up to ten people watch something together: who is in, what plays, the queue and the messages."""

from domain.rooms.channels import LOSSES, REACTIONS, ROOM, STATUS, room_stream
from domain.rooms.events import NAMING
from domain.rooms.gathering import (
    LIFETIME,
    LIFETIME_LONGEST,
    PARTICIPANT_NAME_MAX,
    PARTICIPANTS_MAX,
    PARTICIPANTS_MIN,
    ROOM_NAME_MAX,
)
from domain.rooms.messages import MESSAGE_MAX, Message
from domain.rooms.participants import Participant, Progress, Report
from domain.rooms.playback import (
    DURATION_MAX_MS,
    LEAD_DEFAULT_MS,
    RATE_MAX,
    RATE_MIN,
    Playback,
    PlaybackStatus,
    lead_ms,
)
from domain.rooms.queue import ITEM_TITLE_MAX, ITEMS_MAX, URL_MAX_BYTES, Queue, QueueItem, QueueMode
from domain.rooms.refusals import (
    Banned,
    GuestsNotAllowed,
    Muted,
    NothingLoaded,
    NotInvitable,
    RoomClosed,
    RoomExpired,
    RoomFull,
    StaleEpoch,
    WrongRoomPassword,
    refuse_closed,
)
from domain.rooms.rights import Control, HostLeave, Policies, Right, RoomRole, Seat, Visibility, Wait
from domain.rooms.room import Room

__all__ = [
    "DURATION_MAX_MS",
    "ITEMS_MAX",
    "ITEM_TITLE_MAX",
    "LEAD_DEFAULT_MS",
    "LIFETIME",
    "LIFETIME_LONGEST",
    "LOSSES",
    "MESSAGE_MAX",
    "NAMING",
    "PARTICIPANTS_MAX",
    "PARTICIPANTS_MIN",
    "PARTICIPANT_NAME_MAX",
    "RATE_MAX",
    "RATE_MIN",
    "REACTIONS",
    "ROOM",
    "ROOM_NAME_MAX",
    "STATUS",
    "URL_MAX_BYTES",
    "Banned",
    "Control",
    "GuestsNotAllowed",
    "HostLeave",
    "Message",
    "Muted",
    "NotInvitable",
    "NothingLoaded",
    "Participant",
    "Playback",
    "PlaybackStatus",
    "Policies",
    "Progress",
    "Queue",
    "QueueItem",
    "QueueMode",
    "Report",
    "Right",
    "Room",
    "RoomClosed",
    "RoomExpired",
    "RoomFull",
    "RoomRole",
    "Seat",
    "StaleEpoch",
    "Visibility",
    "Wait",
    "WrongRoomPassword",
    "lead_ms",
    "refuse_closed",
    "room_stream",
]
