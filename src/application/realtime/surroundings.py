"""The services that all live connections of a process share."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Raw

from application.authentication import Authentication
from application.limits import Limits
from application.ports.events import Broker
from application.ports.observer import Observer
from application.principal import Principal
from application.realtime.hub import Hub
from application.realtime.lobby import Lobby

Holds = Callable[[str], Awaitable[None]]
"""NotFound unless the connection follows this channel and may; Unavailable if that cannot be told now."""


class Dispatch(Protocol):
    """The methods of `call`, by name."""

    def cost(self, method: str) -> float:
        """What a method costs its account: 1 for as much as a request. An unknown one costs 1."""
        ...

    async def __call__(self, actor: Principal, method: str, params: Raw, key: str | None, holds: Holds) -> Raw:
        """Carry out a method, and return its answer as JSON. With a `key` it is carried out once; the answer is kept.

        `holds` tells whether the connection follows what a method is about. NotFound for an unknown method, Invalid for
        params of another shape, and every error of `holds` and of the use case.
        """
        ...


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
