"""A connection as its senders see it."""

from typing import Protocol

from application.realtime.wire import WireFormat


class Peer(Protocol):
    """A connection as the streams see it."""

    @property
    def format(self) -> WireFormat:
        """The format of everything that is written to it. It never changes."""
        ...

    def write(self, data: bytes) -> None:
        """Send ready frames now, in order. Never waits."""
        ...

    @property
    def keeps_up(self) -> bool:
        """Whether the peer takes what is written to it. When it does so again, its followings are told."""
        ...

    def fail(self) -> None:
        """End the connection after an internal error, so that the peer connects again and resumes."""
        ...

    async def caught_up(self) -> None:
        """Return once the peer has taken most of what was written to it."""
        ...
