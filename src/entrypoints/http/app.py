"""The application: the routes of all contexts, and how their errors are answered."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Router
from litestar.exceptions import HTTPException

from application.authentication import Authentication
from application.events import Events
from application.identity import Identity
from application.realtime.hub import Hub
from application.realtime.live import Live
from application.realtime.tickets import Tickets
from application.statistics import Statistics
from application.tasks import Tasks
from application.workspaces import Workspaces
from domain.errors import DomainError
from entrypoints.http.codec import JsonBody, JsonResponse
from entrypoints.http.documentation import documentation_routes
from entrypoints.http.events import event_routes
from entrypoints.http.health import HealthChecks, health_routes
from entrypoints.http.identity import identity_routes
from entrypoints.http.live import live_routes
from entrypoints.http.metrics import metrics_routes
from entrypoints.http.problems import respond
from entrypoints.http.refresh_cookie import RefreshCookie, SameSite
from entrypoints.http.request import ApiRequest, before_route
from entrypoints.http.tasks import task_routes
from entrypoints.http.workspaces import workspace_routes
from entrypoints.metrics import Exposition
from entrypoints.websocket.gateway import gateway


def create_app(
    version: str,
    origins: Sequence[str],
    identity: Identity[Any],
    workspaces: Workspaces,
    tasks: Tasks,
    events: Events,
    hub: Hub,
    live: Live,
    tickets: Tickets,
    authentication: Authentication,
    health: HealthChecks,
    statistics: Statistics,
    exposition: Exposition,
    metrics_token: str,
    in_production: bool,
    same_site: SameSite,
) -> Litestar:
    """All routes; `origins` are the sites whose pages may call, `same_site` says whether with the refresh cookie."""
    api = Router(
        "/api/v1",
        route_handlers=[
            identity_routes(identity, RefreshCookie(origins, same_site)),
            workspace_routes(workspaces),
            task_routes(tasks),
            event_routes(events, hub, authentication),
            live_routes(tickets),
            gateway(live, tickets, origins),
        ],
        before_request=before_route,
    )
    return Litestar(
        route_handlers=[
            api,
            documentation_routes(version),
            health_routes(health, statistics),
            metrics_routes(exposition, metrics_token, in_production),
        ],
        dto=JsonBody,
        return_dto=None,
        request_class=ApiRequest,
        response_class=JsonResponse,
        exception_handlers={DomainError: respond, HTTPException: respond, Exception: respond},
        openapi_config=None,
        request_max_body_size=None,
        logging_config=None,
    )
