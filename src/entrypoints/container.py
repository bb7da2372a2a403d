"""The whole assembly on one screen: which adapter stands behind which port, and how the use cases get them."""

from typing import Any, Protocol

from dependency_injector import containers, providers
from dependency_injector.providers import Provider, Singleton
from litestar.types import ASGIApp

from adapters.memory.access import MemoryAccessQueries
from adapters.memory.database import MemoryDatabase
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.idempotency import MemoryIdempotency
from adapters.memory.identity import MemorySessionQueries
from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.presence import MemoryPresence
from adapters.memory.system import MovableClock, SequentialIds
from adapters.memory.tasks import MemoryTaskNumbers, MemoryTaskQueries
from adapters.memory.tickets import MemoryTicketStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.memory.workspaces import MemoryWorkspaceQueries
from adapters.postgres.access import PostgresAccessQueries
from adapters.postgres.database import Database
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.idempotency import PostgresIdempotency
from adapters.postgres.identity import PostgresSessionQueries
from adapters.postgres.task_numbers import PostgresTaskNumbers
from adapters.postgres.tasks import PostgresTaskQueries
from adapters.postgres.tickets import PostgresTicketStore
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from adapters.postgres.workspaces import PostgresWorkspaceQueries
from adapters.redis.broker import RedisBroker
from adapters.redis.limits import RedisRateLimiter
from adapters.redis.presence import RedisPresence
from adapters.security.passwords import Argon2Hasher
from adapters.security.secrets import HmacSecrets
from adapters.security.tokens import JwtAccessTokens
from adapters.system import SystemClock, TimeOrderedIds
from application.authentication import Authentication
from application.events import Events
from application.identity import Identity
from application.limits import Limits
from application.ports.access import AccessQueries
from application.ports.events import Broker, JournalQueries
from application.ports.idempotency import Idempotency
from application.ports.identity import AccessTokens, PasswordHasher, SessionQueries
from application.ports.limits import RateLimiter
from application.ports.presence import Presence
from application.ports.secrets import Secrets
from application.ports.system import Clock, Ids
from application.ports.tasks import TaskNumbers, TaskQueries
from application.ports.tickets import TicketStore
from application.ports.unit_of_work import UnitOfWork
from application.ports.workspaces import WorkspaceQueries
from application.reactions import DepartureWork, RegistrationWork, give_personal_workspace, release_tasks
from application.realtime.hub import Hub
from application.realtime.live import Live
from application.realtime.lobby import Lobby
from application.realtime.surroundings import Surroundings
from application.realtime.tickets import Tickets
from application.tasks import Tasks
from application.workspaces import Workspaces
from entrypoints import VERSION
from entrypoints.http.app import create_app
from entrypoints.http.edge import Edge
from entrypoints.http.health import HealthChecks
from entrypoints.http.idempotency import IdempotentRequests
from entrypoints.lifetimes import Running, closed, opened
from entrypoints.settings import Settings
from entrypoints.websocket.calls import Calls

ISSUER = "signalbox"


class EveryWork(RegistrationWork, DepartureWork, Protocol):
    """One unit of work serves all use cases; each of them sees only its own slice of it."""


def _sharing(settings: Settings) -> str:
    """Several processes share their broker and limits over Redis; without one there is one process."""
    return "redis" if settings.redis_url else "process"


