"""What is said on a live connection, in both directions; what each field means is written in docs/realtime.md."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Raw, Struct

from application.ports.events import EventBody

CHANNELS_MAX = 128
DATA_MAX_BYTES = 4_096

ChannelName = Annotated[str, Meta(min_length=2, max_length=64)]
FrameId = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Token = Annotated[str, Meta(max_length=4_096)]
Reason = Literal["epoch", "offset", "pruned"]


class Opening(Struct, frozen=True, forbid_unknown_fields=True):
    """What a connection follows from its beginning: channels, and the positions to go on from.

    `resume` maps a stream to the last offset that was received of it, in the lineage `epoch` of the journal.
    """

    subscribe: Annotated[list[ChannelName], Meta(max_length=CHANNELS_MAX)] = []
    resume: Annotated[dict[ChannelName, Offset], Meta(max_length=CHANNELS_MAX)] = {}
    epoch: Annotated[str, Meta(max_length=64)] | None = None


class Connect(Opening, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="connect", kw_only=True):
    """The first frame: who is there, what to subscribe at once, and the positions to go on from.

    Without `token` the Authorization header of the upgrade counts.
    """

    id: FrameId
    token: Token | None = None


class Subscribe(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="subscribe"):
    """Follow a channel, after offset `since` or from now on."""

    id: FrameId
    channel: ChannelName
    since: Offset | None = None


class Unsubscribe(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="unsubscribe"):
    """Follow a channel no longer, and be present there no longer."""

    id: FrameId
    channel: ChannelName


class Publish(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="publish"):
    """Say something on an ephemeral channel, to those who follow it now; `data` is any JSON up to 4 KiB."""

    id: FrameId
    channel: ChannelName
    data: Raw


class BePresent(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="presence"):
    """Be shown as present in a workspace or task, and follow who else is."""

    id: FrameId
    channel: ChannelName


class Authenticate(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="authenticate"):
    """Go on with a new access token of the same account."""

    id: FrameId
    token: Token


class Call(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="call"):
    """Carry out a command; with a `key`, once however often it is sent within 24 hours."""

    id: FrameId
    method: Annotated[str, Meta(min_length=1, max_length=64)]
    params: Raw = msgspec.field(default_factory=lambda: Raw(b"{}"))
    key: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")] | None = None


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ping."""

    time: float | None = None


ClientFrame = Connect | Subscribe | Unsubscribe | Publish | BePresent | Authenticate | Call | Pong
Retry = Literal["no", "later", "reauthenticate", "resync"]


class Subscribed(Struct, frozen=True, omit_defaults=True):
    """Where a channel stands.

    Of a durable channel: its stream, the offset after which its events follow on this connection, and whether nothing
    was missed since the position that was asked for. Of a presence channel: who is there.
    """

    stream: str | None = None
    offset: int | None = None
    recovered: bool | None = None
    present: Sequence[UUID] | None = None


class Refused(Struct, frozen=True):
    """Why something was not done, and whether it is worth another try."""

    code: str
    message: str
    retry: Retry


class Gone(Struct, frozen=True):
    """Who has left, and whether that was their doing (`bye`) or their connection was `lost`."""

    account_id: UUID
    why: str


class Reply(Struct, frozen=True, tag_field="type", tag="reply"):
    """The command `id` was carried out."""

    id: int
    data: Any


class Error(Struct, frozen=True, tag_field="type", tag="error"):
    """The command `id` was not carried out; null if the frame had no id that could be read."""

    id: int | None
    code: str
    message: str
    retry: Retry


class Happened(Struct, frozen=True, tag_field="type", tag="event"):
    """Something happened: an event of the journal at its place."""

    stream: str
    offset: int
    event: EventBody


class Value(Struct, frozen=True, tag_field="type", tag="value"):
    """The newest value of a key, or a word on an ephemeral channel, whose key is the account that said it."""

    channel: str
    key: str
    data: Any


class PresenceChange(Struct, frozen=True, tag_field="type", tag="presence"):
    """Who has come and who has gone."""

    channel: str
    joined: Sequence[UUID]
    left: Sequence[Gone]


class Unsubscribed(Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    """The right to follow a channel is gone."""

    channel: str
    code: str


class Resync(Struct, frozen=True, tag_field="type", tag="resync", omit_defaults=True):
    """Nothing follows the position, for this reason: the state has to be read anew.

    The journal is another one (`epoch`), ends before it (`offset`) or begins later (`pruned`). With an `offset`,
    every channel of the stream goes on after that from now on; without one this belongs to the reply that follows.
    `epoch` is given if it is another one than the connection was told.
    """

    stream: str
    reason: Reason
    offset: int | None = None
    epoch: str | None = None


class Renew(Struct, frozen=True, tag_field="type", tag="renew"):
    """The token expires in so many seconds: authenticate with a new one."""

    expires_in: int


class GoingAway(Struct, frozen=True, tag_field="type", tag="going_away"):
    """This server is about to stop: connect again after so many milliseconds, and resume."""

    retry_ms: int


class Ping(Struct, frozen=True, tag_field="type", tag="ping"):
    """Answer with a pong; `time` is the server's, in seconds since 1970."""

    time: float


ServerFrame = Reply | Error | Happened | Value | PresenceChange | Unsubscribed | Resync | Renew | GoingAway | Ping


class CloseCode(IntEnum):
    """Why the server closes.

    40xx: do not come back; 41xx: come back after a back-off, and resume; 42xx: come back when the hint says; 43xx: come
    back with a new token.
    """

    PROTOCOL = 4001
    NOT_CONNECTED_IN_TIME = 4002
    TOKEN_INVALID = 4003
    REVOKED = 4004
    FLOOD = 4008
    SLOW_CONSUMER = 4100
    UNAVAILABLE = 4101
    NO_PONG = 4103
    RATE_LIMITED = 4104
    TOO_MANY_CONNECTIONS = 4105
    DRAINING = 4200
    TOKEN_EXPIRED = 4300


def connected_data(
    session: str | None, epoch: str, expires_in: int, ping_interval: float, channels: Mapping[str, Subscribed | Refused]
) -> Mapping[str, Any]:
    """The `data` of the reply to `connect`; `session` is null if the credential is none."""
    return {
        "session": session,
        "epoch": epoch,
        "expires_in": expires_in,
        "ping_interval": ping_interval,
        "limits": {"channels": CHANNELS_MAX, "data_bytes": DATA_MAX_BYTES},
        "channels": channels,
    }
