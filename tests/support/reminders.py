"""Things for tests that time does something to: reminders, which ring at each of their times, in both stores."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from time import monotonic
from typing import ClassVar, Protocol
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ARRAY,
    Column,
    Integer,
    MetaData,
    Table,
    Uuid,
    bindparam,
    create_mock_engine,
    insert,
    select,
    update,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from adapters.memory.database import MemoryDatabase, copied
from adapters.memory.database import Table as Kept
from adapters.memory.due import MemoryDeadlines
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock, SequentialIds
from adapters.memory.unit import MemoryUnit
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.postgres.database import Database
from adapters.postgres.due import PostgresDeadlines
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.long_reads import LongReads
from adapters.postgres.statement import Part, Statement
from adapters.postgres.tables import Instant, due_index
from adapters.postgres.unit_of_work.noted import PostgresUnit
from adapters.postgres.unit_of_work.opened import PostgresUnitOfWork
from adapters.system import SystemClock, TimeOrderedIds
from application.due import Later
from application.journal import event_view
from application.ports.due import Deadlines, Due
from application.ports.events import Broker, EventView, JournalQueries
from application.quotas import Quotas
from domain.errors import NotFound
from domain.kernel import Aggregate, EventType, declared
from entrypoints.container import in_memory


@dataclass(slots=True)
class Reminder(Aggregate):
    """Rings once for each of its times."""

    resource_type: ClassVar[str] = "reminder"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("reminder.set", "reminder", "It has other times."),
        EventType("reminder.rang", "reminder", "One of its times has come.", {"at": "Which."}),
    )

    id: UUID
    times: list[datetime]

    @property
    def due_at(self) -> datetime | None:
        return min(self.times, default=None)

    def set(self, times: list[datetime], now: datetime) -> None:
        self.times = times
        self._announce("reminder.set", stream_of(self.id), self.id, now, None)

    def elapse(self, now: datetime) -> None:
        for time in sorted(time for time in self.times if time <= now):
            self.times.remove(time)
            self._announce("reminder.rang", stream_of(self.id), self.id, now, None, data={"at": time})


def stream_of(id: UUID) -> str:
    return f"reminder:{id}"


class ReminderRepository(Protocol):
    """Reminders inside a unit of work."""

    async def get(self, id: UUID) -> Reminder: ...

    def add(self, reminder: Reminder) -> None: ...

    def save(self, reminder: Reminder) -> None: ...


class ReminderWork(Protocol):
    """The slice of a unit of work that changes reminders."""

    @property
    def reminders(self) -> ReminderRepository: ...


KEPT: Kept[UUID, Reminder] = Kept("reminders")


class MemoryReminders:
    """Reminders in memory."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: UUID) -> Reminder:
        await asyncio.sleep(0)
        kept = self._unit.tables[KEPT].get(id)
        if kept is None:
            raise NotFound
        return copied(kept)

    def add(self, reminder: Reminder) -> None:
        self.save(reminder)

    def save(self, reminder: Reminder) -> None:
        def kept(saved: Reminder) -> Reminder:
            self._unit.note_due(saved.due_at)
            return copied(saved)

        self._unit.saving(reminder.id, reminder, KEPT, kept=kept)


REMINDERS = Table(
    "reminders",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("times", ARRAY(Instant), nullable=False),
    Column("due_at", Instant),
    Column("version", Integer, nullable=False),
)
INDEX = due_index(REMINDERS)
_GET = Statement(
    select(REMINDERS.c.id, REMINDERS.c.times, REMINDERS.c.version).where(REMINDERS.c.id == bindparam("of"))
)
_INSERT = Statement(insert(REMINDERS).values({name: bindparam(name) for name in ("id", "times", "due_at", "version")}))
_UPDATE = Statement(
    update(REMINDERS)
    .where(REMINDERS.c.id == bindparam("of"), REMINDERS.c.version == bindparam("loaded"))
    .values({name: bindparam(name) for name in ("times", "due_at", "version")})
)


