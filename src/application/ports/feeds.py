"""What one context lets accounts follow, and on what ground."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from application.ports.events import Signal
from application.scopes import Scope
from domain.channels import Channel, ChannelKind, Loss
from domain.ids import AccountId

Asked = tuple[Channel, AccountId]
"""A place, and the account that wants to follow it."""


class Ground(NamedTuple):
    """What stands behind a place: the stream that the right to follow it depends on, None if everybody may.

    A durable channel shows all of that stream, or the entries of one resource.
    """

    stream: str | None
    resource_id: UUID | None = None


class Feeds(Protocol):
    """The channels of one context; who may follow them is known there alone.

    `kinds` are those that belong to it, and `scope` is what a credential needs to follow them. `losses` are the entries
    by which somebody loses the right to one of its streams; they are in that stream itself, and the right to a stream
    covers every channel of it.
    """

    kinds: Sequence[ChannelKind]
    scope: Scope
    losses: Sequence[Loss] = ()

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        """What stands behind a place, if that needs no question. It says nothing about the right of the account."""
        ...

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        """What stands behind those of these places that the account they are asked for may follow now.

        One question to the store, shared with those who ask at the same time. Unavailable if it cannot be answered.
        """
        ...

    async def newest(self, channels: Collection[Channel]) -> Sequence[Signal]:
        """The newest value of every key of these keyed channels, as far as the context keeps them.

        Versions are those of the signals that it publishes. A context that keeps none leaves this out: its channels
        begin with what a process has heard.
        """
        return ()
