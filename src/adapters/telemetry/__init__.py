"""What is made of what the observer is told: metrics, traces and the lines of requests."""

from adapters.telemetry.metrics import Metrics
from adapters.telemetry.observer import TelemetryObserver
from adapters.telemetry.tracing import Traces

__all__ = [
    "Metrics",
    "TelemetryObserver",
    "Traces",
]
