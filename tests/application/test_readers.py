"""Every reader sees 1, 2, 3, … of its stream, whatever becomes of the hints and however many write and read."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapters.memory.database import MemoryDatabase
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock, SequentialIds
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.postgres.database import Database
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.long_reads import LongReads
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from application.lease import Lease
from application.ports.events import Entry, JournalQueries
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import UnitOfWork
from application.realtime.hub import Hub
from application.realtime.reader import JournalReader, StartedOver
from domain.channels import workspace_stream
from domain.errors import Unavailable
from entrypoints.container import assembled, in_memory, offline
from tests.application.live_house import turns
from tests.support.builders import Work, a_new_task, a_team, an_account
from tests.support.faulty_broker import Fate, FaultyBroker, WatchedJournal, dealing

DEADLINE_SECONDS = 60.0
# Made once, for all the orders of what happens.
HOUSE = in_memory()
REPOSITORIES = assembled(offline()).repositories()


@dataclass(frozen=True, slots=True)
class Store:
    """Where units of work are applied."""

    work: UnitOfWork[Work]
    journal: JournalQueries
    broker: FaultyBroker
    clock: Clock
    ids: Ids


@dataclass(frozen=True, slots=True)
class ReaderPlan:
    """How a reader behaves; it pauses for so many turns of the event loop, and gives a read up after `patience`."""

    begins_after: int
    since: int | None
    pauses: list[int]
    patience: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in one example. A writer's unit of work writes so many events to each of the two streams."""

    fates: list[Fate]
    writers: list[list[tuple[int, int]]]
    readers: list[ReaderPlan]
    delays: list[int]
    failures: list[bool]


READERS = st.builds(
    ReaderPlan,
    st.integers(0, 40),
    st.none() | st.integers(0, 12),
    st.lists(st.integers(0, 8), min_size=1, max_size=4),
    st.none() | st.integers(0, 6),
)
UNITS = st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(any)
PLANS = st.builds(
    Plan,
    st.lists(st.sampled_from(Fate), min_size=1, max_size=12),
    st.lists(st.lists(UNITS, min_size=1, max_size=6), min_size=1, max_size=4),
    st.lists(READERS, min_size=1, max_size=4),
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.lists(st.booleans(), max_size=12),
)
# The same examples in every run. A reader that hangs would hang with every smaller example, so nothing looks for one.
_BOUNDED = settings(
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def on_memory(fates: Sequence[Fate]) -> Store:
    clock, ids, broker = MovableClock(), SequentialIds(), FaultyBroker(MemoryBroker(), dealing(fates))
    database = MemoryDatabase(clock)
    work = MemoryUnitOfWork(database, broker, ids, HOUSE.quota_limits(), HOUSE.repositories())
    return Store(work, MemoryJournalQueries(database), broker, clock, ids)


def on_postgres(database: Database, fates: Sequence[Fate], ids: Ids) -> Store:
    broker = FaultyBroker(MemoryBroker(), dealing(fates))
    work = PostgresUnitOfWork(database, broker, ids, MemoryObserver(), HOUSE.quota_limits(), REPOSITORIES)
    return Store(work, PostgresJournalQueries(database, LongReads(database, 4, 5.0)), broker, MovableClock(), ids)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, 10, MemoryObserver())
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def ids() -> SequentialIds:
    """Identifiers for all examples of a test, which share a database."""
    return SequentialIds()


async def play(store: Store, plan: Plan) -> None:
    """Let all writers and readers of a plan loose on two streams; AssertionError if a reader misses anything."""
    ada = await an_account(store)
    teams = [await a_team(store, ada.id) for _ in range(2)]
    streams = [workspace_stream(team.id) for team in teams]
    totals = [1 + sum(unit[i] for units in plan.writers for unit in units) for i in range(2)]
    failures, delays = iter(plan.failures), itertools.cycle(plan.delays)

    async def at(point: str) -> None:
        await turns(next(delays))
        if point.startswith("before") and next(failures, False):
            raise Unavailable("The journal is away.")

    hub = Hub(WatchedJournal(store.journal, at), store.broker, MemoryObserver(), Lease(), HOUSE.channels())

    async def write(units: list[tuple[int, int]]) -> None:
        for unit in units:
            async with store.work() as work:
                for team, count in zip(teams, unit, strict=True):
                    for _ in range(count):
                        work.tasks.add(a_new_task(store, team.id, ada.id))
            await turns(next(delays))

    async def follow(stream: str, total: int, reader_plan: ReaderPlan) -> None:
        await turns(reader_plan.begins_after)
        head = (await store.journal.heads([stream]))[stream]
        while True:
            with suppress(Unavailable):
                async with hub.reader(stream, reader_plan.since) as reader:
                    begun = reader.position
                    seen = [entry async for entry in entries_until(reader, total, reader_plan)]
                break
        since = reader_plan.since
        assert begun == since if since is not None and since <= head else begun >= head
        assert [entry.offset for entry in seen] == list(range(begun + 1, total + 1))
        assert seen == list(await store.journal.read(stream, begun, total))

    async def check() -> None:
        while True:
            with suppress(Unavailable):
                await hub.check_heads()
            await turns(3)

    checking = asyncio.create_task(check())
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            follows = [follow(streams[i % 2], totals[i % 2], reader) for i, reader in enumerate(plan.readers)]
            await asyncio.gather(*(write(units) for units in plan.writers), *follows)
    finally:
        checking.cancel()
    assert store.broker.followed == []


async def entries_until(reader: JournalReader, total: int, plan: ReaderPlan) -> AsyncIterator[Entry]:
    """What the reader hands out until the stream is at its end, though reads fail and are given up."""
    pauses = itertools.cycle(plan.pauses)
    patience = plan.patience
    while reader.position < total:
        await turns(next(pauses))
        reading = asyncio.create_task(reader.read())
        if patience is not None:
            await turns(patience)
            reading.cancel()
            patience += 1  # or it would never see anything
        await asyncio.wait([reading])
        if reading.cancelled() or isinstance(reading.exception(), Unavailable):
            continue
        if isinstance(reading.exception(), StartedOver):
            assert plan.since is not None
            continue
        for entry in reading.result():
            yield entry


@given(plan=PLANS)
@settings(_BOUNDED, max_examples=250)
async def test_every_reader_sees_its_whole_stream_in_order_whatever_the_broker_does(plan: Plan) -> None:
    await play(on_memory(plan.fates), plan)


@given(plan=PLANS)
@settings(_BOUNDED, max_examples=25)
async def test_every_reader_sees_its_whole_stream_in_order_on_postgresql_too(
    database: Database, ids: SequentialIds, plan: Plan
) -> None:
    await play(on_postgres(database, plan.fates, ids), plan)
