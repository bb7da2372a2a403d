"""The port to the counts of calls, for rate limits."""

from typing import Protocol

from msgspec import Struct


class Verdict(Struct, frozen=True):
    """Whether a call may pass. `remaining` calls of cost 1 may follow at once; after `reset_seconds`, all of the limit.

    A refused call passes after `retry_after_seconds`, which is 0 for a call that passed.
    """

    allowed: bool
    remaining: int
    reset_seconds: float
    retry_after_seconds: float


class Policy(Struct, frozen=True):
    """How often something may be tried: `limit` times at once, refilled evenly over a window of `window_ms`.

    A context declares its own. Refusals are counted under `name`, and told to the caller with `refusal`.
    """

    name: str
    limit: int
    window_ms: int
    refusal: str = "Too many attempts; try again later."


class RateLimiter(Protocol):
    """Counts calls by key (generic cell rate algorithm): `limit` calls at once, refilled evenly over a window."""

    async def take(self, key: str, limit: int, window_ms: int, cost: float = 1) -> Verdict:
        """Count a call that costs as much as `cost` calls. A refused call is not counted.

        A cost above the limit counts as the whole limit, so that the call passes when nothing else is counted. Atomic
        over all processes that share the store.

        While the store does not answer, each process counts for itself. Then the limit is looser by the number of
        processes, but still holds.
        """
        ...

    async def give_back(self, key: str, limit: int, window_ms: int) -> None:
        """Take back one call of cost 1 that was counted, as if it had not been made. The count is never below 0."""
        ...

    async def forget(self, key: str) -> None:
        """Reset the count of this key to 0."""
        ...
