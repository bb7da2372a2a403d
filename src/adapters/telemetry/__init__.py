"""Implements the observer: metrics, traces and log lines of requests."""

from adapters.telemetry.metrics import Metrics
from adapters.telemetry.observer import TelemetryObserver
from adapters.telemetry.tracing import Traces

__all__ = [
    "Metrics",
    "TelemetryObserver",
    "Traces",
]
