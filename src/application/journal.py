"""How an event is written down: once, when it is committed, as the JSON that every reader gets."""

from uuid import UUID

import msgspec

from application.ports.events import EventBody, EventView, ResourceRef
from application.principal import correlation
from domain.errors import Invalid
from domain.kernel import Event

NEWS_MAX_BYTES = 4 * 1024 * 1024

_encode = msgspec.json.Encoder().encode


def encode_event(event: Event, id: UUID) -> bytes:
    """The event as UTF-8 JSON in the shape of `EventBody`, tied to the request in whose course this is called."""
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
        )
    )


class ChangeTooLarge(Invalid):
    """What one unit of work would tell is more than the journal takes at once."""

    code = "change_too_large"


class News:
    """What one unit of work tells: any number of events, of at most 4 MiB together.

    They are committed and delivered in one piece, and tell what was before and what is now, so that a small request
    could have a large one. `size` is how many bytes there are so far.
    """

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def add(self, event: Event, id: UUID) -> bytes:
        """The event as `encode_event` writes it down; ChangeTooLarge if there is no room for it."""
        body = encode_event(event, id)
        self.size += len(body)
        if self.size > NEWS_MAX_BYTES:
            raise ChangeTooLarge(f"This changes more text than one request may: {NEWS_MAX_BYTES} bytes, old and new.")
        return body


_decode_view = msgspec.json.Decoder(EventView).decode


def event_view(stream: str, offset: int, body: str) -> EventView:
    """An event, as `encode_event` wrote it, at its place in the journal."""
    return _decode_view(f'{{"stream":"{stream}","offset":{offset},{body[1:]}')
