"""Traces over OTLP. A thread sends sampled spans in batches, and spans beyond its queue are counted."""

import functools
import inspect
import logging
import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags

from domain.errors import DomainError

QUEUE_MAX = 4_096
BATCH_MAX = 512
DELAY_MS = 1_000
EXPORT_SECONDS = 2.0
CLOSE_SECONDS = 3.0

log = logging.getLogger(__name__)


class Traces:
    """Makes spans and sends them to the OTLP/HTTP endpoint, `/v1/traces` under the given address.

    The part that begins a trace decides whether to sample it. A span that is made here is sent unless 4,096 wait.
    `dropped` counts spans beyond those, and spans that the endpoint did not take within 2 s.
    """

    def __init__(self, endpoint: str, service: str, version: str, instance: str) -> None:
        resource = {"service.name": service, "service.version": version, "service.instance.id": instance}
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.create(resource), shutdown_on_exit=False)
        self._outlet = _Outlet(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS))
        self._provider.add_span_processor(self._outlet)
        self.tracer = self._provider.get_tracer("signalbox", version)

    @property
    def dropped(self) -> int:
        return self._outlet.dropped

    def close(self) -> None:
        """Send the waiting spans, within 3 s."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


class _Outlet(SpanProcessor, SpanExporter):
    """Stands before and behind the SDK's queue, and counts the dropped spans, which the SDK does not."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self.dropped = 0
        self._waiting = 0
        self._is_closing = False
        self._away = False
        self._lock = threading.Lock()
        self._exporter = exporter
        self._batches = BatchSpanProcessor(
            self, max_queue_size=QUEUE_MAX + BATCH_MAX, schedule_delay_millis=DELAY_MS, max_export_batch_size=BATCH_MAX
        )

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            if self._waiting >= QUEUE_MAX:
                self.dropped += 1
                return
            self._waiting += 1
        self._batches.on_end(span)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            with self._lock:
                self._waiting -= len(spans)
                if result is not SpanExportResult.SUCCESS:
                    self.dropped += len(spans)
            self._say(result is not SpanExportResult.SUCCESS)
        return result

    def _say(self, away: bool) -> None:
        """Log once that traces are lost, and once that they are taken again. The SDK would log every second."""
        if away and not self._away:
            log.warning("traces are lost, for their collector does not take them")
        elif self._away and not away:
            log.info("the collector takes traces again")
        self._away = away

    def shutdown(self) -> None:
        # The queue calls this again, because this object is also its exporter.
        if not self._is_closing:
            self._is_closing = True
            self._batches.shutdown()  # type: ignore[no-untyped-call]
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


def traceparent_of(span: Span) -> str:
    """The W3C header that makes spans of other processes children of this one."""
    of = span.get_span_context()
    return f"00-{of.trace_id:032x}-{of.span_id:016x}-{of.trace_flags:02x}"


def is_sampled(traceparent: str) -> bool:
    return traceparent[53:] in {"01", "03"}


def span_of(traceparent: str) -> Span:
    """The span that the header names, as a remote one."""
    id = SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote=True, trace_flags=_SAMPLED)
    return NonRecordingSpan(id)


def below(traceparent: str) -> context.Context:
    """A context in which new spans are children of the span that the header names."""
    return trace.set_span_in_context(span_of(traceparent), context.Context())


_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Watched:
    """Wraps a use case or port. Each call of a coroutine method becomes a span if its caller is traced.

    A DomainError is a normal outcome, and the span names its code. Any other exception marks the span as an error.
    """

    def __init__(self, inner: object, tracer: trace.Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(value):
            return value
        step = f"{type(self._inner).__name__}.{name}"

        @functools.wraps(value)
        async def call(*args: Any, **kwargs: Any) -> Any:
            if not trace.get_current_span().is_recording():
                return await value(*args, **kwargs)
            with self._tracer.start_as_current_span(
                step, record_exception=False, set_status_on_exception=False
            ) as span:
                try:
                    return await value(*args, **kwargs)
                except DomainError as refusal:
                    span.set_attribute("error.type", refusal.code)
                    raise
                except Exception as error:
                    span.set_attribute("error.type", type(error).__name__)
                    span.set_status(Status(StatusCode.ERROR))
                    raise

        setattr(self, name, call)  # later calls bypass __getattr__
        return call
