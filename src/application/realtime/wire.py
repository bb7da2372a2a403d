"""What a door hands in: a wire for each connection, and the format of all its wires."""

from typing import Protocol

from application.ports.events import Entry
from application.realtime.frames import ClientFrame, CloseCode, ServerFrame


class BadFrame(Exception):
    """A message is no frame: the id of its command if that can be told, a code, and what is wrong."""

    def __init__(self, id: int | None, code: str, message: str) -> None:
        super().__init__(message)
        self.id = id
        self.code = code
        self.message = message


class WireFormat(Protocol):
    """How frames become bytes that a wire takes, and the other way round.

    It has no state: one object serves every wire of its kind, and what many are told is encoded once for each object.
    What it returns is complete in itself, so that the bytes of several frames can be joined in any order.
    """

    def entry(self, entry: Entry) -> bytes:
        """An entry of the journal; empty if there is no word for it here."""
        ...

    def frame(self, frame: ServerFrame) -> bytes:
        """Everything else that is told; empty if there is no word for it here."""
        ...

    def read(self, message: bytes) -> ClientFrame:
        """What a peer says; BadFrame if nobody can understand it."""
        ...

    def id_in(self, message: bytes) -> int | None:
        """The id of the command in a message that nobody reads, if it has one."""
        ...


class Wire(Protocol):
    """The peer's end of a connection."""

    @property
    def format(self) -> WireFormat:
        """The format of everything that it carries, in both directions, for as long as it lasts."""
        ...

    def write(self, data: bytes) -> None:
        """Send ready frames now, in order. Never waits and never raises; on a closed wire they vanish."""
        ...

    def backlog(self) -> int:
        """How many bytes the peer has not taken yet."""
        ...

    def taken(self) -> int:
        """How many bytes the peer has taken so far, of all that was ever written."""
        ...

    def listen(self, is_wanted: bool) -> None:
        """Take frames of the peer, or leave them where they are for now."""
        ...

    def close(self, code: CloseCode, reason: str) -> None:
        """Say why, then end within 10 s, also if the peer neither takes that nor answers; or 2 s if it was too slow.

        The connection is told that the wire is lost when that is so, and hears nothing of it before.
        """
        ...
