"""What a live connection stands between: its wire, and what all connections of a process share."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from application.authentication import Authentication
from application.limits import Limits
from application.ports.events import Broker
from application.ports.observer import Observer
from application.principal import Principal
from application.realtime.frames import CloseCode
from application.realtime.hub import Hub
from application.realtime.lobby import Lobby

Dispatch = Callable[[Principal, str, msgspec.Raw, str | None], Coroutine[Any, Any, object]]


class Wire(Protocol):
    """The peer's end of a connection."""

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


class Surroundings:
    """What all connections of a process share."""

    __slots__ = ("authentication", "broker", "dispatch", "hub", "limits", "lobby", "observer")

    def __init__(
        self,
        authentication: Authentication,
        hub: Hub,
        lobby: Lobby,
        broker: Broker,
        dispatch: Dispatch,
        limits: Limits,
        observer: Observer,
    ) -> None:
        self.authentication = authentication
        self.hub = hub
        self.lobby = lobby
        self.broker = broker
        self.dispatch = dispatch
        self.limits = limits
        self.observer = observer
