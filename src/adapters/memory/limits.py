"""Rate limits counted in the process: for a single process, and while the shared counter is unavailable."""

from datetime import datetime

from cachetools import LRUCache

from application.ports.limits import RateLimiter, Verdict
from application.ports.system import Clock

KEYS_MAX = 100_000
_TOLERANCE = 1e-9


class MemoryRateLimiter(RateLimiter):
    """The generic cell rate algorithm, written as a bucket of calls that drains evenly.

    At most 100,000 keys are remembered; the least recently counted is forgotten first. Its bucket has drained by then,
    unless 100,000 keys were counted within one window.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._levels: LRUCache[str, tuple[float, datetime]] = LRUCache(KEYS_MAX)

    async def take(self, key: str, limit: int, window_ms: int, cost: float = 1) -> Verdict:
        level, per_second = self._drained(key, limit, window_ms)
        cost = min(cost, limit)
        allowed = level + cost <= limit + _TOLERANCE
        if allowed:
            level += cost
        self._levels[key] = level, self._clock.now()
        return Verdict(
            allowed=allowed,
            remaining=max(0, int(limit - level + _TOLERANCE)),
            reset_seconds=level / per_second,
            retry_after_seconds=0.0 if allowed else (level + cost - limit) / per_second,
        )

    async def give_back(self, key: str, limit: int, window_ms: int) -> None:
        level, _ = self._drained(key, limit, window_ms)
        self._levels[key] = max(0.0, level - 1), self._clock.now()

    async def forget(self, key: str) -> None:
        self._levels.pop(key, None)

    def _drained(self, key: str, limit: int, window_ms: int) -> tuple[float, float]:
        """How many calls are counted now, and how many drain in a second."""
        now = self._clock.now()
        per_second = limit * 1000 / window_ms
        level, since = self._levels.get(key, (0.0, now))
        # If the clock was set back, nothing drains now, and draining goes on from the new time.
        return max(0.0, level - max(0.0, (now - since).total_seconds()) * per_second), per_second
