"""How long things are kept. A worker drops older ones, a little at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Protocol

from application.ports.system import Clock
from domain.errors import DomainError

EVERY_SECONDS = 600.0
AT_ONCE = 1_000
PAUSE_SECONDS = 0.05

log = logging.getLogger(__name__)


class Kept(Protocol):
    """A kind of thing that is kept for a limited time."""

    name: str

    async def drop(self, most: int) -> int:
        """Drop at most `most` things that have been kept for long enough. Returns their number; 0 if none is left.

        A kind whose things are large may drop fewer at once.
        """
        ...


class Aging:
    """Things that are kept for `days`, or for ever if that is 0. `forget` takes now, the time kept and `most`."""

    def __init__(
        self, name: str, days: int, forget: Callable[[datetime, timedelta, int], Awaitable[int]], clock: Clock
    ) -> None:
        self.name = name
        self._kept = timedelta(days)
        self._forget = forget
        self._clock = clock

    async def drop(self, most: int) -> int:
        return await self._forget(self._clock.now(), self._kept, most) if self._kept else 0


class Expiring:
    """Things that expire by themselves. `forget` knows when, and takes `most`."""

    def __init__(self, name: str, forget: Callable[[int], Awaitable[int]]) -> None:
        self.name = name
        self._forget = forget

    async def drop(self, most: int) -> int:
        return await self._forget(most)


class Retention:
    """Drops things that were kept for long enough, one kind after the other.

    They are dropped in pieces of 1,000 at most with a pause after each, so that the load stays small. Several workers
    may do it at once.
    """

    def __init__(self, *kinds: Sequence[Kept]) -> None:
        self._kinds = list(chain.from_iterable(kinds))

    async def forget(self) -> Mapping[str, int]:
        """Drop all that is due. Returns the number of each kind. Unavailable if the store does not answer."""
        dropped: dict[str, int] = {}
        for kind in self._kinds:
            while (count := await kind.drop(AT_ONCE)) > 0:
                dropped[kind.name] = dropped.get(kind.name, 0) + count
                await asyncio.sleep(PAUSE_SECONDS)
        return dropped

    async def run(self) -> None:
        """Drop all that is due every ten minutes, until cancelled."""
        while True:
            try:
                dropped = await self.forget()
                if dropped:
                    log.info("dropped what was kept for long enough: %s", dropped)
            except DomainError as problem:
                log.warning("cannot drop what was kept for long enough: %s", problem)
            await asyncio.sleep(EVERY_SECONDS)
