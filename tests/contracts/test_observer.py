"""What every `Observer` promises: an `Activity` ties what follows to its cause, and telling does no harm."""

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from prometheus_client import generate_latest

from adapters.memory.observer import MemoryObserver
from adapters.telemetry.metrics import Histogram, Metrics
from adapters.telemetry.observer import TelemetryObserver
from adapters.telemetry.tracing import Traces
from application.happenings import HAPPENINGS
from application.ports.events import Entry
from application.ports.observer import OTHER, UNKNOWN, Happening, Measure, Observer
from application.principal import NOTHING, Correlation, correlation
from domain.ids import AccountId
from tests.support.exposition import Samples

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]")


@pytest.fixture(params=["memory", "metrics and lines", "traces too"])
def observer(request: pytest.FixtureRequest) -> Iterator[Observer]:
    if request.param == "memory":
        yield MemoryObserver()
        return
    # Nobody listens there, which must not matter to whoever tells.
    traces = Traces("http://127.0.0.1:9", "signalbox", "0", "test") if request.param == "traces too" else None
    yield TelemetryObserver(Metrics("0", "test"), traces, ratio=1.0, slow_request_ms=0.0, slow_call_ms=0.0)
    if traces is not None:
        traces.close()


def entry(traceparent: str) -> Entry:
    body = {"at": datetime.now(UTC), "traceparent": traceparent, "type": "task.created"}
    return Entry("workspace:x", 7, "task.created", UUID(int=1), msgspec.Raw(msgspec.json.encode(body)))


async def test_what_a_caller_gives_is_kept_and_what_is_missing_is_made(observer: Observer) -> None:
    given = observer.request("GET", "my-request", f"00-{TRACE}-{SPAN}-01")
    assert correlation.get() == given.correlation
    assert given.correlation.request_id == "my-request"
    assert given.correlation.traceparent[3:35] == TRACE
    given.end(route="/tasks", status=200)

    made = observer.request("GET", "", "")
    assert correlation.get() == made.correlation
    assert FORM.fullmatch(made.correlation.traceparent)
    assert made.correlation.request_id == made.correlation.traceparent[3:35]
    assert made.correlation.request_id != TRACE
    made.end(route="/tasks", status=404, code="not_found", account=AccountId(UUID(int=1)), address="192.0.2.1")


async def test_a_command_is_a_trace_of_its_own(observer: Observer) -> None:
    upgrade = observer.request("GET", "", "")
    upgrade.end(route="/ws", status=101)
    command = observer.command("call", "c", upgrade.correlation)
    assert correlation.get() == command.correlation
    assert command.correlation.traceparent[3:35] != upgrade.correlation.traceparent[3:35]
    command.end(code="not_found")
    observer.command("subscribe", "c", NOTHING).end()


async def test_nothing_that_is_told_raises(observer: Observer) -> None:
    for activity in (None, observer.request("BREW", "", ""), observer.command("connect", "c", Correlation("r", ""))):
        for row in (*HAPPENINGS, msgspec.structs.replace(HAPPENINGS[0], name="what_nobody_lists")):
            for outcome in (*row.outcomes, "an outcome that nobody lists"):
                observer.happened(row.name, outcome)
                observer.happened(row.name, outcome, connection="c", seconds=0.1, user=None)
        observer.called("postgresql", "select tasks", time.perf_counter())
        observer.called("redis", "limit", time.perf_counter(), TimeoutError())
        observer.delivered([entry(""), entry(f"00-{TRACE}-{SPAN}-01"), entry("00-x")], 3, time.perf_counter())
        observer.delivered([], 0, time.perf_counter())
        observer.measured("what_nobody_lists", 0.1)
        observer.received(2)
        observer.sent("event", 3, 600)
        observer.sent("answer", 0, 0)
        if activity is not None:
            activity.end(route="", status=0)


async def test_an_outcome_that_nobody_lists_is_one_of_the_others() -> None:
    metrics, memory = Metrics("0", "test"), MemoryObserver()
    for observer in (TelemetryObserver(metrics, None, 1.0, 0.0, 0.0), memory):
        for outcome in ("4100", "1234", "4321"):
            observer.happened("socket_closed", outcome, seconds=2.5)
    assert memory.happenings == {("socket_closed", "4100"): 1, ("socket_closed", OTHER): 2}
    found = Samples(generate_latest(metrics.registry).decode())
    assert found.by("signalbox_ws_closed_total") == {("server", "4100"): 1, (OTHER, ""): 2}
    assert found("signalbox_ws_connection_duration_seconds_sum") == 7.5


