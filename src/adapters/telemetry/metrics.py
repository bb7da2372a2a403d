"""Counters and timers with the names and units of Prometheus. They are plain numbers until Prometheus asks for them."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from application.happenings import HAPPENINGS
from application.ports.observer import OTHER, UNKNOWN, Happening, Measure, by_name

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
CALL_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
DELIVERY_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
CONNECTION_BUCKETS = (0.1, 1, 10, 60, 300, 900, 3_600, 14_400, 86_400)

# Its counter has a second label: the side that closed the connection.
CLOSED = "socket_closed"


class Histogram:
    """Counts values up to each bound, and sums them. docs/decisions/0018 says why it is our own.

    Written from one thread, and read from any.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """The number of values up to each bound, and their sum."""
        total, buckets = 0, []
        for bound, count in zip((*self._bounds, inf), self._counts, strict=True):
            total += count
            buckets.append((f"{float(bound)}" if bound < inf else "+Inf", float(total)))
        return buckets, self._sum


class Histograms:
    """The histograms of one metric by their labels. Each is made when it is first needed."""

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = bounds
        self._by_labels: dict[tuple[str, ...], Histogram] = {}

    def observe(self, value: float, *labels: str) -> None:
        histogram = self._by_labels.get(labels)
        if histogram is None:
            histogram = self.of(*labels)
        histogram.observe(value)

    def of(self, *labels: str) -> Histogram:
        return self._by_labels.setdefault(labels, Histogram(self._bounds))

    def family(self) -> Metric:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, histogram in list(self._by_labels.items()):
            buckets, total = histogram.read()
            family.add_metric(labels, buckets, total)
        return family


class Metrics(Collector):
    """The metrics of one process. They have a registry of their own, so that one test can hold several.

    `process` is the name of the process. Labels have few values, which come from this code and never from a caller.
    ValueError if two metrics share a name.
    """

    def __init__(
        self,
        version: str,
        process: str,
        happenings: Iterable[Happening] = HAPPENINGS,
        measures: Iterable[Measure] = (),
    ) -> None:
        self._about = (version, process)
        self.registry = CollectorRegistry()
        self.requests = Histograms(
            "http_server_request_duration_seconds",
            "Requests by route template; an upgrade ends with status 101, and `error_type` is the code of a problem.",
            ["method", "route", "status_code", "error_type"],
            REQUEST_BUCKETS,
        )
        self.commands = Histograms(
            "signalbox_ws_command_duration_seconds",
            "Commands over live connections; `outcome` is `ok` or the code of the error.",
            ["command", "outcome"],
            REQUEST_BUCKETS,
        )
        for command in ("connect", "subscribe", "call"):
            self.commands.of(command, "ok")
        self.database_calls = Histograms(
            "db_client_operation_duration_seconds",
            "Calls of PostgreSQL and Redis; `error_type` is the kind of failure, empty if there was none.",
            ["system", "operation", "error_type"],
            CALL_BUCKETS,
        )
        self.http_calls = Histograms(
            "http_client_request_duration_seconds",
            "Calls of other servers over HTTP; `error_type` is the kind of failure, empty if there was none.",
            ["operation", "error_type"],
            REQUEST_BUCKETS,
        )
        self._waits = Histograms(
            "db_client_connection_wait_time_seconds",
            "How long a connection to PostgreSQL was waited for when none was at hand, in vain or not.",
            [],
            CALL_BUCKETS,
        )
        self.waits = self._waits.of()
        self.wait_timeouts = 0
        self._delays = Histograms(
            "signalbox_commit_to_send_seconds",
            "From the moment that an event carries, just before its commit, to its write to the sockets.",
            [],
            DELIVERY_BUCKETS,
        )
        self.delays = self._delays.of()
        self._lag = Histograms(
            "signalbox_event_loop_lag_seconds", "How late the event loop came to what was due.", [], LAG_BUCKETS
        )
        self.lag = self._lag.of()
        self._connections = Histograms(
            "signalbox_ws_connection_duration_seconds", "How long live connections lasted.", [], CONNECTION_BUCKETS
        )
        self.connections = self._connections.of()
        self.active_requests = 0
        self._measured = {
            row.name: Histograms(f"signalbox_{row.name}", row.text, [], row.bounds)
            for row in by_name(measures).values()
        }
        self._measures = {name: histograms.of() for name, histograms in self._measured.items()}
        self.rows = by_name(happenings)
        self.happenings = {(row.name, outcome): 0 for row in self.rows.values() for outcome in row.outcomes}
        self.unknown = 0
        self.frames = dict.fromkeys(("event", "signal", "answer", "command"), 0)
        self.bytes = dict.fromkeys(self.frames, 0)
        names = [family.name for family in self.collect()]
        if len(set(names)) < len(names):
            raise ValueError(f"two metrics share a name: {', '.join(sorted(names))}")
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def happened(self, what: str, outcome: str) -> None:
        key = (what, outcome)
        if key in self.happenings:
            self.happenings[key] += 1
        elif what in self.rows:
            self.happenings[what, OTHER] = self.happenings.get((what, OTHER), 0) + 1
        else:
            self.unknown += 1

    def measured(self, what: str, value: float) -> None:
        measure = self._measures.get(what)
        if measure is None:
            self.unknown += 1
        else:
            measure.observe(value)

    def describe(self) -> Iterable[Metric]:
        """Nothing, because all metrics are collected when they are asked for."""
        return []

    def collect(self) -> Iterable[Metric]:
        build = GaugeMetricFamily(
            "signalbox_build_info", "Which version runs, and what the process is called.", labels=["version", "process"]
        )
        build.add_metric(self._about, 1)
        yield build
        yield GaugeMetricFamily("http_server_active_requests", "Requests under way.", value=self.active_requests)
        for histograms in (
            self.requests,
            self.commands,
            self.database_calls,
            self.http_calls,
            self._waits,
            self._delays,
            self._lag,
            self._connections,
            *self._measured.values(),
        ):
            yield histograms.family()
        yield CounterMetricFamily(
            "db_client_connection_timeouts",
            "Waits for a connection to PostgreSQL that were given up.",
            value=self.wait_timeouts,
        )
        yield from self._happenings()
        yield self._traffic("messages", "Frames that went over live connections.", self.frames)
        yield self._traffic("bytes", "Bytes that went over live connections.", self.bytes)

    def _happenings(self) -> Iterable[Metric]:
        families = {
            row.name: CounterMetricFamily(f"signalbox_{row.counter}", row.text, labels=_labels(row))
            for row in self.rows.values()
        }
        for (what, outcome), count in list(self.happenings.items()):
            families[what].add_metric(_closing(outcome) if what == CLOSED else [outcome], count)
        yield from families.values()
        yield CounterMetricFamily(
            f"signalbox_happenings_{UNKNOWN}",
            "Happenings that no row describes: a mistake of ours.",
            value=self.unknown,
        )

    @staticmethod
    def _traffic(what: str, text: str, counts: Mapping[str, int]) -> Metric:
        family = CounterMetricFamily(f"signalbox_ws_{what}", text, labels=["direction", "type"])
        for kind, count in counts.items():
            family.add_metric(["in" if kind == "command" else "out", kind], count)
        return family


def _labels(row: Happening) -> Sequence[str]:
    return [row.label, "by"] if row.name == CLOSED else [row.label]


def _closing(outcome: str) -> Sequence[str]:
    """The close code of a connection if it is one of ours, and the side that closed it."""
    return (
        [outcome, "server"] if outcome.isdecimal() else ["", {"by_peer": "peer", "lost": "network"}.get(outcome, OTHER)]
    )
