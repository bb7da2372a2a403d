"""The wire format of `/api/v1/ws`: JSON objects in text frames of RFC 6455."""

import msgspec

from application.ports.events import Entry
from application.reading import Reader, TooDeep, id_in
from application.realtime.frames import ClientFrame, ServerFrame
from application.realtime.refusals import message_of
from application.realtime.wire import BadFrame, WireFormat
from domain.errors import DomainError

_encode = msgspec.json.Encoder().encode
_read: Reader[ClientFrame] = Reader(ClientFrame)


class JsonFrames(WireFormat):
    """One JSON object in each frame."""

    def entry(self, entry: Entry) -> bytes:
        """A frame `Happened`; the JSON of the event is copied from the journal without decoding it."""
        stream, offset = entry.stream.encode(), entry.offset
        return on_the_wire(b'{"type":"event","stream":"%b","offset":%d,"event":%b}' % (stream, offset, entry.body))

    def frame(self, frame: ServerFrame) -> bytes:
        return on_the_wire(_encode(frame))

    def read(self, message: bytes) -> ClientFrame:
        try:
            return _read(message)
        except DomainError as error:
            code = error.code if isinstance(error, TooDeep) and error.pointer else "bad_frame"
            raise BadFrame(id_in(message), code, message_of(error)) from None

    def id_in(self, message: bytes) -> int | None:
        return id_in(message)


JSON_FRAMES = JsonFrames()


def on_the_wire(text: bytes) -> bytes:
    """A final, unmasked text frame around a JSON text. It is the same for every connection."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text
