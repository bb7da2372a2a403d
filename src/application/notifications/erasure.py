"""Erases what was told to an account that was deleted."""

from datetime import datetime

from application.erasure import DELETED, MOST
from application.ports.consumers import Consumer
from application.ports.events import EventView
from application.ports.notifications import NotificationUpkeep, NotificationWork
from domain.ids import AccountId


def erasing(upkeep: NotificationUpkeep) -> Consumer[NotificationWork]:
    """Drops the notifications and the inbox of a deleted account."""

    async def erase(work: NotificationWork, event: EventView, now: datetime) -> bool:
        return await upkeep.erase(AccountId(event.resource.id), MOST) == 0

    return Consumer("notifications_erase", DELETED, erase)