class PostgresReminders:
    """Reminders in PostgreSQL."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: UUID) -> Reminder:
        row = await self._unit.fetchrow(_GET, of=id)
        if row is None:
            raise NotFound
        return Reminder(id=row["id"], times=list(row["times"]), version=row["version"])

    def add(self, reminder: Reminder) -> None:
        self._write(reminder, _INSERT)

    def save(self, reminder: Reminder) -> None:
        self._write(reminder, _UPDATE)

    def _write(self, reminder: Reminder, statement: Statement) -> None:
        def writes(loaded: int) -> list[Part]:
            self._unit.note_due(reminder.due_at)
            values = {name: getattr(reminder, name) for name in ("id", "times", "due_at", "version")}
            return [statement.part({**values, "of": reminder.id, "loaded": loaded})]

        self._unit.saving(reminder, writes)


@dataclass
class Bedside:
    """Where reminders are set and ring: one store, and what all its processes share."""

    work: Callable[[], AbstractAsyncContextManager[ReminderWork]]
    deadlines: Deadlines
    journal: JournalQueries
    broker: Broker
    clock: MovableClock

    def __post_init__(self) -> None:
        self.observer = MemoryObserver()
        self.ids = SequentialIds()

    @property
    def kind(self) -> Due:
        return Due("reminders", self.deadlines, self.elapse)

    def worker(self, *kinds: Due) -> Later:
        """One more worker on the same store, as another process would be."""
        return Later(kinds or (self.kind,), self.broker, self.clock, self.observer)

    async def elapse(self, id: UUID, now: datetime) -> None:
        async with self.work() as work:
            reminder = await work.reminders.get(id)
            reminder.elapse(now)
            work.reminders.save(reminder)

    async def remind(self, *seconds: float) -> UUID:
        """A new reminder that rings in that many seconds from now."""
        now = self.clock.now()
        reminder = Reminder(id=self.ids.new(), times=[])
        reminder.set([now + timedelta(seconds=each) for each in seconds], now)
        async with self.work() as work:
            work.reminders.add(reminder)
        return reminder.id

    async def change(self, id: UUID, *seconds: float) -> None:
        now = self.clock.now()
        async with self.work() as work:
            reminder = await work.reminders.get(id)
            reminder.set([now + timedelta(seconds=each) for each in seconds], now)
            work.reminders.save(reminder)

    async def rings(self, id: UUID) -> list[EventView]:
        """How often it rang, by the journal."""
        entries = await self.journal.read(stream_of(id), 0, 10_000)
        views = [event_view(entry.stream, entry.offset, bytes(entry.body).decode()) for entry in entries]
        return [view for view in views if view.type == "reminder.rang"]


class RunningClock(MovableClock):
    """Goes on by itself, and can be moved as well."""

    def __init__(self) -> None:
        super().__init__(SystemClock().now())
        self._began = monotonic()

    def now(self) -> datetime:
        return self._now + timedelta(seconds=monotonic() - self._began)


@cache
def quotas() -> Quotas:
    return in_memory().quota_limits()


def bedside_in_memory(clock: MovableClock | None = None, broker: MemoryBroker | None = None) -> Bedside:
    clock, broker = clock or MovableClock(), broker or MemoryBroker()
    database = MemoryDatabase(clock)
    work = MemoryUnitOfWork(database, broker, SequentialIds(), quotas(), {"reminders": MemoryReminders})
    deadlines = MemoryDeadlines(database, KEPT, lambda reminder: reminder.due_at)
    return Bedside(work, deadlines, MemoryJournalQueries(database), broker, clock)


def bedside_of(database: Database, clock: MovableClock | None = None) -> Bedside:
    """On a PostgreSQL that has a table of reminders; others may be at the same one."""
    broker, ids = MemoryBroker(), TimeOrderedIds()
    repositories = {"reminders": PostgresReminders}
    work = PostgresUnitOfWork(database, broker, ids, MemoryObserver(), quotas(), repositories)
    journal = PostgresJournalQueries(database, LongReads(database, 4, 5.0))
    return Bedside(work, PostgresDeadlines(database, REMINDERS), journal, broker, clock or MovableClock())


@asynccontextmanager
async def bedside_on_postgres(
    url: str, database: Database, clock: MovableClock | None = None
) -> AsyncIterator[Bedside]:
    """With a table of reminders, which is gone at the end."""
    dialect = create_mock_engine("postgresql://", print).dialect
    connection = await asyncpg.connect(url)
    try:
        for step in (CreateTable(REMINDERS), CreateIndex(INDEX)):
            await connection.execute(str(step.compile(dialect=dialect)))
        yield bedside_of(database, clock)
    finally:
        await connection.execute("DROP TABLE IF EXISTS reminders")
        await connection.close()


async def ring(url: str) -> None:
    """A process that does nothing but see to reminders, until it is killed."""
    database = Database(url, 5, MemoryObserver())
    await database.open()
    await bedside_of(database, RunningClock()).worker().run()


if __name__ == "__main__":
    asyncio.run(ring(sys.argv[1]))
