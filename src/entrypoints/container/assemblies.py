"""The assemblies: one that the settings describe, and one that keeps everything in this process."""

from typing import Any

from dependency_injector.providers import Dict, Object, Singleton

from adapters import memory
from adapters.security import Argon2Hasher
from entrypoints.container import exports, identity, mail, market, notifications, rooms, tasks, workspaces
from entrypoints.container.table import Container
from entrypoints.settings import Settings

# What every context may use comes before them.
SERVICES = (mail,)
CONTEXTS = (identity, workspaces, tasks, rooms, market, notifications, exports)

# Those who lost their connection by a restart of the only process are back by then.
BACK_SECONDS = 10.0


def assembled(settings: Any, **changes: Any) -> Container:
    """The assembly that these settings describe. With Redis several processes share state; without it there is one.

    `changes` are providers that replace others by name; a name that does not exist is an AttributeError.
    """
    house = Container(settings=settings)
    if not house.settings().redis_url:
        without_redis(house)
        house.override_providers(presence=Singleton(memory.MemoryPresence, BACK_SECONDS))
    for context in (*SERVICES, *CONTEXTS):
        context.on_postgres(house)
    house.override_providers(**changes)
    return house


def in_memory(**changes: Any) -> Container:
    """The second assembly: the same use cases on adapters that keep everything in this process, with a clock to move.

    `changes` are providers that replace others by name; a name that does not exist is an AttributeError.
    """
    house = Container(settings=offline())
    without_redis(house)
    without_postgres(house)
    house.override_providers(**changes)
    return house


def without_redis(house: Container) -> None:
    """Keep in this process what several processes would share through Redis."""
    house.override_providers(
        redis=Object(None),
        broker=Singleton(memory.MemoryBroker),
        limiter=house.process_limiter,
        cache=house.process_cache,
        presence=Singleton(memory.MemoryPresence),
        newest=Singleton(memory.MemoryNewest, house.broker, house.clock),
    )


def without_postgres(house: Container) -> None:
    """Give a table without contexts all of them, in memory until the process ends, with a clock and ids to predict."""
    database = house.database
    # Not overridden, so that contexts can still add to them.
    house.repositories.set_kwargs(access=memory.MemoryAccess, cursors=memory.MemoryCursorRepository)
    house.override_providers(
        clock=Singleton(memory.MovableClock),
        ids=Singleton(memory.SequentialIds),
        observer=Singleton(memory.MemoryObserver, house.counted, house.measures),
        database=Singleton(memory.MemoryDatabase, house.clock),
        numbers_database=Object(None),
        replica=Object(None),
        open_database=Object(None),
        needed=Dict(),
        work=Singleton(
            memory.MemoryUnitOfWork,
            database,
            house.broker,
            house.ids,
            house.quota_limits,
            house.repositories,
            house.consumers,
        ),
        cursors=Singleton(memory.MemoryCursors, database),
        access_queries=Singleton(memory.MemoryAccessQueries, database),
        session_queries=Singleton(memory.MemorySessionQueries, database),
        journal=Singleton(memory.MemoryJournalQueries, database),
        idempotency=Singleton(memory.MemoryIdempotency, database, house.clock),
        ticket_store=Singleton(memory.MemoryTicketStore, house.settings.provided.quota_tickets, house.clock),
        store=Singleton(memory.MemoryStoreQueries, database, house.clock, house.figures),
        upkeep=Singleton(memory.MemoryUpkeep, database),
        # The cheapest parameters that argon2 takes, because these hashes end with the process.
        hasher=Singleton(Argon2Hasher, memory_kib=8, passes=1),
    )
    for context in (*SERVICES, *CONTEXTS):
        context.in_memory(house)


def offline() -> Settings:
    """Settings for an assembly that needs no service."""
    return Settings(jwt_secret="in memory, this secret guards nothing", database_url="postgresql://")  # noqa: S106
