"""The routes that read the journal, and the event stream for those who cannot hold a WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from time import monotonic
from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from application.authentication import Authentication
from application.events import Events, Feed
from application.paging import PAGE_DEFAULT, Page
from application.ports.events import Entry, EventFilter, EventView
from application.principal import Principal
from application.realtime.hub import Hub
from application.realtime.reader import Reader, StartedOver
from domain.channels import Channel, ChannelKind
from domain.errors import NotFound, Unavailable
from domain.ids import TaskId
from entrypoints.http.facts import Facts
from entrypoints.http.problems import InvalidParameter
from entrypoints.http.request import ApiRequest, ChannelName, PageCursor, PageLimit

KEEP_ALIVE_SECONDS = 15.0
RECHECK_SECONDS = 0.5
RIGHTS_SECONDS = 30.0
RETRY_MS = 2_000

STREAMED = 'id: 813\nevent: task.updated\ndata: {"type": "task.updated", "changes": {"status": ["todo", "done"]}}\n\n'

EventSort = Literal["offset", "-offset"]
LastEventId = Annotated[int | None, QueryParameter(ge=0, lt=10**15, description="The id of the event to go on behind.")]
EventType = Annotated[str | None, QueryParameter(max_length=100, description="A type, or its beginning with a `*`.")]


def event_routes(events: Events, hub: Hub, authentication: Authentication) -> Router:
    """Routes under `/events`, and the history of a task."""

    @get("/events", facts=Facts(refuses={404}))
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
        return await events.page(request.actor, channel, wanted, sort == "-offset", cursor, limit)

    @get("/tasks/{id:uuid}/history")
    async def task_history(
        request: ApiRequest, id: FromPath[TaskId], cursor: PageCursor = None, limit: PageLimit = PAGE_DEFAULT
    ) -> Page[EventView]:
        """Everything that happened to a task, newest first, even if it is deleted."""
        channel = str(Channel(ChannelKind.TASK, id))
        return await events.page(request.actor, channel, EventFilter(), True, cursor, limit)

    @get(
        "/events/stream",
        media_type="text/event-stream",
        responses={200: ResponseSpec(str, description="Server-sent events: `id` is the offset, `data` the event.")},
        facts=Facts(streamed=STREAMED, refuses={404}),
    )
    async def stream_events(
        request: ApiRequest, channel: ChannelName = None, last_event_id: LastEventId = None
    ) -> Stream:
        """Follow a channel as server-sent events, from `Last-Event-ID` on or from now; nothing is left out.

        `last_event_id` says the same for a client that cannot send the header, which counts more if both are there.
        """
        feed, stream = await events.journaled(request.actor, channel)
        since = _last_event_id(request.caller.headers.get(b"last-event-id"))
        return Stream(
            follow(hub, events, authentication, request.actor, feed, stream, last_event_id if since is None else since),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},  # nginx would keep events back until there are many
        )

    return Router(
        "/",
        route_handlers=[list_events, task_history, stream_events],
        tags=["events"],
        opt={"about": "The journal of everything that happened, by the page or live."},
    )


def _last_event_id(header: bytes | None) -> int | None:
    if header is None:
        return None
    if not header.isdigit() or len(header) > 15:
        raise InvalidParameter("Last-Event-ID takes the id of an event of this channel.", pointer="Last-Event-ID")
    return int(header)


async def follow(
    hub: Hub,
    events: Events,
    authentication: Authentication,
    actor: Principal,
    feed: Feed,
    stream: str,
    since: int | None,
    rights_seconds: float = RIGHTS_SECONDS,
) -> AsyncIterator[bytes]:
    """The frames of a stream, until the session ends, the token expires or the right to follow is lost.

    The right is asked for again every `rights_seconds`, also if nothing tells that it was lost.
    """

    async def may_follow() -> bool:
        # Until there is an answer nothing is shown; that nobody can tell is no reason to hang up.
        while authentication.is_live(actor):
            try:
                await events.feed(actor, str(feed.channel))
            except NotFound:
                return False
            except Unavailable:
                await asyncio.sleep(RECHECK_SECONDS)
            else:
                return True
        return True  # the end of the session is told by the end of the stream alone

    async with hub.reader(stream, since) as reader:
        yield b"retry: %d\n\n" % RETRY_MS
        # Asked again now that the stream is heard: a right that was lost before would be lost unnoticed.
        is_lost = not await may_follow()
        quiet, checked_at = 0.0, monotonic()
        while not is_lost and authentication.is_live(actor):
            if monotonic() - checked_at > rights_seconds:
                is_lost = not await may_follow()
                checked_at = monotonic()
                if is_lost:
                    break
            try:
                entries = await _next(reader)
            except StartedOver as restart:
                yield b'event: resync\nid: %d\ndata: {"reason":"%b"}\n\n' % (reader.position, restart.reason.encode())
                # Who lost the right in what nobody saw would go on unnoticed.
                is_lost = not await may_follow()
                continue
            quiet = 0.0 if entries else quiet + RECHECK_SECONDS
            if quiet >= KEEP_ALIVE_SECONDS:
                quiet = 0.0
                yield b": still here\n\n"
            for entry in entries:
                if not hub.lease.is_held:  # lost while a slow reader took what was before this
                    await hub.lease.held()
                    if not authentication.is_live(actor):
                        return
                if feed.shows(entry):
                    yield b"id: %d\nevent: %b\ndata: %b\n\n" % (entry.offset, entry.type.encode(), entry.body)
                # A replay passes by losses of long ago; what counts are the rights of now.
                if feed.is_lost_by(actor.account_id, entry) and not await may_follow():
                    is_lost = True
                    break
        if is_lost:
            yield b"event: unsubscribed\ndata: {}\n\n"


async def _next(reader: Reader) -> list[Entry]:
    """What comes within half a second; nothing if nothing does, or if the journal cannot be read just now."""
    try:
        async with asyncio.timeout(RECHECK_SECONDS):
            return list(await reader.read())
    except TimeoutError:
        return []
    except Unavailable:
        await asyncio.sleep(RECHECK_SECONDS)
        return []
