"""A channel beside the journal: the newest value of each key, or words that pass by."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from application.ports.events import Signal
from application.realtime.frames import Gone, PresenceChange, ServerFrame, Value
from application.realtime.groups import Groups
from application.realtime.wire import WireFormat
from domain.channels import PRESENCE, Channel, ChannelClass
from domain.ids import AccountId


class Here(Struct, frozen=True):
    """The value of an account on a presence channel; `why` is why it is not there."""

    present: bool
    why: Literal["", "bye", "lost"] = ""


_GONE = Here(False, "lost")
_decode_here = msgspec.json.Decoder(Here).decode


class Listener(Protocol):
    """A connection as the topics see it."""

    @property
    def format(self) -> WireFormat:
        """The format in which frames are passed on to it."""
        ...

    def pass_on(self, channel: str, key: str | None, data: bytes) -> None:
        """Send a ready frame, unless the peer cannot keep up.

        With a key, only the newest frame of that key is then sent later; without one it is dropped.
        """
        ...


class Topic:
    """What is followed of a channel that is not durable. On a keyed one, values older than the known are dropped."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.name = str(channel)
        self.followers: Groups[WireFormat, Listener] = Groups()
        self._newest: dict[str, Signal] = {}
        # Whether it has begun with what its context keeps; and the turn of those who ask for that.
        self.is_known = channel.promises is not ChannelClass.KEYED
        self.asking = asyncio.Lock()

    def begin(self, values: Iterable[Signal]) -> None:
        """Begin with these values, where nothing newer was heard; each follower is sent the `newest` for itself."""
        for signal in values:
            known = self._newest.get(signal.key)
            if known is None or known.version < signal.version:
                self._newest[signal.key] = signal
        self.is_known = True

    def take(self, signal: Signal) -> None:
        """Pass a signal on to everybody who follows."""
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
        """Who is there, of a presence channel."""
        return [AccountId(UUID(key)) for key, signal in self._newest.items() if _decode_here(signal.data).present]

    def correct(self, version: int, present: Collection[AccountId]) -> None:
        """Take what the store says of a presence channel as of `version`, and tell whoever had to learn it so."""
        said: Mapping[str, Here] = {str(account): Here(True) for account in present}
        for key in self._newest.keys() | said.keys():
            known = self._newest.get(key)
            if known is None or known.version <= version:
                here, was_present = said.get(key, _GONE), known is not None and _decode_here(known.data).present
                # Who has gone is remembered until the next time, so that a late word of their coming is known as old.
                self._newest.pop(key, None)
                if here.present or was_present:
                    self._newest[key] = Signal(self.name, key, version, msgspec.Raw(msgspec.json.encode(here)))
                if here.present != was_present:
                    self._pass_on(key, self._change(UUID(key), here))

    def _change(self, account: UUID, here: Here) -> PresenceChange:
        joined, left = ([account], []) if here.present else ([], [Gone(account, here.why)])
        return PresenceChange(self.name, joined, left)

    def _pass_on(self, key: str | None, frame: ServerFrame) -> None:
        for format, followers in self.followers.items():
            if data := format.frame(frame):
                for follower in followers:
                    follower.pass_on(self.name, key, data)


def value_of(signal: Signal) -> Value:
    """A signal as it is sent."""
    return Value(signal.channel, signal.key, signal.data)
