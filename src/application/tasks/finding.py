"""After an upgrade that finds words by another rule: those that are kept are brought up to it, a little at a time."""

import asyncio
import logging
from time import monotonic

from application.ports.tasks import TaskWords
from domain.errors import DomainError

AT_ONCE = 50
EVERY_SECONDS = 600.0

log = logging.getLogger(__name__)


class WordsAnew:
    """Finds the words of tasks and comments anew, for as long as there are any of an older rule.

    Between two pieces of 50 it waits as long as the last one took, so that it is half of a load at most. It looks again
    every ten minutes: a process of the version before may write some until it is replaced.
    """

    def __init__(self, words: TaskWords) -> None:
        self._words = words

    async def run(self) -> None:
        """Find what there is, again and again until cancelled."""
        while True:
            try:
                if count := await self.find():
                    log.info("found the words of %d tasks and comments anew", count)
            except DomainError as problem:
                log.warning("cannot find words anew: %s", problem)
            await asyncio.sleep(EVERY_SECONDS)

    async def find(self) -> int:
        """Find all that are left, and return how many there were; Unavailable if the store is away."""
        found = 0
        while True:
            began = monotonic()
            count = await self._words.find_anew(AT_ONCE)
            if not count:
                return found
            found += count
            await asyncio.sleep(monotonic() - began)
