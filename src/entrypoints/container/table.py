"""The whole assembly on one screen: the adapter of each port, and the ports of each use case."""

from dependency_injector import containers, providers
from dependency_injector.providers import Dict, List, Provider, Singleton

from adapters import postgres
from adapters.memory import MemoryCache, MemoryRateLimiter
from adapters.redis import RedisBroker, RedisCache, RedisPresence, RedisRateLimiter, RedisServer, Seal
from adapters.security import Argon2Hasher, HmacSecrets, JwtAccessTokens
from adapters.system import SystemClock, TimeOrderedIds
from adapters.telemetry import Metrics
from application import ports
from application.administration import Administration
from application.authentication import Authentication
from application.catalogue import Catalogue
from application.events import Events
from application.identity import Identity
from application.lease import Lease
from application.reactions import AGGREGATES, DEPARTED, EveryWork, registered
from application.realtime import Hub, Live, Lobby, Patrol, Surroundings, Tickets
from application.retention import Aging
from application.tasks import Tasks
from application.workspaces import REMOVAL_DAYS, Workspaces
from entrypoints import VERSION, http, websocket
from entrypoints.container import made
from entrypoints.container.operations import Operations
from entrypoints.settings import Settings


class Container(containers.DeclarativeContainer):
    """Every provider is a singleton, so HTTP, sockets and the command line use the same parts.

    A context adds to `repositories` and to the lists.
    """

    settings = providers.Dependency(instance_of=Settings)
    given = settings.provided
    clock: Provider[ports.Clock] = Singleton(SystemClock)
    ids: Provider[ports.Ids] = Singleton(TimeOrderedIds)
    metrics = Singleton(Metrics, VERSION, given.instance)
    traces = Singleton(made.traces, settings)
    observer: Provider[ports.Observer] = Singleton(made.observer, settings, metrics, traces)
    quotas = Singleton(made.quotas, settings)
    # Technology
    database = Singleton(made.database, settings, observer)
    numbers_database = Singleton(made.numbers_database, settings, observer)
    replica = Singleton(made.replica, settings, database, observer)
    long_reads = Singleton(made.long_reads, settings, database)
    redis = Singleton(RedisServer, given.redis_url)
    _keys = (given.jwt_secret, given.jwt_previous_secrets)
    # Ports
    hasher: Provider[ports.PasswordHasher] = made.watched(observer, Argon2Hasher)
    secrets: Provider[ports.Secrets] = Singleton(HmacSecrets, *_keys)
    tokens: Provider[ports.AccessTokens] = Singleton(JwtAccessTokens, *_keys, "signalbox", "signalbox")
    credentials: Provider[list[ports.CredentialKind]] = List()  # besides tokens
    broker: Provider[ports.Broker] = Singleton(RedisBroker, given.redis_url, Singleton(Seal, "hints", *_keys), observer)
    presence: Provider[ports.Presence] = Singleton(RedisPresence, given.redis_url, observer)
    process_limiter: Provider[ports.RateLimiter] = Singleton(MemoryRateLimiter, clock)
    limiter: Provider[ports.RateLimiter] = Singleton(RedisRateLimiter, given.redis_url, process_limiter, observer)
    process_cache: Provider[ports.Cache] = Singleton(MemoryCache, given.cache_max_bytes, clock, observer)
    cache: Provider[ports.Cache] = Singleton(
        RedisCache, given.redis_url, process_cache, given.cache_max_bytes, Singleton(Seal, "cache", *_keys), observer
    )
    repositories, consumers = Dict(postgres.REPOSITORIES), List(DEPARTED)
    due = List()
    work: Provider[ports.UnitOfWork[EveryWork]] = Singleton(
        postgres.PostgresUnitOfWork, database, broker, ids, observer, quotas, repositories, consumers
    )
    cursors: Provider[ports.Cursors] = Singleton(postgres.PostgresCursors, database)
    journal: Provider[ports.JournalQueries] = Singleton(postgres.PostgresJournalQueries, database, long_reads, replica)
    idempotency: Provider[ports.Idempotency] = Singleton(postgres.PostgresIdempotency, database, broker, clock)
    access_queries: Provider[ports.AccessQueries] = Singleton(postgres.PostgresAccessQueries, database)
    session_queries: Provider[ports.SessionQueries] = Singleton(postgres.PostgresSessionQueries, numbers_database)
    ticket_store: Provider[ports.TicketStore] = Singleton(postgres.PostgresTicketStore, database, given.quota_tickets)
    workspace_queries: Provider[ports.WorkspaceQueries] = Singleton(postgres.PostgresWorkspaceQueries, database)
    task_numbers: Provider[ports.TaskNumbers] = Singleton(postgres.PostgresTaskNumbers, numbers_database)
    task_words: Provider[ports.TaskWords] = Singleton(postgres.PostgresTaskWords, database)
    stored_task_queries: Provider[ports.TaskQueries] = Singleton(postgres.PostgresTaskQueries, database, long_reads)
    task_queries = Singleton(made.kept_queries, settings, stored_task_queries, access_queries, cache)
    store: Provider[ports.StoreQueries] = Singleton(postgres.PostgresStoreQueries, database)
    upkeep: Provider[ports.Upkeep] = Singleton(postgres.PostgresUpkeep, database)

    # Use cases
    limits = Singleton(made.limits, settings, limiter, observer)
    lease = Singleton(Lease)
    authentication = Singleton(Authentication, tokens, session_queries, credentials, clock, observer, lease)
    _sessions = (hasher, tokens, secrets, authentication, limits, given.quota_sessions, clock, ids, observer)
    identity = made.watched(observer, Identity, work, registered, *_sessions)
    administration = Singleton(Administration, work, authentication, clock)
    workspaces = made.watched(observer, Workspaces, work, workspace_queries, secrets, quotas, clock, ids)
    tasks = made.watched(observer, Tasks, work, task_queries, task_numbers, clock, ids)
    feeds = made.feeds(access_queries)
    channels = made.channels(feeds)
    events = made.watched(observer, Events, journal, channels)
    retention = List(
        Singleton(Aging, "sessions", given.session_retention_days, upkeep.provided.forget_sessions, clock),
        Singleton(Aging, "invitations", given.invitation_retention_days, upkeep.provided.forget_invitations, clock),
        Singleton(Aging, "removals", REMOVAL_DAYS, upkeep.provided.forget_removals, clock),
    )
    # Live
    hub = Singleton(Hub, journal, broker, observer, lease, channels)
    patrol = Singleton(Patrol, hub)
    lobby = Singleton(Lobby, presence, broker, hub, given.rate_limit_enabled)
    tickets = Singleton(Tickets, ticket_store, secrets, authentication, limits, clock)
    calls = List(Singleton(websocket.task_methods, tasks))
    calling = Singleton(websocket.Calls, calls, idempotency, observer)
    surroundings = Singleton(Surroundings, authentication, hub, lobby, broker, calling, limits, observer)
    doorstep = Singleton(made.doorstep, settings, observer)
    connect_seconds: Provider[float] = providers.Object(10.0)
    live = Singleton(Live, surroundings, authentication, clock, connect_seconds, doorstep)
    # What runs, and what can be asked
    aggregates, scopes = List(*AGGREGATES), List(*made.SCOPES)
    catalogue = Singleton(Catalogue, aggregates)
    operations = providers.Container(Operations, **made.handed(Operations, locals()))
    open_database, loops, running = operations.open_database, operations.loops, operations.running
    following_up, words_anew, needed = operations.following_up, operations.words_anew, operations.needed
    own, optional, statistics, rights = operations.own, operations.optional, operations.statistics, operations.rights
    health, exposition, heart, drift = operations.health, operations.exposition, operations.heart, operations.drift
    routes = List(
        Singleton(http.identity_routes, identity, Singleton(made.cookie, settings)),
        Singleton(http.workspace_routes, workspaces),
        Singleton(http.task_routes, tasks, events),
        Singleton(http.event_routes, events, hub, authentication),
        Singleton(http.catalogue_routes, catalogue),
        Singleton(http.live_routes, tickets),
        Singleton(websocket.gateway, live, tickets, given.cors_origin),
    )
    litestar = Singleton(http.create_app, routes, operations.routes, scopes, VERSION)
    answering = Singleton(http.IdempotentRequests, litestar, idempotency, secrets, observer)
    app = Singleton(made.edge, settings, litestar, answering, authentication, limits, observer)
