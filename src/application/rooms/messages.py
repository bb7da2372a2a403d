"""The messages of the rooms context: the bodies of its requests and answers."""

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from application.ports.rooms import ParticipantView, RoomView
from application.typed import typed
from domain.rooms import (
    DURATION_MAX_MS,
    ITEM_TITLE_MAX,
    MESSAGE_MAX,
    PARTICIPANT_NAME_MAX,
    PARTICIPANTS_MAX,
    PARTICIPANTS_MIN,
    RATE_MAX,
    RATE_MIN,
    ROOM_NAME_MAX,
    URL_MAX_BYTES,
    Control,
    HostLeave,
    QueueMode,
    RoomRole,
    Visibility,
    Wait,
)

ITEMS_AT_ONCE = 100
ROOM_PASSWORD_MAX = 100
VERSION_MAX = 2**31 - 1

RoomName = Annotated[str, typed(ROOM_NAME_MAX, examples=["Film night"])]
RoomPassword = Annotated[
    str, Meta(min_length=1, max_length=ROOM_PASSWORD_MAX, extra_json_schema={"format": "password"})
]
Seats = Annotated[int, Meta(ge=PARTICIPANTS_MIN, le=PARTICIPANTS_MAX)]
Epoch = Annotated[int, Meta(ge=0, le=VERSION_MAX)]
Position = Annotated[int, Meta(ge=0, le=DURATION_MAX_MS, description="In milliseconds from the beginning.")]
Rate = Annotated[float, Meta(ge=RATE_MIN, le=RATE_MAX)]
Url = Annotated[
    str,
    Meta(
        min_length=1, max_length=URL_MAX_BYTES, description="An http or https address, which the server never fetches."
    ),
]
Title = Annotated[str, Meta(max_length=ITEM_TITLE_MAX)]
Duration = Annotated[int, Meta(ge=1, le=DURATION_MAX_MS)]


class PolicyChoices(Struct, frozen=True, forbid_unknown_fields=True):
    """What the host decides. In a new room absent fields have their defaults; in a change they stay as they are."""

    control: Control | UnsetType = UNSET
    wait: Wait | UnsetType = UNSET
    host_leave: HostLeave | UnsetType = UNSET


class NewRoom(Struct, frozen=True, forbid_unknown_fields=True):
    """A room to open. Without `max_participants` it lets in all it may.

    Without a `workspace_id` it belongs to that which the credential is for, or to none.
    """

    name: RoomName
    workspace_id: UUID | None = None
    visibility: Visibility = Visibility.PRIVATE
    password: RoomPassword | None = None
    max_participants: Seats | UnsetType = UNSET
    allow_guests: bool = False
    policies: PolicyChoices = PolicyChoices()


class RoomPatch(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A JSON merge patch of a room. Absent fields stay as they are; a `password` of null asks for none."""

    name: RoomName | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    password: RoomPassword | None | UnsetType = UNSET
    max_participants: Seats | UnsetType = UNSET
    allow_guests: bool | UnsetType = UNSET
    policies: PolicyChoices | UnsetType = UNSET


class JoinRoom(Struct, frozen=True, forbid_unknown_fields=True):
    """The password of the room, if it has one."""

    password: RoomPassword | None = None


class JoinByCode(Struct, frozen=True, forbid_unknown_fields=True):
    """The code of a room, and its password if it has one. A caller without a token says what they are called."""

    join_code: Annotated[str, Meta(min_length=8, max_length=16, examples=["7K3M9QXV"])]
    password: RoomPassword | None = None
    display_name: Annotated[str, typed(PARTICIPANT_NAME_MAX, examples=["Grace"])] | None = None


class GuestToken(Struct, frozen=True):
    """What a guest calls with, as with an access token. It expires in `expires_in` seconds."""

    access_token: str
    token_type: str
    expires_in: int


class RoomJoined(Struct, frozen=True):
    """The caller's place in a room, and the offset behind which to follow it. `guest` is null for an account."""

    participant: ParticipantView
    room: RoomView
    journal_epoch: str
    offset: int
    guest: GuestToken | None


class RoomInvitation(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to ask into a room."""

    account_id: UUID


class HostTransfer(Struct, frozen=True, forbid_unknown_fields=True):
    """The participant who becomes the host."""

    participant_id: UUID


class ParticipantPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of a participant. Absent fields stay as they are."""

    role: RoomRole | UnsetType = UNSET
    muted: bool | UnsetType = UNSET


class Command(Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with what plays. With an `epoch` only if the timeline has not changed since then.

    `seek` needs a `position_ms`, `rate` a `rate`, `load` an `item_id`. `play` and `load` may have a `position_ms`.
    With an `item_id`, `next` goes on only if that item plays. What an action does not take is refused.
    """

    action: Literal["play", "pause", "seek", "rate", "load", "next"]
    position_ms: Position | None = None
    rate: Rate | None = None
    item_id: UUID | None = None
    epoch: Epoch | None = None


class Skip(Struct, frozen=True, forbid_unknown_fields=True):
    """With an `epoch` the vote counts only if the timeline has not changed since then."""

    epoch: Epoch | None = None


class QueuePatch(Struct, frozen=True, forbid_unknown_fields=True):
    """How the next item is found."""

    mode: QueueMode


class NewItem(Struct, frozen=True, forbid_unknown_fields=True):
    """Something to play."""

    url: Url
    title: Title = ""
    duration_ms: Duration | None = None


class NewItems(Struct, frozen=True, forbid_unknown_fields=True):
    """Several things to play, in their order."""

    items: Annotated[Sequence[NewItem], Meta(min_length=1, max_length=ITEMS_AT_ONCE)]


class ItemPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of an item. Absent fields stay as they are."""

    title: Title | UnsetType = UNSET
    duration_ms: Duration | UnsetType = UNSET


class Move(Struct, frozen=True, forbid_unknown_fields=True):
    """Where in the queue, from 0."""

    position: Annotated[int, Meta(ge=0, le=200)]


class NewMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """Something to say."""

    text: Annotated[str, Meta(min_length=1, max_length=MESSAGE_MAX, examples=["That was good."])]
