"""Computes the stored words of tasks again after an upgrade that changed their rule, a little at a time."""

import asyncio
import logging
from time import monotonic

from application.ports.tasks import TaskWords
from domain.errors import DomainError

AT_ONCE = 50
EVERY_SECONDS = 600.0

log = logging.getLogger(__name__)


class WordsAnew:
    """Computes the words of tasks and comments again, as long as there are words of an older rule.

    Between two pieces of 50 it waits as long as the last one took, so that it works at most half of the time. It looks
    again every ten minutes, because a process of the previous version may write such words until it is replaced.
    """

    def __init__(self, words: TaskWords) -> None:
        self._words = words

    async def run(self) -> None:
        """Compute all old words again every ten minutes, until cancelled."""
        while True:
            try:
                if count := await self.find():
                    log.info("found the words of %d tasks and comments anew", count)
            except DomainError as problem:
                log.warning("cannot find words anew: %s", problem)
            await asyncio.sleep(EVERY_SECONDS)

    async def find(self) -> int:
        """Compute all old words again. Returns the number of tasks and comments; Unavailable without the store."""
        found = 0
        while True:
            began = monotonic()
            count = await self._words.find_anew(AT_ONCE)
            if not count:
                return found
            found += count
            await asyncio.sleep(monotonic() - began)
