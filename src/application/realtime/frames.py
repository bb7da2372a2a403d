"""The frames of a live connection, in both directions; docs/realtime.md explains each field."""

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
    """What a connection follows from its beginning: channels, and the positions to resume from.

    `resume` maps a stream to the last offset that the peer received of it, in the lineage `epoch` of the journal.
    """

    subscribe: Annotated[list[ChannelName], Meta(max_length=CHANNELS_MAX)] = []
    resume: Annotated[dict[ChannelName, Offset], Meta(max_length=CHANNELS_MAX)] = {}
    epoch: Annotated[str, Meta(max_length=64)] | None = None


class Connect(Opening, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="connect", kw_only=True):
    """The first frame: the peer's token, the channels to follow at once, and the positions to resume from.

    Without `token` the Authorization header of the upgrade counts.
    """

    id: FrameId
    token: Token | None = None


class Subscribe(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="subscribe"):
    """Follow a channel after offset `since`, or from now on."""

    id: FrameId
    channel: ChannelName
    since: Offset | None = None


class Unsubscribe(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="unsubscribe"):
    """Stop following a channel and being present there."""

    id: FrameId
    channel: ChannelName


class Publish(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="publish"):
    """Send `data` to the present followers of an ephemeral channel; it is any JSON up to 4 KiB."""

    id: FrameId
    channel: ChannelName
    data: Raw


class BePresent(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="presence"):
    """Be shown as present on a presence channel, and follow which other accounts are present there."""

    id: FrameId
    channel: ChannelName


class Authenticate(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="authenticate"):
    """Continue with a new access token of the same account."""

    id: FrameId
    token: Token


class Call(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="call"):
    """Carry out a command. With a `key` it is carried out once, however often it is sent within 24 hours."""

    id: FrameId
    method: Annotated[str, Meta(min_length=1, max_length=64)]
    params: Raw = msgspec.field(default_factory=lambda: Raw(b"{}"))
    key: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")] | None = None


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ping."""

    time: float | None = None


class AskTime(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="ping"):
    """Ask for the server's clock. `time` is the peer's clock in any unit, and comes back unchanged."""

    time: float
    id: FrameId | None = None


ClientFrame = Connect | Subscribe | Unsubscribe | Publish | BePresent | Authenticate | Call | Pong | AskTime
Retry = Literal["no", "later", "reauthenticate", "resync"]


class Subscribed(Struct, frozen=True, omit_defaults=True):
    """Where a channel stands.

    A durable channel has its `stream`, the `offset` after which its events follow on this connection, and `recovered`:
    whether no event is missing after the position that was asked for. If it shows the events of one `resource` only, it
    has the id of that. A presence channel has the accounts `present`.
    """

    stream: str | None = None
    offset: int | None = None
    recovered: bool | None = None
    present: Sequence[UUID] | None = None
    resource: UUID | None = None


class Refused(Struct, frozen=True, omit_defaults=True):
    """Why a channel was refused, and whether another try can help. `extra` is that of `Error`."""

    code: str
    message: str
    retry: Retry
    extra: Mapping[str, Any] = {}


class Leaver(Struct, frozen=True):
    """An account that has left, and why: it left by itself (`bye`), or its connection was `lost`."""

    account_id: UUID
    why: str


class Reply(Struct, frozen=True, tag_field="type", tag="reply"):
    """The command `id` was carried out."""

    id: int
    data: Any


class Error(Struct, frozen=True, tag_field="type", tag="error", omit_defaults=True):
    """The command `id` was not carried out. `id` is null if no id could be read from the frame.

    `extra` has the members that the problem of the same refusal has over HTTP besides those of every problem, such as
    `current` of a `version_conflict`. It is left out if there are none.
    """

    id: int | None
    code: str
    message: str
    retry: Retry
    extra: Mapping[str, Any] = {}


class Happened(Struct, frozen=True, tag_field="type", tag="event"):
    """An event of the journal, with its stream and offset."""

    stream: str
    offset: int
    event: EventBody


class Value(Struct, frozen=True, tag_field="type", tag="value"):
    """The newest value of a key; on an ephemeral channel, a message whose key is the account that sent it."""

    channel: str
    key: str
    data: Any


class PresenceChange(Struct, frozen=True, tag_field="type", tag="presence"):
    """The accounts that have joined and left a presence channel."""

    channel: str
    joined: Sequence[UUID]
    left: Sequence[Leaver]


class Unsubscribed(Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    """The connection has lost the right to follow a channel, and follows it no longer."""

    channel: str
    code: str


class Resync(Struct, frozen=True, tag_field="type", tag="resync", omit_defaults=True):
    """The peer's position on a stream cannot be resumed: the peer has to read the state anew.

    `reason` is `epoch` if the lineage of the journal has changed, `offset` if the stream ends before the position, and
    `pruned` if the entries after the position are not kept any more. With an `offset`, every channel of the stream
    continues after that offset; without one, the reply that follows tells where. `epoch` is given if it has changed
    since the connection was last told it.
    """

    stream: str
    reason: Reason
    offset: int | None = None
    epoch: str | None = None


class Renew(Struct, frozen=True, tag_field="type", tag="renew"):
    """The token expires in `expires_in` seconds: authenticate with a new one."""

    expires_in: int


class GoingAway(Struct, frozen=True, tag_field="type", tag="going_away"):
    """This server is about to stop: connect again after `retry_ms` milliseconds, and resume."""

    retry_ms: int


class Ping(Struct, frozen=True, tag_field="type", tag="ping"):
    """Answer with a pong. `time` is the clock of the server, in seconds since 1970."""

    time: float


class TellTime(Struct, frozen=True, tag_field="type", tag="pong", omit_defaults=True):
    """The answer to a peer's ping: its `time` and `id`, and when that was `received` and this was `sent`.

    The last two are the clock of the server, in milliseconds since 1970. With both a peer can tell the way from a wait.
    """

    time: float
    received: int
    sent: int
    id: int | None = None


ServerFrame = (
    Reply | Error | Happened | Value | PresenceChange | Unsubscribed | Resync | Renew | GoingAway | Ping | TellTime
)


class CloseCode(IntEnum):
    """Why the server closes.

    40xx: do not connect again; 41xx: connect again after a back-off, and resume; 42xx: connect again after the hinted
    time, and resume; 43xx: connect again with a new token.
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
    """The `data` of the reply to `connect`; `session` is null if the credential is not a session."""
    return {
        "session": session,
        "epoch": epoch,
        "expires_in": expires_in,
        "ping_interval": ping_interval,
        "limits": {"channels": CHANNELS_MAX, "data_bytes": DATA_MAX_BYTES},
        "channels": channels,
    }
