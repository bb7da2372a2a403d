"""Turns observations into metrics, traces and log lines, cheaply enough for every request."""

import logging
import time
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import datetime
from random import random
from typing import TypeVar, cast

import msgspec
import structlog
from opentelemetry import context, trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from adapters.telemetry.metrics import Metrics
from adapters.telemetry.tracing import Traces, Watched, below, is_sampled, span_of, traceparent_of
from application.ports.events import Entry
from application.ports.observer import Activity, Command, Frames, Observer, Service
from application.principal import Correlation, correlation, new_correlation
from domain.ids import AccountId

UNROUTED = "unrouted"
# The code of an error that is a bug of ours, whatever the status of its answer.
INTERNAL = "internal_error"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Machines ask these every few seconds, and report bad answers themselves.
PROBES = frozenset({"/live", "/ready", "/health", "/metrics"})

T = TypeVar("T")

log = structlog.get_logger("signalbox")


class TelemetryObserver(Observer):
    """Reports what happens to operators.

    It logs a line for each request and command, marked `slow` beyond `slow_request_ms`, and a line for each call slower
    than `slow_call_ms`. With `traces` it records a share of the requests and commands (`ratio`, 0 to 1). Their
    traceparent makes every process record what follows from them.
    """

    def __init__(
        self,
        metrics: Metrics,
        traces: Traces | None,
        ratio: float,
        slow_request_ms: float,
        slow_call_ms: float,
    ) -> None:
        self.metrics = metrics
        self.traces = traces
        self._tracer = None if traces is None else traces.tracer
        self._ratio = ratio
        self.slow_request_seconds = slow_request_ms / 1000
        self._slow_call_seconds = slow_call_ms / 1000
        self._security = {
            (row.name, outcome): event for row in metrics.rows.values() for outcome, event in row.security.items()
        }

    def request(self, method: str, request_id: str, traceparent: str) -> Activity:
        self.metrics.active_requests += 1
        method = method if method in METHODS else "_OTHER"
        span = None
        if self._is_chosen():
            # The span joins the caller's trace. The caller's sampled flag is ignored, because any caller could set it.
            span = self._begin(method, below(traceparent) if traceparent else context.Context())
        return _Request(self, method, new_correlation(request_id, _header_of(span, traceparent)), span)

    def command(self, name: Command, connection: str, origin: Correlation) -> Activity:
        span = None
        if self._is_chosen():
            links = [Link(span_of(origin.traceparent).get_span_context())] if is_sampled(origin.traceparent) else []
            span = self._begin(f"ws {name}", context.Context(), links)
        return _Command(self, name, connection, new_correlation("", _header_of(span, "")), span)

    def called(self, service: Service, operation: str, began: float, error: BaseException | None = None) -> None:
        seconds = time.perf_counter() - began
        failure = "" if error is None else type(error).__name__
        if service == "http":
            self.metrics.http_calls.observe(seconds, operation, failure)
        elif operation == "acquire":
            self.metrics.waits.observe(seconds)
            self.metrics.wait_timeouts += isinstance(error, TimeoutError)
        else:
            self.metrics.database_calls.observe(seconds, service, operation, failure)
        activity = _activity.get()
        if activity is not None and service == "postgresql":
            activity.database_seconds += seconds
            activity.database_calls += 1
        if seconds > self._slow_call_seconds:
            log.warning("slow_call", service=service, operation=operation, duration_ms=_ms(seconds), slow=True)
        if activity is not None and activity.span is not None and not activity.is_over and self._tracer is not None:
            system = "http.request.method" if service == "http" else "db.system.name"
            span = self._tracer.start_span(
                operation, kind=SpanKind.CLIENT, start_time=_began_ns(seconds), attributes={system: service}
            )
            if error is not None:
                span.set_status(Status(StatusCode.ERROR))
                span.set_attribute("error.type", failure)
            span.end()

    def happened(self, what: str, outcome: str, **facts: object) -> None:
        self.metrics.happened(what, outcome)
        activity = _activity.get()
        security = self._security.get((what, outcome))
        if activity is not None and not activity.is_over:
            activity.facts[what] = outcome
            if security:
                activity.facts |= {"security": True, "security.event": security}
        elif security:
            facts |= {"security": True, "security.event": security}
        if facts:
            seconds = facts.get("seconds")
            if what == "socket_closed" and isinstance(seconds, int | float):
                self.metrics.connections.observe(seconds)
            log.info(what, outcome=outcome, **facts)

    def measured(self, what: str, value: float) -> None:
        self.metrics.measured(what, value)

    def received(self, size: int) -> None:
        self.metrics.frames["command"] += 1
        self.metrics.bytes["command"] += size

    def sent(self, frames: Frames, count: int, size: int) -> None:
        self.metrics.frames[frames] += count
        self.metrics.bytes[frames] += size

    def delivered(self, entries: Sequence[Entry], receivers: int, began: float) -> None:
        now = time.time()
        for entry in entries:
            origin = _decode_origin(entry.body)
            if receivers:
                self.metrics.delays.observe(max(0.0, now - origin.at.timestamp()))
            if self._tracer is not None and is_sampled(origin.traceparent):
                self._tracer.start_span(
                    f"deliver {entry.type}",
                    below(origin.traceparent),
                    SpanKind.CONSUMER,
                    {
                        "signalbox.stream": entry.stream,
                        "signalbox.offset": entry.offset,
                        "signalbox.receivers": receivers,
                    },
                    start_time=_began_ns(time.perf_counter() - began),
                ).end()

    def watched(self, thing: T) -> T:
        return thing if self._tracer is None else cast(T, Watched(thing, self._tracer))

    def _is_chosen(self) -> bool:
        """Whether to record the activity that begins now."""
        return self._tracer is not None and random() < self._ratio  # noqa: S311

    def _begin(self, name: str, parent: context.Context, links: Sequence[Link] = ()) -> Span:
        assert self._tracer
        return self._tracer.start_span(name, parent, SpanKind.SERVER, links=links)


