"""A channel that is not durable: it has the newest value of each key, or passes messages on without keeping them."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from application.ports.events import Signal
from application.realtime.frames import Leaver, PresenceChange, ServerFrame, Value
from application.realtime.groups import Groups
from application.realtime.wire import WireFormat
from domain.channels import PRESENCE, Channel, ChannelClass
from domain.ids import AccountId


class Here(Struct, frozen=True):
    """The value of an account on a presence channel; `why` tells why an absent account left."""

    present: bool
    why: Literal["", "bye", "lost"] = ""


GONE = Here(False, "lost")
_decode_here = msgspec.json.Decoder(Here).decode


class Listener(Protocol):
    """A connection as the topics see it."""

    @property
    def format(self) -> WireFormat:
        """The format of the frames that it is sent."""
        ...

    def pass_on(self, channel: str, key: str | None, data: bytes) -> None:
        """Send a ready frame, if the peer keeps up.

        Otherwise a frame without a key is dropped, and of each key only the newest frame is sent later.
        """
        ...


class Topic:
    """The followers and the newest values of a channel that is not durable.

    A keyed channel drops a value that is older than the known value of its key.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.name = str(channel)
        self.followers: Groups[WireFormat, Listener] = Groups()
        self._newest: dict[str, Signal] = {}
        # Whether it has the values that its context keeps.
        self.is_known = channel.promises is not ChannelClass.KEYED
        # Held by the connection that asks the context for them, so that they are asked for once.
        self.asking = asyncio.Lock()

    def begin(self, values: Iterable[Signal]) -> None:
        """Begin with these values, except where a newer one was heard.

        Nothing is sent: each new follower gets the `newest` values by itself.
        """
        for signal in values:
            known = self._newest.get(signal.key)
            if known is None or known.version < signal.version:
                self._newest[signal.key] = signal
        self.is_known = True

    def take(self, signal: Signal) -> None:
        """Pass a signal on to every follower, unless a keyed channel knows a newer value."""
        if self.channel.promises is ChannelClass.EPHEMERAL:
            self._pass_on(None, value_of(signal))
            return
        known = self._newest.get(signal.key)
        if known is not None and known.version >= signal.version:
            return
        self._newest[signal.key] = signal
        if self.channel.kind is PRESENCE:
            here = _decode_here(signal.data)
            if here.present != (known is not None and _decode_here(known.data).present):
                self._pass_on(signal.key, self._change(UUID(signal.key), here))
        else:
            self._pass_on(signal.key, value_of(signal))

    def newest(self) -> Collection[Signal]:
        """The newest value of every key that is known here."""
        return self._newest.values()

    def present(self) -> Collection[AccountId]:
        """The accounts that are present on a presence channel."""
        return [AccountId(UUID(key)) for key, signal in self._newest.items() if _decode_here(signal.data).present]

    def correct(self, version: int, present: Collection[AccountId]) -> Sequence[AccountId]:
        """Take the accounts that the store knows as present, as of `version`, and tell the followers what differs."""
        gone: list[AccountId] = []
        said: Mapping[str, Here] = {str(account): Here(True) for account in present}
        for key in self._newest.keys() | said.keys():
            known = self._newest.get(key)
            if known is None or known.version <= version:
                here, was_present = said.get(key, GONE), known is not None and _decode_here(known.data).present
                # An account that has left is remembered until the next correction. A late signal that it has come is
                # then recognized as old.
                self._newest.pop(key, None)
                if here.present or was_present:
                    self._newest[key] = Signal(self.name, key, version, msgspec.Raw(msgspec.json.encode(here)))
                if here.present != was_present:
                    self._pass_on(key, self._change(UUID(key), here))
                    if not here.present:
                        gone.append(AccountId(UUID(key)))
        return gone

    def _change(self, account: UUID, here: Here) -> PresenceChange:
        joined, left = ([account], []) if here.present else ([], [Leaver(account, here.why)])
        return PresenceChange(self.name, joined, left)

    def _pass_on(self, key: str | None, frame: ServerFrame) -> None:
        for format, followers in self.followers.items():
            if data := format.frame(frame):
                for follower in followers:
                    follower.pass_on(self.name, key, data)


def value_of(signal: Signal) -> Value:
    """The frame of a signal."""
    return Value(signal.channel, signal.key, signal.data)
