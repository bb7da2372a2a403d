"""The clock and the identifiers of a real process."""

import random
import time
from datetime import UTC, datetime
from uuid import UUID

from application.ports.system import Clock, Ids

_RANDOM_BITS = 74
_LOW = (1 << 62) - 1
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62


class SystemClock(Clock):
    """The host's clock."""

    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1_000 * 1_000)


class TimeOrderedIds(Ids):
    """UUIDs of version 7 (RFC 9562, section 6.2, method 2): 48 bits of milliseconds, then 74 random bits.

    Within a millisecond, and while the clock stands still or goes back, the random part rises by a random step. So the
    identifiers of one instance always rise. They are not secrets, so the fast generator is enough; it reseeds itself in
    a forked process. For use from one thread.
    """

    def __init__(self) -> None:
        self._last = 0  # milliseconds << 74 | random bits

    def new(self) -> UUID:
        now = time.time_ns() // 1_000_000 << _RANDOM_BITS
        if now > self._last:
            # The top bit is 0, which leaves room for 2^40 steps before the next millisecond.
            self._last = now | random.getrandbits(_RANDOM_BITS - 1)
        else:
            self._last += 1 + random.getrandbits(32)
        last = self._last
        return UUID(int=last >> _RANDOM_BITS << 80 | (last >> 62 & 0xFFF) << 64 | last & _LOW | _VERSION_AND_VARIANT)
