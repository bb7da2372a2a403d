"""One set of adapters for all ports, so that a contract is written once and kept by every set."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Raw

from adapters.memory.system import MovableClock
from application.identity import Guests
from application.ports.access import AccessQueries
from application.ports.cache import Cache
from application.ports.consumers import Consumer, Cursors
from application.ports.due import Deadlines
from application.ports.events import Broker, Entry, EventView, JournalQueries, Signal
from application.ports.exports import ExportStore
from application.ports.idempotency import Idempotency
from application.ports.identity import AddressUpkeep, GuestPassStore, SessionQueries
from application.ports.limits import RateLimiter
from application.ports.mail import Mailer, MailStore
from application.ports.newest import Newest
from application.ports.notifications import NotificationQueries, NotificationUpkeep
from application.ports.presence import Presence
from application.ports.rooms import RoomQueries, RoomUpkeep
from application.ports.store import StoreQueries
from application.ports.system import Ids
from application.ports.tasks import TaskNumbers, TaskQueries, TaskUpkeep, TaskWords
from application.ports.tickets import TicketStore
from application.ports.unit_of_work import UnitOfWork
from application.ports.upkeep import Upkeep
from application.ports.workspaces import WorkspaceQueries
from application.quotas import Quotas
from domain.kernel import Event
from tests.support.builders import Work


async def _nothing(work: Work, event: EventView, now: datetime) -> bool:
    return True


def _is_of_nobody(event: Event) -> bool:
    return event.actor is None


# Whom every unit of work of a house notes events for; they want what few tests write.
CLERK = Consumer("clerk", frozenset({"task.archived", "task.unarchived"}), _nothing)
PORTER = Consumer("porter", frozenset({"task.archived"}), _nothing)
NURSE = Consumer("nurse", frozenset({"task.unassigned"}), _nothing, _is_of_nobody)
CONSUMERS = (CLERK, PORTER, NURSE)


@dataclass(frozen=True, slots=True)
class House:
    """Every port of one assembly.

    `elsewhere` is the broker of another process on the same store, where there can be one, and else the same one;
    `task_numbers_elsewhere` is what such a process hands out, and `presence_elsewhere`, `newest_elsewhere` and
    `cache_elsewhere` what it knows.
    `quotas` are those of `work`; a test may put smaller ones into them. `ticket_store` keeps ten of an account.
    `pass_time` lets time pass for everything behind the ports; of a shared store's own clock, two seconds at most.
    """

    work: UnitOfWork[Work]
    quotas: Quotas
    cursors: Cursors
    task_queries: TaskQueries
    task_numbers: TaskNumbers
    task_words: TaskWords
    task_upkeep: TaskUpkeep
    task_numbers_elsewhere: TaskNumbers
    workspace_queries: WorkspaceQueries
    room_queries: RoomQueries
    room_upkeep: RoomUpkeep
    export_store: ExportStore
    room_deadlines: Deadlines
    notification_queries: NotificationQueries
    notification_upkeep: NotificationUpkeep
    task_deadlines: Deadlines
    digest_deadlines: Deadlines
    mailer: Mailer
    mail_store: MailStore
    mail_deadlines: Deadlines
    access_queries: AccessQueries
    session_queries: SessionQueries
    guest_passes: GuestPassStore
    address_upkeep: AddressUpkeep
    guests: Guests
    journal: JournalQueries
    broker: Broker
    elsewhere: Broker
    presence: Presence
    presence_elsewhere: Presence
    newest: Newest
    newest_elsewhere: Newest
    limiter: RateLimiter
    cache: Cache
    cache_elsewhere: Cache
    idempotency: Idempotency
    ticket_store: TicketStore
    store: StoreQueries
    upkeep: Upkeep
    clock: MovableClock
    ids: Ids
    pass_time: Callable[[timedelta], Awaitable[None]]


async def eventually(met: Callable[[], bool | Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until the condition is met; TimeoutError if it is not in time."""
    async with asyncio.timeout(seconds):
        while True:
            outcome = met()
            if outcome if isinstance(outcome, bool) else await outcome:
                return
            await asyncio.sleep(0.005)


class Follower:
    """Follows one topic and collects what comes; what is published to find out how far that is is left out."""

    def __init__(self, house: House, topic: str) -> None:
        self._house = house
        self._topic = topic
        self._mark = 0
        self._arrived: list[Entry | Signal] = []

    async def start(self) -> "Follower":
        """Follow, until what another process publishes really arrives, and with it what was on its way before."""
        self._house.broker.listen(self._arrived.append, lambda: None)
        self._house.broker.follow(self._topic)

        def arrives() -> bool:
            self._house.elsewhere.publish([self._marker(0)])
            return self._marker(0) in self._arrived

        await eventually(arrives)
        self._arrived.clear()
        return self

    async def hints(self) -> Sequence[Entry]:
        """Every hint that was published before this call and since the start."""
        return [item for item in await self.news() if isinstance(item, Entry)]

    async def news(self) -> Sequence[Entry | Signal]:
        """Every hint and signal that was published before this call and since the start."""
        self._mark += 1
        marker = self._marker(self._mark)
        self._house.elsewhere.publish([marker])
        await eventually(lambda: marker in self._arrived)
        return [item for item in self._arrived if not (isinstance(item, Entry) and item.type == "marker")]

    def _marker(self, number: int) -> Entry:
        return Entry(self._topic, number, "marker", UUID(int=number), Raw(b"{}"))
