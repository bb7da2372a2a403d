"""The whole assembly on one screen: which adapter stands behind which port, and how the use cases get them."""

import operator
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from dependency_injector import containers, providers
from dependency_injector.providers import Provider, Singleton
from litestar.types import ASGIApp

from adapters.cached.tasks import CachedTaskQueries
from adapters.machine import Disk, Memory
from adapters.memory.access import MemoryAccessQueries
from adapters.memory.cache import MemoryCache
from adapters.memory.consumers import MemoryCursors
from adapters.memory.database import MemoryDatabase
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.idempotency import MemoryIdempotency
from adapters.memory.identity import MemorySessionQueries
from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.observer import MemoryObserver
from adapters.memory.presence import MemoryPresence
from adapters.memory.store import MemoryStoreQueries
from adapters.memory.system import MovableClock, SequentialIds
from adapters.memory.tasks import MemoryTaskNumbers, MemoryTaskQueries, MemoryTaskWords
from adapters.memory.tickets import MemoryTicketStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.memory.upkeep import MemoryUpkeep
from adapters.memory.workspaces import MemoryWorkspaceQueries
from adapters.postgres.access import PostgresAccessQueries
from adapters.postgres.consumers import PostgresCursors
from adapters.postgres.database import Database
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.idempotency import PostgresIdempotency
from adapters.postgres.identity import PostgresSessionQueries
from adapters.postgres.long_reads import LongReads
from adapters.postgres.replica import Replica
from adapters.postgres.schema import Schema
from adapters.postgres.store import PostgresStoreQueries
from adapters.postgres.task_numbers import PostgresTaskNumbers
from adapters.postgres.task_words import PostgresTaskWords
from adapters.postgres.tasks import PostgresTaskQueries
from adapters.postgres.tickets import PostgresTicketStore
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from adapters.postgres.upkeep import PostgresUpkeep
from adapters.postgres.workspaces import PostgresWorkspaceQueries
from adapters.redis.broker import RedisBroker
from adapters.redis.cache import RedisCache
from adapters.redis.limits import RedisRateLimiter
from adapters.redis.presence import RedisPresence
from adapters.redis.seal import Seal
from adapters.redis.server import RedisServer
from adapters.security.passwords import Argon2Hasher
from adapters.security.secrets import HmacSecrets
from adapters.security.tokens import JwtAccessTokens
from adapters.system import SystemClock, TimeOrderedIds
from adapters.telemetry.metrics import Metrics
from adapters.telemetry.observer import TelemetryObserver
from adapters.telemetry.tracing import Traces
from application.administration import Administration
from application.authentication import Authentication
from application.consumers import Consumers
from application.events import Events
from application.identity import Identity
from application.lease import Lease
from application.limits import Limits
from application.ports.access import AccessQueries
from application.ports.cache import Cache
from application.ports.consumers import Consumer, ConsumerWork, Cursors
from application.ports.events import Broker, JournalQueries
from application.ports.idempotency import Idempotency
from application.ports.identity import AccessTokens, PasswordHasher, SessionQueries
from application.ports.limits import RateLimiter
from application.ports.observer import Observer
from application.ports.presence import Presence
from application.ports.secrets import Secrets
from application.ports.store import StoreQueries
from application.ports.system import Clock, Ids
from application.ports.tasks import TaskNumbers, TaskQueries, TaskWords, TaskWork
from application.ports.tickets import TicketStore
from application.ports.unit_of_work import UnitOfWork
from application.ports.upkeep import Upkeep
from application.ports.workspaces import WorkspaceQueries
from application.reactions import RELEASE, RegistrationWork, give_personal_workspace
from application.realtime.doorstep import Doorstep
from application.realtime.hub import Hub
from application.realtime.live import Live
from application.realtime.lobby import Lobby
from application.realtime.patrol import Patrol
from application.realtime.surroundings import Surroundings
from application.realtime.tickets import Tickets
from application.retention import Retention
from application.statistics import Statistics
from application.tasks import Tasks, WordsAnew
from application.workspaces import Workspaces
from entrypoints import VERSION
from entrypoints.choices import caching_by, quotas_of, sharing_by
from entrypoints.drift import Drift
from entrypoints.http.app import create_app
from entrypoints.http.edge import Edge
from entrypoints.http.health import HealthChecks
from entrypoints.http.idempotency import IdempotentRequests
from entrypoints.lifetimes import Running, closed, opened
from entrypoints.metrics import Exposition
from entrypoints.probe import Heart
from entrypoints.settings import Settings
from entrypoints.websocket.calls import Calls