class _Activity(Activity):
    """Gathers facts about an activity until it ends."""

    __slots__ = ("began", "cause", "database_calls", "database_seconds", "facts", "is_over", "name", "observer", "span")

    def __init__(self, observer: TelemetryObserver, name: str, cause: Correlation, span: Span | None) -> None:
        self.observer = observer
        self.name = name
        self.cause = cause
        self.span = span
        self.began = time.perf_counter()
        self.database_seconds = 0.0
        self.database_calls = 0
        self.is_over = False
        self.facts: dict[str, str | int | float | bool] = {}
        correlation.set(cause)
        _activity.set(self)
        if span is not None:
            context.attach(trace.set_span_in_context(span))

    @property
    def correlation(self) -> Correlation:
        return self.cause

    def tell(self, line: str, seconds: float, is_slow: bool, code: str) -> None:
        """Log the line of the activity, and end its span with the same facts."""
        level = logging.WARNING if is_slow else logging.INFO
        if self.span is None and not log.is_enabled_for(level):
            return
        facts = self.facts
        if is_slow:
            facts["slow"] = True
        if code:
            facts["error.type"] = code
        facts["db_ms"] = _ms(self.database_seconds)
        facts["db_calls"] = self.database_calls
        if self.span is not None:
            self.span.set_attributes({"signalbox.request_id": self.cause.request_id, **facts})
            self.span.end()
        log.log(level, line, duration_ms=_ms(seconds), **facts)


class _Request(_Activity):
    __slots__ = ()

    def end(
        self,
        *,
        route: str = "",
        status: int = 0,
        code: str = "",
        account: AccountId | None = None,
        is_stream: bool = False,
        **facts: str | int,
    ) -> None:
        seconds = time.perf_counter() - self.began
        self.is_over = True
        observer = self.observer
        route = route or UNROUTED
        observer.metrics.active_requests -= 1
        observer.metrics.requests.observe(seconds, self.name, route, str(status), code)
        if self.span is not None:
            self.span.update_name(f"{self.name} {route}")
            if status >= 500 or code == INTERNAL:
                self.span.set_status(Status(StatusCode.ERROR))
        if route in PROBES and status == 200 and self.span is None:
            return
        self.facts |= {
            "http.request.method": self.name,
            "http.route": route,
            "http.response.status_code": status,
            **facts,
        }
        if account is not None:
            self.facts["user.id"] = str(account)
        self.tell("request", seconds, seconds > observer.slow_request_seconds and not is_stream, code)


class _Command(_Activity):
    __slots__ = ("connection",)

    def __init__(
        self, observer: TelemetryObserver, name: str, connection: str, cause: Correlation, span: Span | None
    ) -> None:
        super().__init__(observer, name, cause, span)
        self.connection = connection

    def end(
        self,
        *,
        route: str = "",
        status: int = 0,
        code: str = "",
        account: AccountId | None = None,
        is_stream: bool = False,
        **facts: str | int,
    ) -> None:
        seconds = time.perf_counter() - self.began
        self.is_over = True
        observer = self.observer
        observer.metrics.commands.observe(seconds, self.name, code or "ok")
        if self.span is not None and code == INTERNAL:
            self.span.set_status(Status(StatusCode.ERROR))
        self.facts |= {"command": self.name, "connection": self.connection, **facts}
        if account is not None:
            self.facts["user.id"] = str(account)
        self.tell("command", seconds, seconds > observer.slow_request_seconds, code)


_activity: ContextVar[_Activity | None] = ContextVar("activity", default=None)


class _Origin(msgspec.Struct):
    """The fields of an event that tell its origin."""

    at: datetime
    traceparent: str = ""


_decode_origin = msgspec.json.Decoder(_Origin).decode


def _header_of(span: Span | None, given: str) -> str:
    """The traceparent for what follows: that of the span, or the given one marked as not sampled."""
    return traceparent_of(span) if span is not None else given and f"{given[:-2]}00"


def _began_ns(seconds: float) -> int:
    return time.time_ns() - int(seconds * 1e9)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
