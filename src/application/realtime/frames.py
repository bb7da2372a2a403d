"""The frames of a live connection, as JSON text; what each field means is written in docs/realtime.md."""

from enum import IntEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from application.ports.events import Entry

CHANNELS_MAX = 128

ChannelName = Annotated[str, Meta(min_length=2, max_length=64)]
FrameId = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Connect(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="connect"):
    """The first frame: who is there, what to subscribe at once, and the positions to go on behind.

    Without `token` the Authorization header of the upgrade counts. `resume` maps a stream to the last offset that was
    received of it, in the lineage `epoch`.
    """

    id: FrameId
    token: Annotated[str, Meta(max_length=4_096)] | None = None
    subscribe: Annotated[list[ChannelName], Meta(max_length=CHANNELS_MAX)] = []
    resume: Annotated[dict[str, Offset], Meta(max_length=CHANNELS_MAX)] = {}
    epoch: str | None = None


class Subscribe(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="subscribe"):
    """Follow a channel, from behind `since` or from now on."""

    id: FrameId
    channel: ChannelName
    since: Offset | None = None


class Unsubscribe(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="unsubscribe"):
    """Follow a channel no longer."""

    id: FrameId
    channel: ChannelName


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ping."""

    time: float | None = None


Command = Connect | Subscribe | Unsubscribe | Pong


class Subscribed(Struct, frozen=True):
    """Where a channel stands: its stream, the offset that events follow on, and whether nothing was missed since."""

    stream: str
    offset: int
    recovered: bool


class CloseCode(IntEnum):
    """Why the server closes: 40xx do not come back, 43xx come back with a new token."""

    PROTOCOL = 4001
    NOT_CONNECTED_IN_TIME = 4002
    TOKEN_INVALID = 4003
    REVOKED = 4004
    NO_PONG = 4103
    TOKEN_EXPIRED = 4300


decode_command = msgspec.json.Decoder(Command).decode
_encode = msgspec.json.Encoder().encode
Retry = Literal["no", "later", "reauthenticate", "resync"]


def event_frame(entry: Entry) -> bytes:
    """An event, the same bytes for everybody who gets it."""
    return b'{"type":"event","stream":"%b","offset":%d,"event":%b}' % (entry.stream.encode(), entry.offset, entry.body)


def reply_frame(id: int, data: object) -> bytes:
    return _encode({"type": "reply", "id": id, "data": data})


def error_frame(id: int | None, code: str, message: str, retry: Retry) -> bytes:
    return _encode({"type": "error", "id": id, "code": code, "message": message, "retry": retry})


def unsubscribed_frame(channel: str, code: str) -> bytes:
    return _encode({"type": "unsubscribed", "channel": channel, "code": code})


def resync_frame(stream: str, reason: str) -> bytes:
    return _encode({"type": "resync", "stream": stream, "reason": reason})


def ping_frame(time: float) -> bytes:
    return _encode({"type": "ping", "time": time})
