"""What a live protocol has to provide: a wire for each connection, and the format of all its wires."""

from typing import Protocol

from application.ports.events import Entry
from application.realtime.frames import ClientFrame, CloseCode, ServerFrame


class BadFrame(Exception):
    """A message is not a valid frame: the id of its command if it can be read, a code, and what is wrong."""

    def __init__(self, id: int | None, code: str, message: str) -> None:
        super().__init__(message)
        self.id = id
        self.code = code
        self.message = message


class WireFormat(Protocol):
    """Encodes and decodes the frames of a wire.

    It has no state. One object serves every wire of its kind, and a frame for many peers is encoded once for each such
    object. The bytes of each frame are complete in themselves, so that several frames can be joined in any order.
    """

    def entry(self, entry: Entry) -> bytes:
        """The bytes of an entry of the journal; empty if this format does not have such entries."""
        ...

    def frame(self, frame: ServerFrame) -> bytes:
        """The bytes of any other frame; empty if this format does not have such frames."""
        ...

    def read(self, message: bytes) -> ClientFrame:
        """The frame that a peer has sent; BadFrame if it is not valid."""
        ...

    def id_in(self, message: bytes) -> int | None:
        """The id of the command in a message that is refused unread, if it has one."""
        ...


class Wire(Protocol):
    """The peer's end of a connection."""

    @property
    def format(self) -> WireFormat:
        """The format of everything that it carries, in both directions. It never changes."""
        ...

    def write(self, data: bytes) -> None:
        """Send ready frames now, in order. Never waits and never raises; a closed wire drops them."""
        ...

    def backlog(self) -> int:
        """How many of the written bytes the peer has not taken yet."""
        ...

    def taken(self) -> int:
        """How many bytes the peer has taken since the connection began."""
        ...

    def listen(self, is_wanted: bool) -> None:
        """Read frames of the peer, or stop reading for now."""
        ...

    def close(self, code: CloseCode, reason: str) -> None:
        """Send the code and reason, then end within 10 s even if the peer does not answer; within 2 s if it is slow.

        The connection is told once the wire is lost, and not before.
        """
        ...
