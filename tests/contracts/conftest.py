"""The sets of adapters that every contract is checked with."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from operator import attrgetter
from uuid import uuid4

import pytest
import pytest_asyncio
from redis import Redis

from adapters.mail import FolderMailer, KeptMailer, Letters
from adapters.memory.access import MemoryAccessQueries
from adapters.memory.addresses import MemoryAddressUpkeep
from adapters.memory.cache import MemoryCache
from adapters.memory.consumers import MemoryCursors
from adapters.memory.database import MemoryDatabase
from adapters.memory.due import MemoryDeadlines
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.exports import MemoryExportStore
from adapters.memory.guest_passes import MemoryGuestPassStore
from adapters.memory.idempotency import MemoryIdempotency
from adapters.memory.identity import MemorySessionQueries
from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.mail import MAILS, MemoryMailStore
from adapters.memory.newest import MemoryNewest
from adapters.memory.notifications import DIGESTS, MemoryNotificationQueries, MemoryNotificationUpkeep
from adapters.memory.observer import MemoryObserver
from adapters.memory.presence import MemoryPresence
from adapters.memory.rooms import ROOMS, MemoryRoomQueries, MemoryRoomUpkeep
from adapters.memory.store import MemoryStoreQueries
from adapters.memory.system import MovableClock, SequentialIds
from adapters.memory.tasks import TASKS, MemoryTaskNumbers, MemoryTaskQueries, MemoryTaskUpkeep, MemoryTaskWords
from adapters.memory.tickets import MemoryTicketStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.memory.upkeep import MemoryUpkeep
from adapters.memory.workspaces import MemoryWorkspaceQueries
from adapters.postgres import tables
from adapters.postgres.access import PostgresAccessQueries
from adapters.postgres.addresses import PostgresAddressUpkeep
from adapters.postgres.consumers import PostgresCursors
from adapters.postgres.database import Database
from adapters.postgres.due import PostgresDeadlines
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.exports import PostgresExportStore
from adapters.postgres.guest_passes import PostgresGuestPassStore
from adapters.postgres.idempotency import PostgresIdempotency
from adapters.postgres.identity import PostgresSessionQueries
from adapters.postgres.long_reads import LongReads
from adapters.postgres.mail import PostgresMailStore
from adapters.postgres.notifications import PostgresNotificationQueries, PostgresNotificationUpkeep
from adapters.postgres.rooms import PostgresRoomQueries, PostgresRoomUpkeep
from adapters.postgres.store import PostgresStoreQueries
from adapters.postgres.task_numbers import PostgresTaskNumbers
from adapters.postgres.task_words import PostgresTaskWords
from adapters.postgres.tasks import PostgresTaskQueries, PostgresTaskUpkeep
from adapters.postgres.tickets import PostgresTicketStore
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from adapters.postgres.upkeep import PostgresUpkeep
from adapters.postgres.workspaces import PostgresWorkspaceQueries
from adapters.redis.broker import RedisBroker
from adapters.redis.cache import RedisCache
from adapters.redis.limits import RedisRateLimiter
from adapters.redis.newest import RedisNewest
from adapters.redis.presence import RedisPresence
from adapters.security.secrets import HmacSecrets
from application.identity import Guests
from application.ports.events import Broker
from application.quotas import Quotas
from entrypoints.container import Container, assembled, in_memory, offline
from tests.contracts.crowd import NewPresence
from tests.contracts.house import CONSUMERS, House
from tests.support.services import SEAL, PostgresService, RedisService

CACHE_BYTES = 1_000_000
TICKETS_MAX = 10
LETTERS = Letters("Signalbox <signalbox@example.org>", "https://signalbox.example")
SECRETS = HmacSecrets("only for tests 0123456789 abcdefghij")
# Instead of the fractions of a second that a request waits for Redis: a busy machine is not a Redis that is away.
PATIENT_SECONDS = 30.0


@pytest.fixture(params=["memory", "postgres_and_redis"])
def house(request: pytest.FixtureRequest) -> House:
    """One assembly after the other; the services start only if a test needs them."""
    found: House = request.getfixturevalue(f"{request.param}_house")
    return found


@pytest.fixture(scope="session")
def memory_assembly() -> Container:
    """One for all houses: what they take from it holds no state, but for the quotas, which each has for itself."""
    return in_memory()


@pytest.fixture(scope="session")
def postgres_assembly() -> Container:
    """Likewise."""
    return assembled(offline())


@pytest_asyncio.fixture
async def memory_house(memory_assembly: Container) -> AsyncIterator[House]:
    """All ports in memory."""
    clock, ids, broker = MovableClock(), SequentialIds(), MemoryBroker()
    database, assembly = MemoryDatabase(clock), memory_assembly
    quotas, repositories = Quotas(assembly.quotas()), assembly.repositories()
    newest = MemoryNewest(broker, clock)
    presence, cache = MemoryPresence(), MemoryCache(CACHE_BYTES, clock, MemoryObserver())

    async def pass_time(duration: timedelta) -> None:
        clock.advance(duration)

    async with _carrying(broker):
        yield House(
            work=MemoryUnitOfWork(database, broker, ids, quotas, repositories, CONSUMERS),
            quotas=quotas,
            cursors=MemoryCursors(database),
            task_queries=MemoryTaskQueries(database),
            task_numbers=MemoryTaskNumbers(database),
            task_words=MemoryTaskWords(),
            task_upkeep=MemoryTaskUpkeep(database),
            task_numbers_elsewhere=MemoryTaskNumbers(database),
            workspace_queries=MemoryWorkspaceQueries(database),
            room_queries=MemoryRoomQueries(database),
            room_upkeep=MemoryRoomUpkeep(database),
            export_store=MemoryExportStore(database),
            room_deadlines=MemoryDeadlines(database, ROOMS, attrgetter("due_at")),
            notification_queries=MemoryNotificationQueries(database),
            notification_upkeep=MemoryNotificationUpkeep(database),
            task_deadlines=MemoryDeadlines(database, TASKS, attrgetter("remind_at")),
            digest_deadlines=MemoryDeadlines(database, DIGESTS, attrgetter("due_at")),
            mailer=KeptMailer(LETTERS),
            mail_store=MemoryMailStore(database),
            mail_deadlines=MemoryDeadlines(database, MAILS, attrgetter("due_at")),
            access_queries=MemoryAccessQueries(database),
            session_queries=MemorySessionQueries(database),
            guest_passes=(guest_passes := MemoryGuestPassStore(database)),
            guests=Guests(guest_passes, SECRETS, clock, ids),
            address_upkeep=MemoryAddressUpkeep(database),
            journal=MemoryJournalQueries(database),
            broker=broker,
            elsewhere=broker,
            presence=presence,
            presence_elsewhere=presence,
            newest=newest,
            newest_elsewhere=newest,
            limiter=MemoryRateLimiter(clock),
            cache=cache,
            cache_elsewhere=cache,
            idempotency=MemoryIdempotency(database, clock),
            ticket_store=MemoryTicketStore(TICKETS_MAX, clock),
            store=MemoryStoreQueries(database, clock, assembly.figures()),
            upkeep=MemoryUpkeep(database),
            clock=clock,
            ids=ids,
            pass_time=pass_time,
        )


@pytest_asyncio.fixture
async def postgres_and_redis_house(
    postgres_assembly: Container,
    compiled: tuple[PostgresStoreQueries, Mapping[str, PostgresDeadlines]],
    empty_database: Database,
    numbers_database: Database,
    empty_redis: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """The ports on PostgreSQL and Redis. What is written is announced by another process than the one that listens."""
    clock, ids, database = MovableClock(), SequentialIds(), empty_database
    assembly, (store, deadlines) = postgres_assembly, compiled
    quotas, repositories = Quotas(assembly.quotas()), assembly.repositories()
    long_reads = LongReads(database, 4, 5.0, PATIENT_SECONDS)
    broker, elsewhere = (RedisBroker(empty_redis, SEAL, MemoryObserver()) for _ in range(2))

    async def pass_time(duration: timedelta) -> None:
        clock.advance(duration)
        if duration <= timedelta(seconds=2):
            await asyncio.sleep(duration.total_seconds())

    limiter = RedisRateLimiter(empty_redis, MemoryRateLimiter(clock), MemoryObserver(), answer_seconds=PATIENT_SECONDS)
    presence, presence_elsewhere = (
        RedisPresence(empty_redis, MemoryObserver(), answer_seconds=PATIENT_SECONDS) for _ in range(2)
    )
    newest, newest_elsewhere = (
        RedisNewest(empty_redis, SEAL, carrier, MemoryObserver(), answer_seconds=PATIENT_SECONDS)
        for carrier in (broker, elsewhere)
    )
    cache, cache_elsewhere = (
        RedisCache(
            empty_redis,
            MemoryCache(CACHE_BYTES, clock, observer),
            CACHE_BYTES,
            SEAL,
            observer,
            answer_seconds=PATIENT_SECONDS,
        )
        for observer in (MemoryObserver(), MemoryObserver())
    )
    async with _carrying(broker), _carrying(elsewhere):
        yield House(
            work=PostgresUnitOfWork(database, elsewhere, ids, MemoryObserver(), quotas, repositories, CONSUMERS),
            quotas=quotas,
            cursors=PostgresCursors(database),
            task_queries=PostgresTaskQueries(database, long_reads),
            task_numbers=PostgresTaskNumbers(numbers_database),
            task_words=PostgresTaskWords(database),
            task_upkeep=PostgresTaskUpkeep(database),
            task_numbers_elsewhere=PostgresTaskNumbers(numbers_database),
            workspace_queries=PostgresWorkspaceQueries(database),
            room_queries=PostgresRoomQueries(database),
            room_upkeep=PostgresRoomUpkeep(database),
            export_store=PostgresExportStore(database),
            room_deadlines=deadlines["rooms"],
            notification_queries=PostgresNotificationQueries(database),
            notification_upkeep=PostgresNotificationUpkeep(database),
            task_deadlines=deadlines["tasks"],
            digest_deadlines=deadlines["digests"],
            mailer=FolderMailer(tmp_path_factory.getbasetemp() / f"mail {uuid4()}", LETTERS),
            mail_store=PostgresMailStore(database),
            mail_deadlines=deadlines["mails"],
            access_queries=PostgresAccessQueries(database),
            session_queries=PostgresSessionQueries(database),
            guest_passes=(guest_passes := PostgresGuestPassStore(database, numbers_database)),
            guests=Guests(guest_passes, SECRETS, clock, ids),
            address_upkeep=PostgresAddressUpkeep(database),
            journal=PostgresJournalQueries(database, long_reads),
            broker=broker,
            elsewhere=elsewhere,
            presence=presence,
            presence_elsewhere=presence_elsewhere,
            newest=newest,
            newest_elsewhere=newest_elsewhere,
            limiter=limiter,
            cache=cache,
            cache_elsewhere=cache_elsewhere,
            idempotency=PostgresIdempotency(database, elsewhere, clock),
            ticket_store=PostgresTicketStore(database, TICKETS_MAX),
            store=store,
            upkeep=PostgresUpkeep(database),
            clock=clock,
            ids=ids,
            pass_time=pass_time,
        )
    for thing in (limiter, cache, cache_elsewhere, presence, presence_elsewhere, newest, newest_elsewhere):
        thing.close()


@pytest.fixture
def empty_database(postgres_service: PostgresService, database_url: str, database: Database) -> Database:
    """The pool of the whole session, on a database without rows."""
    postgres_service.empty(database_url)
    return database


@pytest.fixture
def empty_redis(redis_service: RedisService, redis_url: str) -> str:
    """The URL of a Redis without keys."""
    redis_service.empty()
    return redis_url


@pytest_asyncio.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool for the session, since connecting costs more than most of these tests."""
    database = Database(database_url, 10, MemoryObserver())
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="session")
def compiled(
    database: Database, postgres_assembly: Container
) -> tuple[PostgresStoreQueries, Mapping[str, PostgresDeadlines]]:
    """What compiles its statements when it is made, which takes longer than most of these tests."""
    deadlines = {
        "rooms": PostgresDeadlines(database, tables.rooms),
        "tasks": PostgresDeadlines(database, tables.tasks, "remind_at"),
        "digests": PostgresDeadlines(database, tables.digests),
        "mails": PostgresDeadlines(database, tables.mails),
    }
    return PostgresStoreQueries(database, postgres_assembly.figures()), deadlines


