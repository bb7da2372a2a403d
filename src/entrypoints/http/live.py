"""The route that prepares a live connection. The connection itself is in `entrypoints/websocket`."""

from litestar import Router, post
from litestar.params import JSONBody

from application.realtime.frames import Opening
from application.realtime.tickets import Ticket, Tickets
from entrypoints.http.facts import AN_ID, Facts
from entrypoints.http.request import ApiRequest


def live_routes(tickets: Tickets) -> Router:
    """The route under `/live`."""

    @post(
        "/live/tickets",
        facts=Facts(
            is_secret=True,
            is_keyless=True,
            example={"subscribe": [f"workspace:{AN_ID}"], "resume": {f"workspace:{AN_ID}": 812}, "epoch": "29be7eb5"},
        ),
    )
    async def issue_ticket(request: ApiRequest, data: JSONBody[Opening]) -> Ticket:
        """Get a ticket that opens one live connection, for clients that can send neither a header nor a frame."""
        return await tickets.issue(request.actor, data)

    return Router("/", route_handlers=[issue_ticket], tags=["events"])
