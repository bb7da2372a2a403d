"""What the limits ask of whoever counts."""

from typing import Protocol

from msgspec import Struct


class Verdict(Struct, frozen=True):
    """Whether a call may pass; `remaining` calls of cost 1 may follow at once, and after `reset_seconds` all of them.

    After `retry_after_seconds` the same call passes; it is 0 for one that passed.
    """

    allowed: bool
    remaining: int
    reset_seconds: float
    retry_after_seconds: float


class RateLimiter(Protocol):
    """Counts calls by key (generic cell rate algorithm): `limit` calls at once, refilled evenly over a window."""

    async def take(self, key: str, limit: int, window_ms: int, cost: float = 1) -> Verdict:
        """Count a call that costs as much as `cost` calls, unless it is refused; then nothing is counted.

        A cost above the limit is the whole limit, so that it passes once nothing is counted. Atomic over all processes
        that share the store.

        With the store down it counts in the process, so that a limit becomes looser by the number of processes but
        is never gone.
        """
        ...

    async def forget(self, key: str) -> None:
        """Start the count of this key anew."""
        ...
