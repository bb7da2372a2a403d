"""The newest values of a single process."""

from collections.abc import Collection, Sequence

from msgspec import Raw
from msgspec.structs import replace

from adapters.values import Values
from application.ports.events import GONE, Broker, Signal
from application.ports.newest import Newest
from application.ports.system import Clock
from domain.channels import Channel


class MemoryNewest(Newest):
    """Keeps values by the clock of this process. Versions are numbers in the order of the calls."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._values = Values()
        self._version = 0

    async def tell(self, channel: Channel, key: str, data: Raw | None, seconds: float) -> Raw | None:
        now = self._clock.now().timestamp()
        self._version += 1
        signal = Signal(str(channel), key, self._version, GONE if data is None else data, seconds)
        before = self._values.put(signal, now if data is None else now + seconds, now)
        self._broker.publish([signal])
        return None if before is None else before.data

    async def of(self, channels: Collection[Channel]) -> Sequence[Signal]:
        now = self._clock.now().timestamp()
        found = [each for channel in channels for each in self._values.of(str(channel), now)]
        return [replace(signal, seconds=seconds) for signal, seconds in found]
