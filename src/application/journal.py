"""The encoding of events. An event is encoded once, when it is committed, as the JSON that every reader gets."""

from uuid import UUID

import msgspec
from msgspec import UNSET, Raw

from application.ports.events import EventBody, EventView, ResourceRef
from application.principal import correlation
from domain.errors import Invalid
from domain.kernel import Event

NEWS_MAX_BYTES = 4 * 1024 * 1024

_encode = msgspec.json.Encoder().encode


def encode_event(event: Event, id: UUID) -> bytes:
    """The event as UTF-8 JSON in the shape of `EventBody`, with the correlation of the present request."""
    cause = correlation.get()
    return _encode(
        EventBody(
            id=id,
            type=event.type,
            version=event.schema_version,
            at=event.at,
            actor=event.actor,
            resource=ResourceRef(event.resource_type, event.resource_id, event.version),
            changes=event.changes,
            data=event.data,
            request_id=cause.request_id,
            traceparent=cause.traceparent,
            via=None if event.actor is None else cause.via,
            depth=cause.depth or UNSET,
        )
    )


class ChangeTooLarge(Invalid):
    """The events of one unit of work are larger than the journal takes at once."""

    code = "change_too_large"


class News:
    """The events of one unit of work: any number, of at most 4 MiB together.

    They are committed and delivered in one piece. The bound is needed because events hold the old and the new values,
    so a small request can cause large ones. `size` is the number of bytes so far.
    """

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def add(self, event: Event, id: UUID) -> bytes:
        """The event as encoded by `encode_event`; ChangeTooLarge if there is no room for it."""
        body = encode_event(event, id)
        self.size += len(body)
        if self.size > NEWS_MAX_BYTES:
            raise ChangeTooLarge(f"This changes more text than one request may: {NEWS_MAX_BYTES} bytes, old and new.")
        return body


_decode_view = msgspec.json.Decoder(EventView).decode


def event_view(stream: str, offset: int, body: str) -> EventView:
    """The event that `encode_event` encoded as `body`, at its place in the journal."""
    return _decode_view(f'{{"stream":"{stream}","offset":{offset},{body[1:]}')


_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def called(body: str, name: str) -> str:
    """The event with this name as the `display_name` in its `data`. Everything else of it stays as it was written."""
    fields = _fields(body)
    fields["data"] = Raw(_encode(_fields(fields["data"]) | {"display_name": Raw(_encode(name))}))
    return _encode(fields).decode()
