"""A connection as those see it who send to it."""

from typing import Protocol

from application.realtime.wire import WireFormat


class Peer(Protocol):
    """A connection as the streams see it."""

    @property
    def format(self) -> WireFormat:
        """The format of everything that is written to it, for as long as it lasts."""
        ...

    def write(self, data: bytes) -> None:
        """Send ready frames now; they never overtake each other. Never waits."""
        ...

    @property
    def keeps_up(self) -> bool:
        """Whether the peer takes what is written to it; once it does again, its followings are told."""
        ...

    def fail(self) -> None:
        """End the connection after a mistake of ours, so that it comes back and resumes."""
        ...

    async def caught_up(self) -> None:
        """Return once the peer has taken most of what was written to it."""
        ...
