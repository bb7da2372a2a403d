"""What was worked out once, for those who ask again before anything has changed."""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Cache(Protocol):
    """Keeps bytes that can be had again, each as of a state of what they were made from.

    Only what was kept as of the very state that is asked for is handed out, so it is up to whoever asks to know the
    present one. Both the bytes and the time for which they are kept are bounded: anything may be gone at any time.
    """

    async def through(self, key: str, state: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """What is kept under `key` as of `state`, or else what `load` returns, which is kept from then on.

        Of those who ask for the same while it is missing one loads, and all get what came of it: the bytes, None,
        which is not kept, or what `load` raised. Who stops waiting stops nobody else. A store that does not answer
        counts as empty, and holds nobody up for more than a moment.
        """
        ...