class Container(containers.DeclarativeContainer):
    """Every provider is a stateless singleton, so HTTP, sockets and the command line are equals."""

    settings = providers.Dependency(instance_of=Settings)
    sharing = providers.Callable(_sharing, settings)

    # System
    clock: Provider[Clock] = Singleton(SystemClock)
    ids: Provider[Ids] = Singleton(TimeOrderedIds)

    # Technology
    database: Provider[Any] = Singleton(Database, settings.provided.database_url, settings.provided.database_pool_size)
    # Whoever takes a number holds a connection of the other pool already, and everybody may do so at once.
    numbers_database: Provider[Any] = Singleton(Database, settings.provided.database_url, 2)

    # Ports
    process_limiter: Provider[RateLimiter] = Singleton(MemoryRateLimiter, clock)
    limiter: Provider[RateLimiter] = providers.Selector(
        sharing,
        redis=Singleton(RedisRateLimiter, settings.provided.redis_url, process_limiter),
        process=process_limiter,
    )
    broker: Provider[Broker] = providers.Selector(
        sharing, redis=Singleton(RedisBroker, settings.provided.redis_url), process=Singleton(MemoryBroker)
    )
    work: Provider[UnitOfWork[EveryWork]] = Singleton(PostgresUnitOfWork, database, broker, ids)
    task_queries: Provider[TaskQueries] = Singleton(PostgresTaskQueries, database)
    task_numbers: Provider[TaskNumbers] = Singleton(PostgresTaskNumbers, numbers_database)
    workspace_queries: Provider[WorkspaceQueries] = Singleton(PostgresWorkspaceQueries, database)
    access_queries: Provider[AccessQueries] = Singleton(PostgresAccessQueries, database)
    session_queries: Provider[SessionQueries] = Singleton(PostgresSessionQueries, database)
    journal: Provider[JournalQueries] = Singleton(PostgresJournalQueries, database)
    idempotency: Provider[Idempotency] = Singleton(PostgresIdempotency, database, broker, clock)
    ticket_store: Provider[TicketStore] = Singleton(PostgresTicketStore, database)
    presence: Provider[Presence] = providers.Selector(
        sharing, redis=Singleton(RedisPresence, settings.provided.redis_url), process=Singleton(MemoryPresence)
    )
    hasher: Provider[PasswordHasher] = Singleton(Argon2Hasher)
    secrets: Provider[Secrets] = Singleton(HmacSecrets, settings.provided.jwt_secret)
    tokens: Provider[AccessTokens] = Singleton(
        JwtAccessTokens, settings.provided.jwt_secret, settings.provided.jwt_previous_secrets, ISSUER, ISSUER
    )

    # Use cases
    limits = Singleton(
        Limits,
        limiter,
        settings.provided.rate_limit_enabled,
        settings.provided.rate_limit_max_requests,
        settings.provided.rate_limit_window_ms,
    )
    authentication = Singleton(Authentication, tokens, session_queries, clock)
    identity: Provider[Identity[EveryWork]] = Singleton(
        Identity[EveryWork],
        work,
        providers.Object(give_personal_workspace),
        hasher,
        tokens,
        secrets,
        authentication,
        limits,
        clock,
        ids,
    )
    workspaces: Provider[Workspaces[EveryWork]] = Singleton(
        Workspaces[EveryWork], work, providers.Object(release_tasks), workspace_queries, secrets, clock, ids
    )
    tasks = Singleton(Tasks, work, task_queries, task_numbers, clock, ids)
    events = Singleton(Events, journal, access_queries)
    hub = Singleton(Hub, journal, broker)
    lobby = Singleton(Lobby, presence, broker, hub, settings.provided.rate_limit_enabled)
    tickets = Singleton(Tickets, ticket_store, secrets, authentication, clock)
    calls = Singleton(Calls, tasks, idempotency)
    connect_seconds: Provider[float] = providers.Object(10.0)
    live = Singleton(
        Live,
        Singleton(Surroundings, authentication, events, hub, journal, lobby, broker, calls),
        authentication,
        clock,
        connect_seconds,
    )

    # Lifetimes: nobody depends on one
    open_database = providers.Resource(opened, database, numbers_database)
    close_at_end = providers.Resource(closed, hasher, limiter, presence)
    running = Singleton(Running, authentication, hub, broker, lobby, live, idempotency, tickets)

    # Entry points
    health = Singleton(HealthChecks, providers.Dict(postgres=database), providers.Dict(broker=broker), VERSION)
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
    )
    app: Provider[ASGIApp] = Singleton(
        Edge,
        Singleton(IdempotentRequests, litestar, idempotency),
        authentication,
        limits,
        settings.provided.cors_origin,
        settings.provided.trusted_proxies,
        settings.provided.max_body_bytes,
        settings.provided.request_deadline_seconds,
    )


def in_memory(**changes: Any) -> Container:
    """The second assembly: the same use cases on adapters that keep everything in this process, with a clock to move.

    `changes` are providers that replace others by name; a name that does not exist is an AttributeError.
    """
    # What others are made from, so that a replacement reaches them too.
    clock = changes.get("clock", Singleton(MovableClock))
    database = changes.get("database", Singleton(MemoryDatabase))
    broker = changes.get("broker", Singleton(MemoryBroker))
    ids = changes.get("ids", Singleton(SequentialIds))
    return Container(
        **{
            "settings": providers.Object(offline()),
            "clock": clock,
            "ids": ids,
            "database": database,
            "broker": broker,
            "work": Singleton(MemoryUnitOfWork, database, broker, ids),
            "task_queries": Singleton(MemoryTaskQueries, database),
            "task_numbers": Singleton(MemoryTaskNumbers, database),
            "workspace_queries": Singleton(MemoryWorkspaceQueries, database),
            "access_queries": Singleton(MemoryAccessQueries, database),
            "session_queries": Singleton(MemorySessionQueries, database),
            "journal": Singleton(MemoryJournalQueries, database),
            "idempotency": Singleton(MemoryIdempotency, database, clock),
            "ticket_store": Singleton(MemoryTicketStore),
            # The cheapest parameters that argon2 takes: what is kept here ends with the process.
            "hasher": Singleton(Argon2Hasher, memory_kib=8, passes=1),
            "open_database": providers.Object(None),
            "health": Singleton(HealthChecks, providers.Dict(), providers.Dict(broker=broker), VERSION),
            **changes,
        }
    )


def offline() -> Settings:
    """Settings of an assembly that needs no service."""
    return Settings(jwt_secret="in memory, this secret guards nothing", database_url="postgresql://")  # noqa: S106
