"""The routes that read the journal, and server-sent events for clients that cannot use a WebSocket."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from application.authentication import Authentication
from application.events import Events
from application.feeds import Feed
from application.paging import PAGE_DEFAULT, Page
from application.ports.events import Entry, EventFilter, EventView
from application.principal import Principal
from application.realtime.hub import Hub
from application.realtime.news import Begun, BegunAgain, Quiet, RightLost, follow
from domain.channels import Channel
from domain.workspaces import WORKSPACE
from entrypoints.http.facts import Facts
from entrypoints.http.problems import InvalidParameter
from entrypoints.http.request import ApiRequest, PageCursor, PageLimit

RETRY_MS = 2_000

STREAMED = 'id: 813\nevent: task.updated\ndata: {"type": "task.updated", "changes": {"status": ["todo", "done"]}}\n\n'

ChannelName = Annotated[
    str | None,
    QueryParameter(
        max_length=64, description="`workspace:{id}`, `task:{id}` or `me`; the personal workspace if nothing is said."
    ),
]
EventSort = Literal["offset", "-offset"]
LastEventId = Annotated[int | None, QueryParameter(ge=0, lt=10**15, description="The id of the event to go on after.")]
EventType = Annotated[str | None, QueryParameter(max_length=100, description="A type, or its beginning with a `*`.")]


def event_routes(events: Events, hub: Hub, authentication: Authentication) -> Router:
    """Routes under `/events`."""

    @get("/events", facts=Facts(refuses={403, 404, 422}))
    async def list_events(
        request: ApiRequest,
        channel: ChannelName = None,
        type: EventType = None,
        resource_id: FromQuery[UUID | None] = None,
        actor: FromQuery[UUID | None] = None,
        after: FromQuery[datetime | None] = None,
        before: FromQuery[datetime | None] = None,
        sort: FromQuery[EventSort] = "-offset",
        cursor: PageCursor = None,
        limit: PageLimit = PAGE_DEFAULT,
    ) -> Page[EventView]:
        """The events of a channel, newest first unless `sort=offset`."""
        wanted = EventFilter(type, resource_id, actor, after, before)
        return await events.page(
            request.actor, _named(channel, request.actor), wanted, sort == "-offset", cursor, limit
        )

    @get(
        "/events/stream",
        media_type="text/event-stream",
        responses={200: ResponseSpec(str, description="Server-sent events: `id` is the offset, `data` the event.")},
        facts=Facts(streamed=STREAMED, refuses={403, 404}),
    )
    async def stream_events(
        request: ApiRequest, channel: ChannelName = None, last_event_id: LastEventId = None
    ) -> Stream:
        """Follow a channel as server-sent events, from `Last-Event-ID` on or from now. No event is left out.

        The parameter `last_event_id` is for clients that cannot send the header. The header wins if both are given.
        """
        feed, _ = await events.journaled(request.actor, _named(channel, request.actor))
        since = _last_event_id(request.caller.headers.get(b"last-event-id"))
        return Stream(
            sent_events(hub, authentication, request.actor, feed, last_event_id if since is None else since),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},  # otherwise nginx buffers events
        )

    return Router(
        "/",
        route_handlers=[list_events, stream_events],
        tags=["events"],
        opt={"about": "The journal of everything that happened, by the page or live."},
    )


def _named(channel: str | None, actor: Principal) -> str:
    """The channel that the caller names, or that of the credential's place, or of the personal workspace."""
    return (actor.within or str(Channel(WORKSPACE, actor.account_id))) if channel is None else channel


def _last_event_id(header: bytes | None) -> int | None:
    if header is None:
        return None
    if not header.isdigit() or len(header) > 15:
        raise InvalidParameter("Last-Event-ID takes the id of an event of this channel.", pointer="Last-Event-ID")
    return int(header)


async def sent_events(
    hub: Hub, authentication: Authentication, actor: Principal, feed: Feed, since: int | None
) -> AsyncIterator[bytes]:
    """The events of a channel as server-sent events."""
    async for news in follow(hub, authentication, actor, feed, since):
        match news:
            case Entry(offset=offset, type=type, body=body):
                yield b"id: %d\nevent: %b\ndata: %b\n\n" % (offset, type.encode(), body)
            case Begun():
                yield b"retry: %d\n\n" % RETRY_MS
            case BegunAgain(offset, reason):
                yield b'event: resync\nid: %d\ndata: {"reason":"%b"}\n\n' % (offset, reason.encode())
            case Quiet():
                yield b": still here\n\n"
            case RightLost():
                yield b"event: unsubscribed\ndata: {}\n\n"