@pytest_asyncio.fixture(scope="session")
async def numbers_database(database_url: str) -> AsyncIterator[Database]:
    """The pool from which numbers of tasks are reserved; see `PostgresTaskNumbers`."""
    database = Database(database_url, 2, MemoryObserver())
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="module")
def _own_redis() -> Iterator[RedisService]:
    service = RedisService()
    yield service
    service.stop()


@pytest.fixture
def redis(_own_redis: RedisService) -> Iterator[RedisService]:
    """A Redis to do anything to; it runs and is empty at the beginning."""
    _own_redis.empty()
    yield _own_redis
    _own_redis.kill()
    _own_redis.start()


@pytest.fixture
def admin(redis: RedisService) -> Iterator[Redis]:
    """A client that looks at Redis from outside."""
    with Redis.from_url(redis.url, protocol=2) as client:
        yield client


@pytest.fixture
def new_presence(redis: RedisService) -> Iterator[NewPresence]:
    """Makes what each of several processes has."""
    made: list[RedisPresence] = []

    def make(
        instance: str = "",
        url: str = redis.url,
        lease_seconds: float = 60,
        answer_seconds: float = PATIENT_SECONDS,
        settled_seconds: float = 0.0,
    ) -> RedisPresence:
        times = (lease_seconds, answer_seconds, settled_seconds)
        made.append(RedisPresence(url, MemoryObserver(), instance, "signalbox:presence:", *times))
        return made[-1]

    yield make
    for presence in made:
        presence.close()


@asynccontextmanager
async def _carrying(broker: Broker) -> AsyncIterator[None]:
    running = asyncio.create_task(broker.run())
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
