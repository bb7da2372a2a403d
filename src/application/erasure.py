"""Erases what is left of an account that was deleted, in pieces.

Each context that holds something of a person has a consumer of `account.deleted` of its own, so none waits for another.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from application.ports.consumers import Consumer, ConsumerWork
from application.ports.events import EventView
from application.ports.upkeep import Upkeep
from domain.identity import ERASED_NAME
from domain.ids import AccountId

__all__ = ["DELETED", "ERASED_NAME", "MOST", "drop_history", "history_of"]

DELETED = frozenset({"account.deleted"})
# How much is erased at once.
MOST = 500
# Until the consumers are looked at again that have not handled all events of a stream yet.
WAIT_SECONDS = 0.2


def history_of(name: str, upkeep: Upkeep, stream: Callable[[AccountId], str]) -> Consumer[ConsumerWork]:
    """Drops a stream that only the owner of a deleted account could read, and all streams within it."""

    async def erase(work: ConsumerWork, event: EventView, now: datetime) -> bool:
        return await drop_history(upkeep, stream(AccountId(event.resource.id)), None, now)

    return Consumer(name, DELETED, erase)


async def drop_history(upkeep: Upkeep, stream: str, until: int | None, now: datetime) -> bool:
    """Drop a piece of what `Upkeep.drop_history` drops, and return whether nothing is left."""
    dropped, is_done = await upkeep.drop_history(stream, until, now, MOST)
    if not dropped and not is_done:
        await asyncio.sleep(WAIT_SECONDS)
    return is_done