ISSUER = "signalbox"

T = TypeVar("T")


class EveryWork(RegistrationWork, TaskWork, ConsumerWork, Protocol):
    """One unit of work serves all use cases; each of them sees only its own slice of it."""


def _traces(settings: Settings) -> Traces | None:
    """Traces go where somebody takes them."""
    endpoint = settings.otel_exporter_otlp_endpoint
    return Traces(endpoint, settings.otel_service_name, VERSION, settings.instance) if endpoint else None


def _database(settings: Settings, url: str, size: int, observer: Observer) -> Database:
    return Database(url, size, observer, settings.database_pool_wait_seconds, settings.database_pool_idle_seconds)


def _replica(settings: Settings, primary: Database, observer: Observer) -> Replica | None:
    """A replica is for the few reads that may go there, so it gets fewer connections."""
    url = settings.database_read_replica_url
    size = max(2, settings.database_pool_size // 4)
    return Replica(_database(settings, url, size, observer), primary) if url else None


def _long_reads(settings: Settings, database: Database) -> LongReads:
    """Lists that may take long have a quarter of the connections, and none of them has one for long."""
    return LongReads(database, max(1, settings.database_pool_size // 4), settings.long_list_seconds)


def _watched(observer: Observer, thing: T) -> T:
    return observer.watched(thing)


class Container(containers.DeclarativeContainer):
    """Every provider is a stateless singleton, so HTTP, sockets and the command line are equals."""

    settings = providers.Dependency(instance_of=Settings)
    sharing = providers.Callable(sharing_by, settings)
    _secrets = (settings.provided.jwt_secret, settings.provided.jwt_previous_secrets)

    # System
    clock: Provider[Clock] = Singleton(SystemClock)
    ids: Provider[Ids] = Singleton(TimeOrderedIds)
    quotas = Singleton(quotas_of, settings)

    # What operators see
    metrics = Singleton(Metrics, VERSION, settings.provided.instance)
    traces: Provider[Any] = Singleton(_traces, settings)
    observer: Provider[Observer] = Singleton(
        TelemetryObserver,
        metrics,
        traces,
        settings.provided.otel_traces_sampler_arg,
        settings.provided.slow_request_ms,
        settings.provided.slow_query_ms,
    )

    # Technology
    database: Provider[Any] = Singleton(
        _database, settings, settings.provided.database_url, settings.provided.database_pool_size, observer
    )
    # For what must not wait behind requests: ended sessions, health, and numbers. Whoever takes a number holds a
    # connection of the other pool already, and everybody may do so at once.
    numbers_database: Provider[Any] = Singleton(_database, settings, settings.provided.database_url, 2, observer)

    replica: Provider[Any] = Singleton(_replica, settings, database, observer)

    redis: Provider[Any] = providers.Selector(
        sharing, redis=Singleton(RedisServer, settings.provided.redis_url), process=providers.Object(None)
    )

    # Ports
    process_limiter: Provider[RateLimiter] = Singleton(MemoryRateLimiter, clock)
    limiter: Provider[RateLimiter] = providers.Selector(
        sharing,
        redis=Singleton(RedisRateLimiter, settings.provided.redis_url, process_limiter, observer),
        process=process_limiter,
    )
    broker: Provider[Broker] = providers.Selector(
        sharing,
        redis=Singleton(RedisBroker, settings.provided.redis_url, Singleton(Seal, "hints", *_secrets), observer),
        process=Singleton(MemoryBroker),
    )
    # What follows from events, afterwards; each context adds its own.
    consumers: Provider[Sequence[Consumer[EveryWork]]] = providers.Object((RELEASE,))
    work: Provider[UnitOfWork[EveryWork]] = Singleton(
        PostgresUnitOfWork, database, broker, ids, observer, quotas, consumers
    )
    cursors: Provider[Cursors] = Singleton(PostgresCursors, database)
    long_reads = Singleton(_long_reads, settings, database)
    stored_task_queries: Provider[TaskQueries] = Singleton(PostgresTaskQueries, database, long_reads)
    task_numbers: Provider[TaskNumbers] = Singleton(PostgresTaskNumbers, numbers_database)
    task_words: Provider[TaskWords] = Singleton(PostgresTaskWords, database)
    workspace_queries: Provider[WorkspaceQueries] = Singleton(PostgresWorkspaceQueries, database)
    access_queries: Provider[AccessQueries] = Singleton(PostgresAccessQueries, database)
    process_cache: Provider[Cache] = Singleton(MemoryCache, settings.provided.cache_max_bytes, clock, observer)
    cache: Provider[Cache] = providers.Selector(
        sharing,
        redis=Singleton(
            RedisCache,
            settings.provided.redis_url,
            process_cache,
            settings.provided.cache_max_bytes,
            Singleton(Seal, "cache", *_secrets),
            observer,
        ),
        process=process_cache,
    )
    task_queries: Provider[TaskQueries] = providers.Selector(
        providers.Callable(caching_by, settings),
        on=Singleton(CachedTaskQueries, stored_task_queries, access_queries, cache),
        off=stored_task_queries,
    )
    session_queries: Provider[SessionQueries] = Singleton(PostgresSessionQueries, numbers_database)
    journal: Provider[JournalQueries] = Singleton(PostgresJournalQueries, database, long_reads, replica)
    idempotency: Provider[Idempotency] = Singleton(PostgresIdempotency, database, broker, clock)
    ticket_store: Provider[TicketStore] = Singleton(PostgresTicketStore, database, settings.provided.quota_tickets)
    store: Provider[StoreQueries] = Singleton(PostgresStoreQueries, database)
    upkeep: Provider[Upkeep] = Singleton(PostgresUpkeep, database)
    presence: Provider[Presence] = providers.Selector(
        sharing,
        redis=Singleton(RedisPresence, settings.provided.redis_url, observer),
        process=Singleton(MemoryPresence),
    )
    hasher: Provider[PasswordHasher] = Singleton(_watched, observer, Singleton(Argon2Hasher))
    secrets: Provider[Secrets] = Singleton(HmacSecrets, settings.provided.jwt_secret)
    tokens: Provider[AccessTokens] = Singleton(JwtAccessTokens, *_secrets, ISSUER, ISSUER)

    # Use cases
    limits = Singleton(
        Limits,
        limiter,
        settings.provided.rate_limit_enabled,
        settings.provided.rate_limit_max_requests,
        settings.provided.rate_limit_window_ms,
        settings.provided.rate_limit_in_hand,
        observer,
    )
    lease = Singleton(Lease)
    authentication = Singleton(Authentication, tokens, session_queries, clock, observer, lease)
    identity: Provider[Identity[EveryWork]] = Singleton(
        _watched,
        observer,
        Singleton(
            Identity[EveryWork],
            work,
            providers.Object(give_personal_workspace),
            hasher,
            tokens,
            secrets,
            authentication,
            limits,
            settings.provided.quota_sessions,
            clock,
            ids,
            observer,
        ),
    )
    administration = Singleton(Administration[EveryWork], work, authentication, clock)
    workspaces: Provider[Workspaces] = Singleton(
        _watched, observer, Singleton(Workspaces, work, workspace_queries, secrets, quotas, clock, ids)
    )
    tasks: Provider[Tasks] = Singleton(
        _watched, observer, Singleton(Tasks, work, task_queries, task_numbers, clock, ids)
    )
    events: Provider[Events] = Singleton(_watched, observer, Singleton(Events, journal, access_queries))
    hub = Singleton(Hub, journal, broker, observer, lease)
    patrol = Singleton(Patrol, hub, events)
    lobby = Singleton(Lobby, presence, broker, hub, settings.provided.rate_limit_enabled)
    tickets = Singleton(Tickets, ticket_store, secrets, authentication, limits, clock)
    retention = Singleton(
        Retention,
        upkeep,
        idempotency,
        ticket_store,
        clock,
        settings.provided.event_retention_days,
        settings.provided.session_retention_days,
        settings.provided.invitation_retention_days,
    )
    following_up = Singleton(Consumers[EveryWork], consumers, work, cursors, broker, clock, observer)
    words_anew = Singleton(WordsAnew, task_words)
    calls = Singleton(Calls, tasks, idempotency, observer)
    connect_seconds: Provider[float] = providers.Object(10.0)
    live = Singleton(
        Live,
        Singleton(Surroundings, events, hub, lobby, broker, calls, limits, observer),
        authentication,
        clock,
        connect_seconds,
        Singleton(
            Doorstep,
            settings.provided.unconnected_per_address,
            settings.provided.unconnected_max,
            settings.provided.rate_limit_enabled,
            observer,
        ),
    )

    memory = Singleton(Memory, settings.provided.memory_degraded_percent, settings.provided.memory_unhealthy_percent)
    disk = Singleton(Disk, settings.provided.data_dir)
    heart = Singleton(Heart, metrics.provided.lag.observe)
    drift = Singleton(Drift, store, clock)
    postgres_breakers = providers.Dict(
        postgresql=database.provided.breaker, postgresql_numbers=numbers_database.provided.breaker
    )
    redis_breakers = providers.Selector(
        sharing,
        redis=providers.Dict(
            redis_cache=cache.provided.breaker,
            redis_limits=limiter.provided.breaker,
            redis_presence=presence.provided.breaker,
        ),
        process=providers.Dict(),
    )
    statistics = Singleton(Statistics, store, live, hub, settings.provided.instance)

    # Lifetimes: nobody depends on one
    open_database = providers.Resource(opened, database, numbers_database, replica)
    close_at_end = providers.Resource(closed, hasher, limiter, cache, presence, traces)
    running = Singleton(
        Running, authentication, hub, broker, lobby, live, patrol, retention, following_up, words_anew, heart, drift
    )

    # Entry points
    needed = providers.Dict(database=numbers_database, migrations=Singleton(Schema, numbers_database))
    own = providers.Dict(memory=memory, disk=disk)
    optional = providers.Dict(replica=replica, redis=redis, broker=broker)
    health = Singleton(HealthChecks, needed, own, optional, live, VERSION)
    exposition = Singleton(
        Exposition,
        metrics.provided.registry,
        live,
        hub,
        broker,
        store,
        hasher,
        memory,
        disk,
        traces,
        health,
        drift,
        heart,
        process_cache,
        following_up,
        providers.Callable(operator.or_, postgres_breakers, redis_breakers),
    )
    litestar = Singleton(
        create_app,
        VERSION,
        settings.provided.cors_origin,
        identity,
        workspaces,
        tasks,
        events,
        hub,
        live,
        tickets,
        authentication,
        health,
        statistics,
        exposition,
        settings.provided.metrics_token,
        settings.provided.in_production,
        settings.provided.cookie_samesite,
    )
    app: Provider[ASGIApp] = Singleton(
        Edge,
        Singleton(IdempotentRequests, litestar, idempotency, observer),
        authentication,
        limits,
        settings.provided.cors_origin,
        settings.provided.trusted_proxies,
        settings.provided.max_body_bytes,
        settings.provided.request_deadline_seconds,
        observer,
    )


def in_memory(**changes: Any) -> Container:
    """The second assembly: the same use cases on adapters that keep everything in this process, with a clock to move.

    `changes` are providers that replace others by name; a name that does not exist is an AttributeError.
    """
    # What others are made from, so that a replacement reaches them too.
    clock = changes.get("clock", Singleton(MovableClock))
    database = changes.get("database", Singleton(MemoryDatabase, clock))
    broker = changes.get("broker", Singleton(MemoryBroker))
    ids = changes.get("ids", Singleton(SequentialIds))
    settings = changes.get("settings", providers.Object(offline()))
    quotas = changes.get("quotas", Singleton(quotas_of, settings))
    consumers = changes.get("consumers", Container.consumers)
    return Container(
        **{
            "settings": settings,
            "clock": clock,
            "ids": ids,
            "quotas": quotas,
            "observer": Singleton(MemoryObserver),
            "database": database,
            "broker": broker,
            "work": Singleton(MemoryUnitOfWork, database, broker, ids, quotas, consumers),
            "cursors": Singleton(MemoryCursors, database),
            "stored_task_queries": Singleton(MemoryTaskQueries, database),
            "task_numbers": Singleton(MemoryTaskNumbers, database),
            "task_words": Singleton(MemoryTaskWords),
            "workspace_queries": Singleton(MemoryWorkspaceQueries, database),
            "access_queries": Singleton(MemoryAccessQueries, database),
            "session_queries": Singleton(MemorySessionQueries, database),
            "journal": Singleton(MemoryJournalQueries, database),
            "idempotency": Singleton(MemoryIdempotency, database, clock),
            "ticket_store": Singleton(MemoryTicketStore, settings.provided.quota_tickets, clock),
            # The cheapest parameters that argon2 takes: what is kept here ends with the process.
            "hasher": Singleton(Argon2Hasher, memory_kib=8, passes=1),
            "open_database": providers.Object(None),
            "replica": providers.Object(None),
            "store": Singleton(MemoryStoreQueries, database, clock),
            "upkeep": Singleton(MemoryUpkeep, database),
            "needed": providers.Dict(),
            "postgres_breakers": providers.Dict(),
            **changes,
        }
    )


def offline() -> Settings:
    """Settings of an assembly that needs no service."""
    return Settings(jwt_secret="in memory, this secret guards nothing", database_url="postgresql://")  # noqa: S106
