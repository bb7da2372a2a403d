"""What a route can ask of its request, already checked by the edge."""

from functools import cache
from typing import Annotated, Any

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from application.paging import PAGE_MAX
from application.principal import Principal
from domain.errors import Unauthenticated
from entrypoints.http.codec import required_version
from entrypoints.http.edge import Caller
from entrypoints.http.problems import InvalidParameter


class ApiRequest(Request[Any, Any, Any]):
    """A request to a route of ours."""

    @property
    def caller(self) -> Caller:
        """Who sends it, as the edge found out."""
        caller: Caller = self.scope["signalbox"]  # type: ignore[typeddict-item]
        return caller

    @property
    def actor(self) -> Principal:
        """The principal. Routes that need none never ask."""
        principal = self.caller.principal
        if principal is None:
            raise Unauthenticated("This needs an access token.")
        return principal

    @property
    def version(self) -> int | None:
        """The version that If-Match asks for, or None if any will do."""
        return required_version(self.caller.headers.get(b"if-match"))


async def refuse_unknown_query(request: Request[Any, Any, Any]) -> None:
    """Refuse query parameters that the route does not have, as a misspelt filter would silently show too much."""
    if not request.scope["query_string"]:
        return
    known = _query_parameters(request.scope["route_handler"])
    for name in request.query_params:
        if name not in known:
            raise InvalidParameter("There is no such parameter here.", pointer=f"?{name}")


@cache
def _query_parameters(handler: HTTPRouteHandler) -> frozenset[str]:
    """The parameters of a handler that are none of its path, for which it is asked once each."""
    (path,) = handler.paths
    return frozenset(
        name
        for name in handler.parsed_fn_signature.parameters
        if name not in {"request", "data"} and f"{{{name}:" not in path
    )


PageLimit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="How many items one page holds at most.")]
PageCursor = Annotated[
    str | None,
    QueryParameter(max_length=2_048, description="`next_cursor` of the page before; valid only with the same query."),
]
ChannelName = Annotated[
    str | None,
    QueryParameter(
        max_length=64, description="`workspace:{id}`, `task:{id}` or `me`; the personal workspace if nothing is said."
    ),
]
