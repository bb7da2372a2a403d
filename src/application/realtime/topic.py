"""A channel that is not durable: it has the newest value of each key, or passes messages on without keeping them."""

import asyncio
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextvars import Context
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from application.ports.events import GONE, Signal
from application.ports.observer import Observer
from application.realtime.frames import Leaver, PresenceChange, ServerFrame, Value
from application.realtime.groups import Groups
from application.realtime.wire import WireFormat
from domain.channels import PRESENCE, Channel, ChannelClass
from domain.ids import AccountId

PAUSE_SECONDS = 0.025
UNSENT_MAX = 1_000
GONE_SECONDS = 15.0


class Here(Struct, frozen=True):
    """The value of an account on a presence channel; `why` tells why an absent account left."""

    present: bool
    why: Literal["", "bye", "lost"] = ""


ABSENT = Here(False, "lost")
_decode_here = msgspec.json.Decoder(Here).decode


class Batch(NamedTuple):
    """Ready frames, each with its key, or None on an ephemeral channel; `joined` are their bytes in one piece."""

    frames: Sequence[tuple[str | None, bytes]]
    joined: bytes


class Listener(Protocol):
    """A connection as the topics see it."""

    @property
    def format(self) -> WireFormat:
        """The format of the frames that it is sent."""
        ...

    def pass_on(self, channel: str, batch: Batch) -> bool:
        """Send ready frames in one write, if the peer keeps up; returns whether it does.

        Otherwise frames without a key are dropped, and of each key only the newest frame is sent later.
        """
        ...


class Topic:
    """The followers and the newest values of a channel that is not durable.

    A keyed channel drops a value that is older than the known value of its key, and repeats none that is the same. When
    a value ends, its key is forgotten and the followers get `null`.

    What comes in one turn of the event loop is sent to each follower in one write, and of each key only the newest
    value. After a delivery the topic rests for twice as long as it took, 25 ms at most: writes are expensive.
    """

    def __init__(self, channel: Channel, observer: Observer) -> None:
        self._observer = observer
        # What was not sent yet. It is sent when `_delivery` is due.
        self._unsent: list[tuple[str | None, ServerFrame]] = []
        self._delivery: asyncio.Handle | None = None
        self._rests_until = 0.0
        self.channel = channel
        self.name = str(channel)
        self.followers: Groups[WireFormat, Listener] = Groups()
        self._newest: dict[str, Signal] = {}
        # When values end, on the clock of the loop, and when the first of them is to be dropped.
        self._ends: dict[str, float] = {}
        self._ending: asyncio.Handle | None = None
        self._ending_at = math.inf
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
                self._keep(signal)
        self.is_known = True

    def take(self, signal: Signal) -> None:
        """Pass a signal on to every follower, unless a keyed channel knows a newer value."""
        if self.channel.promises is ChannelClass.EPHEMERAL:
            self._pass_on(None, value_of(signal))
            return
        known = self._newest.get(signal.key)
        if known is not None and known.version >= signal.version:
            return
        self._keep(signal)
        if self.channel.kind is PRESENCE:
            here = _decode_here(signal.data)
            if here.present != (known is not None and _decode_here(known.data).present):
                self._pass_on(signal.key, self._change(UUID(signal.key), here))
        elif signal.data != (known.data if known is not None else GONE):
            self._pass_on(signal.key, value_of(signal))

    def newest(self) -> Collection[Signal]:
        """The newest value of every key that has one and is known here."""
        return [signal for signal in self._newest.values() if signal.data != GONE]

    def tell(self, follower: Listener) -> None:
        """Send the newest value of every key to one follower."""
        self._send([(signal.key, value_of(signal)) for signal in self.newest()], follower.format, [follower])

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
                here, was_present = said.get(key, ABSENT), known is not None and _decode_here(known.data).present
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

    def deliver(self) -> None:
        """Send now what waits for its turn. Call it before a follower is told the newest values."""
        if self._delivery is not None:
            self._delivery.cancel()
            self._delivery = None
        if not self._unsent:
            return
        unsent, self._unsent = self._unsent, []
        # The frames of presence are changes, of which each counts.
        if self.channel.promises is ChannelClass.KEYED and self.channel.kind is not PRESENCE:
            unsent = list(dict(unsent).items())
        loop = asyncio.get_running_loop()
        began = loop.time()
        for format, followers in self.followers.items():
            self._send(unsent, format, followers)
        ended = loop.time()
        self._rests_until = ended + min(2 * (ended - began), PAUSE_SECONDS)

    def _send(
        self, values: Iterable[tuple[str | None, ServerFrame]], format: WireFormat, to: Iterable[Listener]
    ) -> None:
        frames = [(key, data) for key, frame in values if (data := format.frame(frame))]
        if frames:
            batch = Batch(frames, b"".join(data for _, data in frames))
            takers = sum(follower.pass_on(self.name, batch) for follower in to)
            self._observer.sent("signal", takers * len(frames), takers * len(batch.joined))

    def end(self) -> None:
        """Send nothing more, and drop nothing more."""
        for handle in (self._delivery, self._ending):
            if handle is not None:
                handle.cancel()

    def _keep(self, signal: Signal) -> None:
        """Know a value until it ends. That a key has none is known for a while, so that a late value is found old."""
        self._newest[signal.key] = signal
        seconds = GONE_SECONDS if signal.data == GONE else signal.seconds
        if seconds is None:
            self._ends.pop(signal.key, None)
            return
        loop = asyncio.get_running_loop()
        ends_at = self._ends[signal.key] = loop.time() + seconds
        if ends_at < self._ending_at:
            self._end_at(ends_at)

    def _end_at(self, time: float) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_at(time, self._drop_ended, context=Context())
        self._ending_at = time

    def _drop_ended(self) -> None:
        now, self._ending, self._ending_at = asyncio.get_running_loop().time(), None, math.inf
        for key in [key for key, ends_at in self._ends.items() if ends_at <= now]:
            del self._ends[key]
            if self._newest.pop(key).data != GONE:
                self._pass_on(key, Value(self.name, key, GONE))
        if self._ends:
            self._end_at(min(self._ends.values()))

    def _pass_on(self, key: str | None, frame: ServerFrame) -> None:
        if not self.followers:
            return
        self._unsent.append((key, frame))
        if self._delivery is None:
            loop = asyncio.get_running_loop()
            # It works for many, so its context is empty.
            if loop.time() < self._rests_until:
                self._delivery = loop.call_at(self._rests_until, self.deliver, context=Context())
            else:
                self._delivery = loop.call_soon(self.deliver, context=Context())
        elif len(self._unsent) >= UNSENT_MAX:
            self.deliver()


def value_of(signal: Signal) -> Value:
    """The frame of a signal."""
    return Value(signal.channel, signal.key, signal.data)
