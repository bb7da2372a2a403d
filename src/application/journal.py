"""How an event is written down: once, when it is committed, as the JSON that every reader gets."""

from uuid import UUID

import msgspec

from application.ports.events import EventBody, EventView, ResourceRef
from application.principal import correlation
from domain.kernel import Event

SCHEMA_VERSION = 1

_encode = msgspec.json.Encoder().encode


def encode_event(event: Event, id: UUID) -> bytes:
    """The event as UTF-8 JSON in the shape of `EventBody`, tied to the request in whose course this is called."""
    cause = correlation.get()
    return _encode(
        EventBody(
            id=id,
            type=event.type,
            version=SCHEMA_VERSION,
            at=event.at,
            actor=event.actor,
            resource=ResourceRef(event.resource_type, event.resource_id, event.version),
            changes=event.changes,
            data=event.data,
            request_id=cause.request_id,
            traceparent=cause.traceparent,
        )
    )


_decode_view = msgspec.json.Decoder(EventView).decode


def event_view(stream: str, offset: int, body: str) -> EventView:
    """An event, as `encode_event` wrote it, at its place in the journal."""
    return _decode_view(f'{{"stream":"{stream}","offset":{offset},{body[1:]}')