async def test_what_a_row_describes_is_counted_from_zero_and_the_rest_as_unknown() -> None:
    rows = [Happening("sneeze", "sneezes", "loudness", "How often somebody sneezed.", ("soft", "loud"))]
    metrics, memory = Metrics("0", "test", rows), MemoryObserver(rows)
    for observer in (TelemetryObserver(metrics, None, 1.0, 0.0, 0.0), memory):
        for what, outcome in (("sneeze", "loud"), ("sneeze", "endless"), ("yawn", "loud"), ("yawn", "soft")):
            observer.happened(what, outcome)
    assert memory.happenings == {
        ("sneeze", "loud"): 1, ("sneeze", OTHER): 1, (UNKNOWN, "yawn"): 2
    }  # fmt: skip
    found = Samples(generate_latest(metrics.registry).decode())
    assert found.by("signalbox_sneezes_total") == {("loud",): 1, (OTHER,): 1}
    assert found("signalbox_sneezes_total", loudness="soft") == 0
    assert found("signalbox_happenings_unknown_total") == 2


async def test_what_a_row_measures_is_distributed_over_its_bounds_and_the_rest_is_unknown() -> None:
    rows = [Measure("sneeze_seconds", "How long somebody sneezed.", (1, 2))]
    metrics, memory = Metrics("0", "test", (), rows), MemoryObserver((), rows)
    empty = Samples(generate_latest(metrics.registry).decode())
    for observer in (TelemetryObserver(metrics, None, 1.0, 0.0, 0.0), memory):
        for what, value in (("sneeze_seconds", 0.5), ("sneeze_seconds", 2), ("sneeze_seconds", 9), ("yawn_seconds", 1)):
            observer.measured(what, value)
    assert list(memory.values["sneeze_seconds"]) == [0.5, 2, 9]
    assert memory.happenings == {(UNKNOWN, "yawn_seconds"): 1}
    found = Samples(generate_latest(metrics.registry).decode())
    assert [found("signalbox_sneeze_seconds_bucket", le=bound) for bound in ("1.0", "2.0", "+Inf")] == [1, 2, 3]
    assert found("signalbox_sneeze_seconds_sum") == 11.5
    assert found("signalbox_happenings_unknown_total") == 1
    assert empty("signalbox_sneeze_seconds_count") == 0


@pytest.mark.parametrize("name", ["cache_reads", "event_loop_lag_seconds", "no name"])
def test_a_measure_that_would_break_the_metrics_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Metrics("0", "test", HAPPENINGS, [Measure(name, "Hatchoo.", (1, 2))])


def test_bounds_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="rise"):
        Measure("sneeze_seconds", "Hatchoo.", (2, 1))


@pytest.mark.parametrize(
    ("name", "counter", "label"),
    [
        ("cache", "sneezes", "loudness"),
        ("sneeze", "cache_reads", "loudness"),
        ("sneeze", "ws_bytes", "loudness"),
        ("sneeze", "no name", "loudness"),
        ("sneeze", "sneezes", "loud/soft"),
        ("", "sneezes", "loudness"),
    ],
)
def test_a_row_that_would_break_the_metrics_is_refused_at_the_start(name: str, counter: str, label: str) -> None:
    with pytest.raises(ValueError, match=r"name|called"):
        Metrics("0", "test", [*HAPPENINGS, Happening(name, counter, label, "Hatchoo.", ("soft",))])


async def test_calls_of_each_kind_of_service_are_timed_apart() -> None:
    metrics = Metrics("0", "test")
    observer = TelemetryObserver(metrics, None, 1.0, 1_000.0, 1_000.0)
    began = time.perf_counter()
    observer.called("postgresql", "SELECT tasks", began)
    observer.called("redis", "publish", began, ConnectionError())
    observer.called("http", "webhook", began)
    observer.called("postgresql", "acquire", began)
    observer.called("postgresql", "acquire", began, TimeoutError())
    found = Samples(generate_latest(metrics.registry).decode())
    assert found.by("db_client_operation_duration_seconds_count") == {
        ("", "SELECT tasks", "postgresql"): 1, ("ConnectionError", "publish", "redis"): 1
    }  # fmt: skip
    assert found.by("http_client_request_duration_seconds_count") == {("", "webhook"): 1}
    assert found("db_client_connection_wait_time_seconds_count") == 2
    assert found("db_client_connection_timeouts_total") == 1


async def test_a_value_is_counted_below_every_bound_that_it_does_not_exceed() -> None:
    histogram = Histogram((0.5, 1, 2.5))
    for value in (0.25, 1, 1.5, 99):
        histogram.observe(value)
    assert histogram.read() == ([("0.5", 1), ("1.0", 2), ("2.5", 3), ("+Inf", 4)], 101.75)


async def test_a_thing_that_is_watched_is_used_as_before(observer: Observer) -> None:
    class Kettle:
        litres = 2

        async def boil(self, degrees: int, *, slowly: bool = False) -> tuple[int, bool]:
            await asyncio.sleep(0)
            return degrees, slowly

        async def burst(self) -> None:
            raise OSError("too hot")

    kettle = observer.watched(Kettle())
    observer.request("GET", "", "")
    assert await kettle.boil(90, slowly=True) == (90, True)
    assert kettle.litres == 2
    with pytest.raises(OSError, match="too hot"):
        await kettle.burst()
