"""Factories for the table: parts that need several settings, the wrapper of a use case, and arguments of a part."""

from collections.abc import Mapping
from typing import Any, TypeVar

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Provider, Singleton
from litestar import Litestar
from litestar.types import ASGIApp

from adapters.postgres import Database, LongReads, Replica
from adapters.telemetry import Metrics, TelemetryObserver, Traces
from application.authentication import Authentication
from application.limits import Limits
from application.ports import Observer, RateLimiter
from application.realtime import Doorstep
from entrypoints import VERSION
from entrypoints.http import Edge
from entrypoints.http.facts import form_paths, open_paths
from entrypoints.settings import Settings

T = TypeVar("T")


def traces(settings: Settings) -> Traces | None:
    """The exporter of traces, or None without an endpoint."""
    endpoint = settings.otel_exporter_otlp_endpoint
    return Traces(endpoint, settings.otel_service_name, VERSION, settings.instance) if endpoint else None


def observer(settings: Settings, metrics: Metrics, traces: Traces | None) -> TelemetryObserver:
    sampled, slow_request, slow_query = (
        settings.otel_traces_sampler_arg,
        settings.slow_request_ms,
        settings.slow_query_ms,
    )
    return TelemetryObserver(metrics, traces, sampled, slow_request, slow_query)


def database(settings: Settings, observer: Observer) -> Any:
    """The main pool, from which other adapters are made. Its type is open: each assembly has its own kind."""
    return _database(settings, settings.database_url, settings.database_pool_size, observer)


def numbers_database(settings: Settings, observer: Observer) -> Any:
    """For what must not wait behind requests: ended sessions, health, and numbers.

    A request that takes a number already holds a connection of the other pool, and all requests may do so at once.
    """
    return _database(settings, settings.database_url, 2, observer)


def replica(settings: Settings, primary: Database, observer: Observer) -> Replica | None:
    """The replica, with fewer connections, because few reads may go there."""
    url = settings.database_read_replica_url
    size = max(2, settings.database_pool_size // 4)
    return Replica(_database(settings, url, size, observer), primary) if url else None


def _database(settings: Settings, url: str, size: int, observer: Observer) -> Database:
    return Database(url, size, observer, settings.database_pool_wait_seconds, settings.database_pool_idle_seconds)


def long_reads(settings: Settings, database: Database) -> LongReads:
    """Long lists may use a quarter of the connections, and each holds one for a short time only."""
    return LongReads(database, max(1, settings.database_pool_size // 4), settings.long_list_seconds)


def limits(settings: Settings, limiter: RateLimiter, observer: Observer) -> Limits:
    return Limits(
        limiter,
        settings.rate_limit_enabled,
        settings.rate_limit_max_requests,
        settings.rate_limit_window_ms,
        settings.rate_limit_in_hand,
        observer,
    )


def doorstep(settings: Settings, observer: Observer) -> Doorstep:
    return Doorstep(settings.unconnected_per_address, settings.unconnected_max, settings.rate_limit_enabled, observer)


def edge(
    settings: Settings,
    routes: Litestar,
    app: ASGIApp,
    authentication: Authentication,
    limits: Limits,
    observer: Observer,
) -> Edge:
    return Edge(
        app,
        open_paths(routes),
        form_paths(routes),
        authentication,
        limits,
        settings.cors_origin,
        settings.trusted_proxies,
        settings.max_body_bytes,
        settings.request_deadline_seconds,
        observer,
    )


def watched(observer: Provider[Observer], make: type[T], *parts: object) -> Provider[T]:
    """A use case or an adapter whose calls the observer sees."""
    return Singleton(_watched, observer, Singleton(make, *parts))


def _watched(observer: Observer, thing: Any) -> Any:
    return observer.watched(thing)


def handed(part: type[DeclarativeContainer], table: Mapping[str, Any]) -> Mapping[str, Provider[Any]]:
    """The dependencies that this part declares, taken from the table by name."""
    return {name: table[name] for name in part.dependencies}
