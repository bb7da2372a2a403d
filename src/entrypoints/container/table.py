"""The assembly on one screen: the adapter of each port, and what serves every context."""

from dependency_injector import containers, providers
from dependency_injector.providers import Dict, List, Provider, Singleton

from adapters import postgres
from adapters.memory import MemoryCache, MemoryRateLimiter
from adapters.redis import RedisBroker, RedisCache, RedisNewest, RedisPresence, RedisRateLimiter, RedisServer, Seal
from adapters.security import Argon2Hasher, HmacSecrets, JwtAccessTokens
from adapters.system import SystemClock, TimeOrderedIds
from adapters.telemetry import Metrics
from application import ports
from application.authentication import Authentication
from application.catalogue import Catalogue
from application.events import Events
from application.feeds import Channels
from application.happenings import HAPPENINGS
from application.lease import Lease
from application.limits import with_policies
from application.quotas import Quotas
from application.reactions import EveryWork
from application.realtime import Attendances, Hub, Live, Lobby, Patrol, Surroundings, Tickets
from entrypoints import VERSION, http, websocket
from entrypoints.container import made
from entrypoints.container.operations import Operations
from entrypoints.settings import Settings


class Container(containers.DeclarativeContainer):
    """Every provider is a singleton, so HTTP, sockets and the command line use the same parts.

    It names no context. The module of a context beside it sets its ports and adds its rows to the lists.
    """

    settings = providers.Dependency(instance_of=Settings)
    given = settings.provided
    clock: Provider[ports.Clock] = Singleton(SystemClock)
    ids: Provider[ports.Ids] = Singleton(TimeOrderedIds)
    policies, happenings, measures = List(), List(*HAPPENINGS), List()
    counted = Singleton(with_policies, happenings, policies)
    metrics = Singleton(Metrics, VERSION, given.instance, counted, measures)
    traces = Singleton(made.traces, settings)
    observer: Provider[ports.Observer] = Singleton(made.observer, settings, metrics, traces)
    # To these, to `policies`, `happenings`, `measures`, `breakers`, `closing` and `routes`, each context adds rows.
    repositories = Dict(access=postgres.PostgresAccess, cursors=postgres.PostgresCursorRepository)
    figures: Dict = Dict()
    aggregates, scopes, feeds, quotas, gauges = List(), List(), List(), List(), List()
    credentials = List()  # besides tokens
    notices, exported = List(), List()
    attendances, consumers, due, calls, retention, loops = List(), List(), List(), List(), List(), List()
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
    broker: Provider[ports.Broker] = Singleton(RedisBroker, given.redis_url, Singleton(Seal, "hints", *_keys), observer)
    presence: Provider[ports.Presence] = Singleton(RedisPresence, given.redis_url, observer)
    newest: Provider[ports.Newest] = Singleton(
        RedisNewest, given.redis_url, Singleton(Seal, "newest", *_keys), broker, observer
    )
    process_limiter: Provider[ports.RateLimiter] = Singleton(MemoryRateLimiter, clock)
    limiter: Provider[ports.RateLimiter] = Singleton(RedisRateLimiter, given.redis_url, process_limiter, observer)
    process_cache: Provider[ports.Cache] = Singleton(MemoryCache, given.cache_max_bytes, clock, observer)
    cache: Provider[ports.Cache] = Singleton(
        RedisCache, given.redis_url, process_cache, given.cache_max_bytes, Singleton(Seal, "cache", *_keys), observer
    )
    quota_limits = Singleton(Quotas, quotas)
    work: Provider[ports.UnitOfWork[EveryWork]] = Singleton(
        postgres.PostgresUnitOfWork, database, broker, ids, observer, quota_limits, repositories, consumers
    )
    cursors: Provider[ports.Cursors] = Singleton(postgres.PostgresCursors, database)
    journal: Provider[ports.JournalQueries] = Singleton(postgres.PostgresJournalQueries, database, long_reads, replica)
    idempotency: Provider[ports.Idempotency] = Singleton(postgres.PostgresIdempotency, database, broker, clock)
    access_queries: Provider[ports.AccessQueries] = Singleton(postgres.PostgresAccessQueries, database)
    session_queries: Provider[ports.SessionQueries] = Singleton(postgres.PostgresSessionQueries, numbers_database)
    ticket_store: Provider[ports.TicketStore] = Singleton(postgres.PostgresTicketStore, database, given.quota_tickets)
    store: Provider[ports.StoreQueries] = Singleton(postgres.PostgresStoreQueries, database, figures)
    upkeep: Provider[ports.Upkeep] = Singleton(postgres.PostgresUpkeep, database)
    # Those of which operators see whether their service is away, and those that are closed at the end.
    breakers = Dict(postgresql=database, postgresql_numbers=numbers_database, redis_cache=cache, redis_limits=limiter)
    breakers.add_kwargs(redis_presence=presence, redis_newest=newest)
    closing = List(hasher, limiter, cache, presence, newest, traces)
    # Use cases
    limits = Singleton(made.limits, settings, limiter, observer)
    lease = Singleton(Lease)
    authentication = Singleton(Authentication, tokens, session_queries, credentials, clock, observer, lease)
    channels = Singleton(Channels, feeds, journal)
    events = made.watched(observer, Events, journal, channels)
    # Live
    hub = Singleton(Hub, journal, broker, observer, lease, channels)
    patrol = Singleton(Patrol, hub)
    telling = Singleton(Attendances, attendances, channels, clock)
    lobby = Singleton(Lobby, presence, broker, hub, telling, given.rate_limit_enabled)
    tickets = Singleton(Tickets, ticket_store, secrets, authentication, limits, clock)
    calling = Singleton(websocket.Calls, calls, idempotency, secrets, observer)
    surroundings = Singleton(Surroundings, authentication, hub, lobby, broker, calling, limits, observer)
    doorstep = Singleton(made.doorstep, settings, observer)
    connect_seconds: Provider[float] = providers.Object(10.0)
    live = Singleton(Live, surroundings, authentication, clock, connect_seconds, doorstep)
    # What runs, and what can be asked
    catalogue = Singleton(Catalogue, aggregates)
    operations = providers.Container(Operations, **made.handed(Operations, locals()))
    open_database, running, following_up = operations.open_database, operations.running, operations.following_up
    needed, heart, drift = operations.needed, operations.heart, operations.drift
    own, optional, statistics, rights = operations.own, operations.optional, operations.statistics, operations.rights
    health, exposition = operations.health, operations.exposition
    routes = List(
        Singleton(http.event_routes, events, hub, authentication),
        Singleton(http.catalogue_routes, catalogue),
        Singleton(http.live_routes, tickets),
        Singleton(websocket.gateway, live, tickets, given.cors_origin),
    )
    litestar = Singleton(http.create_app, routes, operations.routes, scopes, VERSION)
    answering = Singleton(http.IdempotentRequests, litestar, idempotency, secrets, observer)
    app = Singleton(made.edge, settings, litestar, answering, authentication, limits, observer)
