"""The HTTP interface: one edge that every request passes once, and one thin set of routes per context."""

from entrypoints.http.app import create_app
from entrypoints.http.catalogue import catalogue_routes
from entrypoints.http.edge import Edge
from entrypoints.http.events import event_routes
from entrypoints.http.idempotency import IdempotentRequests
from entrypoints.http.identity import identity_routes
from entrypoints.http.live import live_routes
from entrypoints.http.refresh_cookie import RefreshCookie
from entrypoints.http.tasks import task_routes
from entrypoints.http.workspaces import workspace_routes

__all__ = [
    "Edge",
    "IdempotentRequests",
    "RefreshCookie",
    "catalogue_routes",
    "create_app",
    "event_routes",
    "identity_routes",
    "live_routes",
    "task_routes",
    "workspace_routes",
]
