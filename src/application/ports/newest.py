"""The port to the newest values that no table keeps: where a player stands, what a share costs."""

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Raw

from application.ports.events import Signal
from domain.channels import Channel


class Newest(Protocol):
    """The newest value of each key of keyed channels, kept for some seconds and shared by all processes.

    A context tells a value again before its seconds are over, or it is gone. It is also gone when the store was
    emptied. So only what is soon told again belongs here. Versions and ages are by the clock of the store, so the
    clocks of the processes do not matter.

    No method waits for long or raises because the store is away. Each process then keeps what it is told itself, and
    its own followers hear of that. When the store is back, each value is shared again with its next `tell`.
    """

    async def tell(self, channel: Channel, key: str, data: Raw | None, seconds: float) -> Raw | None:
        """Replace the value of a key, and publish it on its channel. Returns the value before, or None without one.

        The value is gone after `seconds`. None as `data` means that it is gone at once. Each follower learns of either
        within a second, by a value `null`. Concurrent calls take effect one after the other, and each returns the
        value of the one before.
        """
        ...

    async def of(self, channels: Collection[Channel]) -> Sequence[Signal]:
        """The values of all keys of these channels, which is what `Feeds.newest` begins them with.

        `seconds` of each is how long it still has. A value that is gone is left out.
        """
        ...
