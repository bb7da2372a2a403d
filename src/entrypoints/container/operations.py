"""The part of the assembly for operators: loops, health, metrics and statistics."""

from typing import Any

from dependency_injector import containers, providers
from dependency_injector.providers import Dependency, Provider, Singleton

from adapters.machine import Disk, Memory
from adapters.postgres import Rights, Schema
from application.consumers import Consumers
from application.due import Later
from application.gauges import Gauges
from application.reactions import EveryWork
from application.retention import Aging, Expiring, Retention
from application.statistics import Statistics
from entrypoints import VERSION
from entrypoints.drift import Drift
from entrypoints.http.documentation import documentation_routes
from entrypoints.http.health import HealthChecks, health_routes
from entrypoints.http.metrics import metrics_routes
from entrypoints.lifetimes import Loop, Running, closed, opened
from entrypoints.metrics import Exposition
from entrypoints.probe import Heart
from entrypoints.settings import Settings


class Operations(containers.DeclarativeContainer):
    """Runs and observes parts of the table. It declares them here by their names in the table."""

    settings = Dependency(instance_of=Settings)
    given = settings.provided
    metrics: Dependency[Any] = Dependency()
    traces: Dependency[Any] = Dependency()
    database: Dependency[Any] = Dependency()
    numbers_database: Dependency[Any] = Dependency()
    replica: Dependency[Any] = Dependency()
    redis: Dependency[Any] = Dependency()
    broker: Dependency[Any] = Dependency()
    process_cache: Dependency[Any] = Dependency()
    idempotency: Dependency[Any] = Dependency()
    ticket_store: Dependency[Any] = Dependency()
    upkeep: Dependency[Any] = Dependency()
    catalogue: Dependency[Any] = Dependency()
    calling: Dependency[Any] = Dependency()
    channels: Dependency[Any] = Dependency()
    store: Dependency[Any] = Dependency()
    hasher: Dependency[Any] = Dependency()
    clock: Dependency[Any] = Dependency()
    authentication: Dependency[Any] = Dependency()
    hub: Dependency[Any] = Dependency()
    lobby: Dependency[Any] = Dependency()
    live: Dependency[Any] = Dependency()
    patrol: Dependency[Any] = Dependency()
    work: Dependency[Any] = Dependency()
    cursors: Dependency[Any] = Dependency()
    consumers: Dependency[Any] = Dependency()
    due: Dependency[Any] = Dependency()
    gauges: Dependency[Any] = Dependency()
    retention: Dependency[Any] = Dependency()
    loops: Dependency[Any] = Dependency()
    breakers: Dependency[Any] = Dependency()
    closing: Dependency[Any] = Dependency()
    observer: Dependency[Any] = Dependency()

    memory = Singleton(Memory, given.memory_degraded_percent, given.memory_unhealthy_percent)
    disk = Singleton(Disk, given.data_dir)
    heart: Provider[Heart] = Singleton(Heart, metrics.provided.lag.observe)
    drift: Provider[Drift] = Singleton(Drift, store, clock)

    following_up = Singleton(Consumers[EveryWork], consumers, work, cursors, broker, clock, observer)
    later = Singleton(Later, due, broker, clock, observer)
    asking = Singleton(Gauges, gauges)
    needed = providers.Dict(database=numbers_database, migrations=Singleton(Schema, numbers_database))
    rights = Singleton(Rights, numbers_database)
    own = providers.Dict(memory=memory, disk=disk)
    optional = providers.Dict(replica=replica, redis=redis, broker=broker)
    health: Provider[HealthChecks] = Singleton(HealthChecks, needed, own, optional, live, VERSION)
    exposition: Provider[Exposition] = Singleton(
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
        later,
        asking,
        breakers,
    )
    statistics = Singleton(Statistics, store, live, hub, given.instance)
    process_retention = providers.List(
        Singleton(Expiring, "answers", idempotency.provided.forget_old),
        Singleton(Expiring, "tickets", ticket_store.provided.forget_old),
        Singleton(Aging, "events", given.event_retention_days, upkeep.provided.forget_events, clock),
    )
    forgetting = Singleton(Retention, process_retention, retention)
    # Lifetimes, which no other provider depends on.
    open_database = providers.Resource(opened, database, numbers_database, replica)
    close_at_end = providers.Resource(closed, closing)
    process_loops = providers.List(
        Singleton(Loop, "heart", "all", heart.provided.beat),
        Singleton(Loop, "broker", "all", broker.provided.run),
        Singleton(Loop, "drift", "all", drift.provided.run),
        Singleton(Loop, "authentication", "serving", authentication.provided.run),
        Singleton(Loop, "hub", "serving", hub.provided.run),
        Singleton(Loop, "presence", "serving", lobby.provided.run),
        Singleton(Loop, "connections", "serving", live.provided.run),
        Singleton(Loop, "rights", "serving", patrol.provided.run),
        Singleton(Loop, "retention", "working", forgetting.provided.run),
        Singleton(Loop, "consumers", "working", following_up.provided.run),
        Singleton(Loop, "due", "working", later.provided.run),
        Singleton(Loop, "gauges", "working", asking.provided.run),
    )
    running = Singleton(Running, authentication.provided.refresh, process_loops, loops)
    # The routes beside the versioned API.
    routes = providers.List(
        Singleton(documentation_routes, VERSION, catalogue, calling, channels),
        Singleton(health_routes, health, statistics),
        Singleton(metrics_routes, exposition, given.metrics_token, given.in_production),
    )
