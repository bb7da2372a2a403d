"""The Litestar application: the routes of all contexts, and the answers to their errors."""

from collections.abc import Sequence

from litestar import Litestar, Router
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from application.scopes import Scope
from domain.errors import DomainError
from entrypoints.http.codec import JsonBody, JsonResponse
from entrypoints.http.openapi import described
from entrypoints.http.problems import respond
from entrypoints.http.request import ApiRequest, before_route


def create_app(
    routes: Sequence[ControllerRouterHandler],
    beside: Sequence[ControllerRouterHandler],
    scopes: Sequence[Scope],
    version: str,
) -> Litestar:
    """The application with the `routes` of the versioned API, and those `beside` it: for operators and documentation.

    `scopes` are all scopes that a credential can have.
    """
    api = Router("/api/v1", route_handlers=routes, before_request=before_route)
    return Litestar(
        route_handlers=[api, *beside],
        dto=JsonBody,
        return_dto=None,
        request_class=ApiRequest,
        response_class=JsonResponse,
        exception_handlers={DomainError: respond, HTTPException: respond, Exception: respond},
        openapi_config=described(version, scopes),
        request_max_body_size=None,
        logging_config=None,
    )
