"""The HTTP interface: one edge that every request passes once, and one thin set of routes per context."""

from entrypoints.http.app import create_app
from entrypoints.http.catalogue import catalogue_routes
from entrypoints.http.edge import Edge
from entrypoints.http.events import event_routes
from entrypoints.http.idempotency import IdempotentRequests
from entrypoints.http.live import live_routes

__all__ = [
    "Edge",
    "IdempotentRequests",
    "catalogue_routes",
    "create_app",
    "event_routes",
    "live_routes",
]
