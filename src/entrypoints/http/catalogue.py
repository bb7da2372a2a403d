"""The route that lists all types of events, for programs."""

from litestar import Router, get

from application.catalogue import Catalogue, EventTypeView
from application.paging import Page
from entrypoints.http.request import ApiRequest


def catalogue_routes(catalogue: Catalogue) -> Router:
    """The route under `/event-types`."""

    @get("/event-types")
    async def list_event_types(request: ApiRequest) -> Page[EventTypeView]:
        """All types of events: their meaning, their stream, and what their `changes` and `data` can hold."""
        return Page(list(catalogue.types.values()), None)

    return Router("/", route_handlers=[list_event_types], tags=["events"])
