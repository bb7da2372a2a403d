"""Asks for the numbers that contexts show to operators, at a price that does not depend on who looks at them."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from application.ports.observer import Gauge, by_name
from application.ports.store import StoreQueries

EVERY_SECONDS = 15.0
DEADLINE_SECONDS = 2.0
# Numbers are asked for during at most this share of the time.
SHARE = 0.01

log = logging.getLogger(__name__)


async def figure(store: StoreQueries, name: str) -> float:
    """A figure of the store, as a gauge asks for it."""
    return await store.figure(name)


class Gauges:
    """Asks for each number every 15 s, one after the other, and less often if the answers take longer than 150 ms.

    A number is shown until the next answer, and is missing after a question that failed or took longer than 2 s.
    ValueError if two rows share a name.
    """

    def __init__(self, rows: Iterable[Gauge]) -> None:
        self._values: dict[Gauge, float | None] = dict.fromkeys(by_name(rows).values())

    async def run(self) -> None:
        """Ask until cancelled."""
        loop = asyncio.get_running_loop()
        while self._values:
            began = loop.time()
            await self.ask()
            await asyncio.sleep(max(EVERY_SECONDS, (loop.time() - began) / SHARE))
        await asyncio.Event().wait()

    async def ask(self) -> None:
        """Ask for each number once."""
        for row in self._values:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    self._values[row] = await row.ask()
            except Exception as problem:  # noqa: BLE001  # one number must not hide the others
                self._values[row] = None
                log.warning("cannot tell operators %s: %s", row.name, str(problem) or type(problem).__name__)

    def read(self) -> Sequence[tuple[Gauge, float | None]]:
        """Each number by its row; None if it is missing. Safe to call from any thread."""
        return list(self._values.items())
