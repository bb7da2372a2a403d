"""The metrics for Prometheus: what was counted and timed, and gauges read from the parts of the process."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from application.consumers import Consumers
from application.due import Later
from application.gauges import Gauges
from application.ports.events import Broker
from application.ports.identity import PasswordHasher
from application.ports.store import StoreQueries
from application.realtime.hub import Hub
from application.realtime.live import Live
from entrypoints.drift import Drift
from entrypoints.http.health import HealthChecks
from entrypoints.logs import lines
from entrypoints.probe import Heart


class Measured(Protocol):
    """Measures two numbers of bytes: what is used or free, and the whole."""

    def measure(self) -> tuple[int, int]: ...


class Dropping(Protocol):
    """Counts what it could not send."""

    @property
    def dropped(self) -> int: ...


class Sized(Protocol):
    """Counts the bytes that it keeps."""

    @property
    def size(self) -> int: ...


class Guarded(Protocol):
    """Has a circuit breaker. `closed` means that the service works."""

    @property
    def state(self) -> Literal["closed", "half_open", "open"]: ...


_STATES = ("closed", "half_open", "open")


class Exposition(Collector):
    """The metrics of this process in the text format of Prometheus. Safe to call from any thread.

    Of those `services` that have a circuit breaker, it is shown under the name of the service.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        live: Live,
        hub: Hub,
        broker: Broker,
        store: StoreQueries,
        hasher: PasswordHasher,
        memory: Measured,
        disk: Measured,
        spans: Dropping | None,
        health: HealthChecks,
        drift: Drift,
        heart: Heart,
        cache: Sized,
        consumers: Consumers[Any],
        later: Later,
        gauges: Gauges,
        services: Mapping[str, object],
    ) -> None:
        self._registry = registry
        self._live = live
        self._hub = hub
        self._broker = broker
        self._store = store
        self._hasher = hasher
        self._memory = memory
        self._disk = disk
        self._spans = spans
        self._health = health
        self._drift = drift
        self._heart = heart
        self._cache = cache
        self._consumers = consumers
        self._later = later
        self._gauges = gauges
        found = {name: getattr(service, "breaker", None) for name, service in services.items()}
        self._breakers: Mapping[str, Guarded] = {
            name: breaker for name, breaker in found.items() if breaker is not None
        }
        registry.register(self)

    def __call__(self) -> bytes:
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would otherwise collect at registration, before the parts have started."""
        return []

    def collect(self) -> Iterable[Metric]:
        live, hub, broker, pool = self._live, self._hub, self._broker, self._store.pool()
        used, limit = self._memory.measure()
        free, size = self._disk.measure()
        for name, text, value in (
            ("db_client_connection_max", "Connections to PostgreSQL, as many as there may be.", pool.most),
            ("db_client_connection_pending_requests", "Who waits for one of them.", pool.waiting),
            ("signalbox_ready", "What /ready last said, as 1 or 0; missing if nobody asked.", self._health.was_ready),
            ("signalbox_draining", "1 while this process sends everybody away.", live.draining),
            ("signalbox_ws_connections", "Live connections, until their sockets are closed.", len(live)),
            (
                "signalbox_ws_unconnected",
                "Live connections, with those under way, before their `connect`.",
                len(live.doorstep),
            ),
            (
                "signalbox_ws_held_back",
                "1 while nothing is delivered, since PostgreSQL was not to be reached for 5 s.",
                live.is_held_back,
            ),
            ("signalbox_ws_congested", "Live connections whose peers take less than they are sent.", live.congested),
            ("signalbox_ws_send_queue_bytes", "What peers of live connections have not taken yet.", live.backlog),
            ("signalbox_ws_send_queue_largest_bytes", "What one of them has not taken, at most.", live.backlog_max),
            ("signalbox_streams_followed", "Streams of the journal that somebody follows here.", hub.followed),
            (
                "signalbox_journal_lag_entries",
                "Committed entries that connections here were not sent yet when the heads were last checked.",
                hub.lag[0],
            ),
            (
                "signalbox_journal_lag_seconds",
                "For how long the oldest of them had been known.",
                hub.lag[1],
            ),
            ("signalbox_broker_connected", "1 while hints travel to other processes.", broker.connected),
            (
                "signalbox_broker_probe_age_seconds",
                "How long ago it was last proved that hints arrive; 0 without Redis.",
                broker.silent_seconds(),
            ),
            ("signalbox_hash_pool_queue", "Passwords that are hashed or wait for it.", self._hasher.pending),
            (
                "signalbox_clock_offset_seconds",
                "How far the clock of this process is ahead of PostgreSQL's; missing until it answered.",
                self._drift.seconds,
            ),
            ("signalbox_cache_bytes", "What this process keeps of lists that were asked for.", self._cache.size),
            ("signalbox_tasks", "Coroutines that the event loop runs.", self._heart.tasks),
            ("signalbox_memory_used_bytes", "Memory of the container, or without a limit of the process.", used),
            (
                "signalbox_memory_limit_bytes",
                "Where the kernel would end the container, or the machine's memory.",
                limit,
            ),
            (
                "signalbox_disk_free_bytes",
                "Free where DATA_DIR is; missing where there is none.",
                free if size else None,
            ),
            ("signalbox_disk_size_bytes", "The whole of that disk.", size or None),
        ):
            yield GaugeMetricFamily(name, text, value=None if value is None else float(value))
        connections = GaugeMetricFamily("db_client_connections", "Open connections to PostgreSQL.", labels=["state"])
        connections.add_metric(["idle"], pool.idle)
        connections.add_metric(["used"], pool.open - pool.idle)
        yield connections
        yield from self._backlog()
        yield from self._late()
        for row, value in self._gauges.read():
            yield GaugeMetricFamily(f"signalbox_{row.name}", row.text, value=value)
        breakers = GaugeMetricFamily(
            "signalbox_breaker_state",
            "Whether a use of a service works: 0 yes (closed), 1 it is tried again (half open), 2 no (open).",
            labels=["service"],
        )
        for service, breaker in self._breakers.items():
            breakers.add_metric([service], float(_STATES.index(breaker.state)))
        yield breakers
        for name, text, count in (
            ("broker_reconnects", "How often hints travelled again after they had not.", broker.reconnects),
            ("broker_dropped", "Hints and signals that never left for other processes.", broker.dropped),
            ("log_dropped", "Lines that nobody could be made to take.", lines.dropped),
            ("spans_dropped", "Spans that the collector of traces did not take.", self._spans and self._spans.dropped),
        ):
            yield CounterMetricFamily(f"signalbox_{name}", text, value=float(count or 0))

    def _backlog(self) -> Iterable[Metric]:
        """Empty in a process that does not work."""
        streams = GaugeMetricFamily(
            "signalbox_consumer_streams", "Streams that a consumer is behind in.", labels=["consumer"]
        )
        failing = GaugeMetricFamily(
            "signalbox_consumer_failing_streams",
            "Streams in which the last attempt of a consumer failed.",
            labels=["consumer"],
        )
        seconds = GaugeMetricFamily(
            "signalbox_consumer_lag_seconds",
            "For how long the oldest event that a consumer has not done has waited for it; 0 if there is none.",
            labels=["consumer"],
        )
        for consumer, (behind, held_up, age) in self._consumers.lag().items():
            streams.add_metric([consumer], behind)
            failing.add_metric([consumer], held_up)
            seconds.add_metric([consumer], age)
        yield from (streams, failing, seconds)

    def _late(self) -> Iterable[Metric]:
        """Zeros in a process that does not work."""
        late = GaugeMetricFamily("signalbox_due_late", "Things that are due and wait for a worker.", labels=["due"])
        failing = GaugeMetricFamily(
            "signalbox_due_failing", "Things that were due and failed in this process.", labels=["due"]
        )
        seconds = GaugeMetricFamily(
            "signalbox_due_lag_seconds",
            "How long ago the first of them was due; 0 if there is none.",
            labels=["due"],
        )
        for name, (waiting, failed, age) in self._later.lag().items():
            late.add_metric([name], waiting)
            failing.add_metric([name], failed)
            seconds.add_metric([name], age)
        yield from (late, failing, seconds)
