"""The channels that a context lets accounts follow, and the streams on which the right to follow them depends."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from msgspec import Raw

from application.ports.events import Signal
from application.scopes import Scope
from domain.channels import Channel, ChannelKind, Loss
from domain.ids import AccountId

Asked = tuple[Channel, AccountId]
"""A place, and the account that wants to follow it."""


class Ground(NamedTuple):
    """The ground of a place: the stream on which the right to follow it depends, or None if every account may.

    A durable channel shows all entries of that stream, or those of one resource.
    """

    stream: str | None
    resource_id: UUID | None = None


class Feeds(Protocol):
    """The channels of one context, which alone knows which accounts may follow them.

    `kinds` are its kinds of channels, and `scope` is the scope that a credential needs to follow them. To publish on
    the ephemeral channels of its places a credential also needs `saying`, if that is not None. `losses` are the entries
    by which an account loses the right to follow one of its streams. They are in that stream itself. The right to a
    stream covers every channel of it. `values` are the types of what is told on its kinds that are not durable.
    """

    kinds: Sequence[ChannelKind]
    scope: Scope
    saying: Scope | None = None
    losses: Sequence[Loss] = ()
    values: Mapping[ChannelKind, type] = {}

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        """The ground of a place, if it is known without asking the store. It does not check the account's right."""
        ...

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        """The grounds of those of these places that the account asked with each may follow now.

        Costs one query of the store, shared by callers at the same time. Unavailable if the store does not answer.
        """
        ...

    async def newest(self, channels: Collection[Channel]) -> Sequence[Signal]:
        """The newest value of every key of these keyed channels, if the context keeps them.

        The versions are those of the signals that it publishes. A context that keeps no values leaves this method out;
        its channels then begin with the values that the process has received.
        """
        return ()

    async def said(self, account: AccountId, channel: Channel, word: Raw) -> None:
        """Check a message that an account publishes on an ephemeral channel, which it follows.

        `word` is JSON of at most 4 KiB. Any DomainError refuses it: Invalid for a wrong shape, Exhausted beyond a limit
        of the context, Forbidden for an account that may only listen. Nobody gets the message before this returns. A
        context that accepts every message leaves this method out.
        """
        return
