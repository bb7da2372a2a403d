"""A cache of results, which are valid until the data behind them changes."""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Cache(Protocol):
    """Keeps bytes that can be computed again, each with the state of the data from which they were made.

    It returns bytes only for the very state that the caller names, so the caller has to know the present state. The
    size and the age of the kept bytes are bounded: any of them may be gone at any time.
    """

    async def through(self, key: str, state: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """The bytes kept under `key` for `state`, or else the result of `load`, which is kept from then on.

        Of several callers that miss the same bytes at once, one loads, and all get its result: the bytes, None, which
        is not kept, or the exception of `load`. A caller that stops waiting does not stop the others. A store that does
        not answer counts as empty, and delays a call only for a moment.
        """
        ...
