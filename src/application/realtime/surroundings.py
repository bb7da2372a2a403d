"""The services that all live connections of a process share."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from application.authentication import Authentication
from application.limits import Limits
from application.ports.events import Broker
from application.ports.observer import Observer
from application.principal import Principal
from application.realtime.hub import Hub
from application.realtime.lobby import Lobby

Holds = Callable[[str], Awaitable[None]]
"""NotFound unless the connection follows this channel and may; Unavailable if that cannot be told now."""
Dispatch = Callable[[Principal, str, msgspec.Raw, str | None, Holds], Coroutine[Any, Any, object]]


class Surroundings:
    """The services that all live connections of a process share."""

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
