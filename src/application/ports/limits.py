"""What the limits ask of whoever counts."""

from typing import Protocol

from msgspec import Struct


class Verdict(Struct, frozen=True):
    """Whether a call may pass; `remaining` calls may follow at once, and after `reset_seconds` all of them again.

    `retry_after_seconds` is 0 for a call that passed.
    """

    allowed: bool
    remaining: int
    reset_seconds: float
    retry_after_seconds: float


class RateLimiter(Protocol):
    """Counts calls by key (generic cell rate algorithm): `limit` calls at once, refilled evenly over a window."""

    async def take(self, key: str, limit: int, window_ms: int) -> Verdict:
        """Count one call, unless it is refused. Atomic over all processes that share the store.

        With the store down it counts in the process, so that a limit becomes looser by the number of processes but
        is never gone.
        """
        ...

    async def forget(self, key: str) -> None:
        """Start the count of this key anew."""
        ...
