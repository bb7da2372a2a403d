"""Checks the rights of all followings in turn, in case a right was lost without an entry that tells so."""

import asyncio
import logging

from application.realtime.hub import Hub
from domain.errors import DomainError

ROUND_SECONDS = 30.0
AT_ONCE = 500
REPEAT_SECONDS = 0.5

log = logging.getLogger(__name__)


class Patrol:
    """Asks the store every 30 s for the right of each following to its stream, 500 in one question.

    Usually an entry of the stream tells that a right is lost, and nothing more is delivered until the right is
    confirmed. The patrol finds the losses without an entry: a row that was deleted by hand, or an error in this code.
    """

    def __init__(self, hub: Hub, round_seconds: float = ROUND_SECONDS) -> None:
        self._hub = hub
        self._round_seconds = round_seconds

    async def run(self) -> None:
        """Check until cancelled. While the store is away it only waits, because nothing is delivered then either."""
        while True:
            followings = self._hub.followings()
            pieces = [followings[start : start + AT_ONCE] for start in range(0, len(followings), AT_ONCE)] or [[]]
            for piece in pieces:
                await asyncio.sleep(self._round_seconds / len(pieces))
                feeds = {each: feed for each in piece if (feed := each.feed()) is not None}
                while feeds:
                    try:
                        lost = await self._hub.channels.lost({(each.account, feed) for each, feed in feeds.items()})
                    except DomainError as problem:
                        log.debug("rights cannot be looked at: %s", problem)
                        await asyncio.sleep(REPEAT_SECONDS)
                        continue
                    for following, feed in feeds.items():
                        if (following.account, feed) in lost:
                            following.doubt()
                    break
