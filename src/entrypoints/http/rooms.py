"""The routes of rooms: who is in them, what they play, their queues and their messages."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Router, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from application.paging import PAGE_DEFAULT, Page
from application.ports.events import EventView
from application.ports.rooms import (
    MessageView,
    ParticipantView,
    QueueItemView,
    QueueView,
    RoomSnapshot,
    RoomView,
    StateView,
)
from application.rooms import (
    ROOMS_PLAY,
    ROOMS_READ,
    ROOMS_WRITE,
    Chat,
    Command,
    Entrance,
    HostTransfer,
    ItemPatch,
    JoinByCode,
    JoinRoom,
    Move,
    NewItem,
    NewItems,
    NewMessage,
    NewRoom,
    ParticipantPatch,
    QueuePatch,
    RoomInvitation,
    RoomJoined,
    RoomPatch,
    RoomQueues,
    RoomReport,
    RoomReports,
    Rooms,
    Skip,
)
from domain.ids import MessageId, ParticipantId, QueueItemId, RoomId, WorkspaceId
from entrypoints.http.facts import AN_ID, Facts
from entrypoints.http.request import ApiRequest, PageCursor, PageLimit

_NEW = {
    "name": "Film night",
    "visibility": "link",
    "allow_guests": True,
    "policies": {"control": "moderators", "wait": "all", "host_leave": "transfer"},
}
_ITEM = {"url": "https://videos.example.org/film.mp4", "title": "The film", "duration_ms": 5_400_000}
_REPORT = {"epoch": 7, "item_id": AN_ID, "position_ms": 61_250, "ready": True, "buffering": False}
OfWorkspace = Annotated[
    WorkspaceId | None,
    QueryParameter(
        description="The rooms of this workspace only: those that the caller is in, and those for all of its members."
    ),
]
Closed = Annotated[
    bool, QueryParameter(description="List the closed rooms that the caller was in last, and not the open ones.")
]
Ban = Annotated[
    bool,
    QueryParameter(description="Ban the account for as long as the room lasts, too, and give the room a new code."),
]


def room_routes(rooms: Rooms, entrance: Entrance, queues: RoomQueues, chat: Chat, reports: RoomReports) -> Router:
    """Routes under `/rooms`."""
    return Router(
        "/rooms",
        route_handlers=[*_people(rooms, entrance), *_playing(rooms, reports), *_queue(queues), *_chat(chat)],
        tags=["rooms"],
        opt={
            "about": "Rooms, in which people watch something together: who is in, what plays, the queue and messages.",
            "scopes": (ROOMS_READ, ROOMS_WRITE),
        },
    )


def _people(rooms: Rooms, entrance: Entrance) -> Sequence[HTTPRouteHandler]:
    """Coming, going, and what the host decides."""

    @post("/", facts=Facts(example=_NEW, refuses={404, 409}))
    async def open_room(request: ApiRequest, data: JSONBody[NewRoom]) -> RoomView:
        """Open a room, with the caller as its host."""
        return await rooms.open(request.actor, data)

    @get("/", facts=Facts(refuses={404}))
    async def list_rooms(
        request: ApiRequest,
        workspace_id: OfWorkspace = None,
        closed: Closed = False,
        cursor: PageCursor = None,
        limit: PageLimit = PAGE_DEFAULT,
    ) -> Page[RoomView]:
        """The rooms that the caller is in, newest first; of a workspace also those that the caller may join."""
        return await rooms.page(request.actor, workspace_id, closed, cursor, limit)

    @post(
        "/join",
        status_code=200,
        facts=Facts(
            callers="either",
            is_secret=True,
            is_keyless=True,
            example={"join_code": "7K3M9QXV", "display_name": "Grace"},
            scope=ROOMS_WRITE,
            refuses={403, 404, 409, 410},
        ),
    )
    async def enter_room(request: ApiRequest, data: JSONBody[JoinByCode]) -> RoomJoined:
        """Join a room by its code. A caller without a token becomes a guest, whose token is in this answer only."""
        return await entrance.enter(request.caller.principal, data, request.caller.address)

    @get("/{id:uuid}")
    async def read_room(request: ApiRequest, id: FromPath[RoomId]) -> RoomView:
        """One room that the caller is in, or was in when it was closed."""
        return await rooms.read(request.actor, id)

    @patch("/{id:uuid}", facts=Facts(example={"name": "Film night", "password": None}, current=RoomView, refuses={410}))
    async def change_room(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[RoomPatch]) -> RoomView:
        """Change the settings of a room, as its host; with `If-Match`, only that version."""
        return await rooms.change(request.actor, id, data, request.version)

    @delete("/{id:uuid}", facts=Facts(current=RoomView, refuses={410}))
    async def close_room(request: ApiRequest, id: FromPath[RoomId]) -> None:
        """Close a room for everybody."""
        await rooms.close(request.actor, id, request.version)

    # A second join changes nothing. The answer is read after the first has been committed, so no key holds it back.
    @post(
        "/{id:uuid}/join",
        status_code=200,
        facts=Facts(scope=ROOMS_PLAY, is_keyless=True, example={"password": "open sesame"}, refuses={409, 410}),
    )
    async def join_room(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[JoinRoom]) -> RoomJoined:
        """Join a room by its id, or come back to it. Who is not in it yet needs the scope `rooms:write` as well."""
        return await entrance.join(request.actor, id, data)

    @post("/{id:uuid}/leave", status_code=204, facts=Facts(scope=ROOMS_PLAY, refuses={410}))
    async def leave_room(request: ApiRequest, id: FromPath[RoomId]) -> None:
        """Leave a room on all devices."""
        await rooms.leave(request.actor, id)

    @post("/{id:uuid}/extend", status_code=200, facts=Facts(refuses={410}))
    async def extend_room(request: ApiRequest, id: FromPath[RoomId]) -> RoomView:
        """Extend a room by 24 hours, up to seven days in all."""
        return await rooms.extend(request.actor, id)

    @post("/{id:uuid}/transfer", status_code=200, facts=Facts(example={"participant_id": AN_ID}, refuses={410}))
    async def transfer_room(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[HostTransfer]) -> RoomView:
        """Make another participant the host. The caller becomes a moderator."""
        return await rooms.transfer(request.actor, id, data)

    @post("/{id:uuid}/invitations", status_code=204, facts=Facts(example={"account_id": AN_ID}, refuses={410}))
    async def invite_to_room(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[RoomInvitation]) -> None:
        """Ask somebody to come in, who is told how."""
        await rooms.invite(request.actor, id, data)

    @patch(
        "/{id:uuid}/participants/{participant_id:uuid}",
        facts=Facts(example={"role": "moderator"}, refuses={410}),
    )
    async def change_participant(
        request: ApiRequest,
        id: FromPath[RoomId],
        participant_id: FromPath[ParticipantId],
        data: JSONBody[ParticipantPatch],
    ) -> ParticipantView:
        """Give a participant another role, or mute one."""
        return await rooms.change_participant(request.actor, id, participant_id, data)

    @delete("/{id:uuid}/participants/{participant_id:uuid}", facts=Facts(refuses={410}))
    async def remove_participant(
        request: ApiRequest, id: FromPath[RoomId], participant_id: FromPath[ParticipantId], ban: Ban = False
    ) -> None:
        """Send somebody out of the room."""
        await rooms.remove(request.actor, id, participant_id, ban)

    return [
        open_room,
        list_rooms,
        enter_room,
        read_room,
        change_room,
        close_room,
        join_room,
        leave_room,
        extend_room,
        transfer_room,
        invite_to_room,
        change_participant,
        remove_participant,
    ]


def _playing(rooms: Rooms, reports: RoomReports) -> Sequence[HTTPRouteHandler]:
    """What plays, and where it is."""

    @post(
        "/{id:uuid}/control",
        status_code=200,
        facts=Facts(
            scope=ROOMS_PLAY, example={"action": "seek", "position_ms": 61_250, "epoch": 7}, refuses={409, 410}
        ),
    )
    async def control_room(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[Command]) -> StateView:
        """Play, pause, seek, change the rate, load an item of the queue or go on to the next."""
        return await rooms.control(request.actor, id, data)

    @post("/{id:uuid}/queue/skip", status_code=200, facts=Facts(scope=ROOMS_PLAY, example={"epoch": 7}, refuses={410}))
    async def vote_skip(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[Skip]) -> StateView:
        """Vote to skip what plays. It is skipped once half of those who are present have voted."""
        return await rooms.skip(request.actor, id, data)

    @get("/{id:uuid}/state")
    async def read_state(request: ApiRequest, id: FromPath[RoomId]) -> RoomSnapshot:
        """All of a room at one moment, and the offset after which to follow it."""
        return await rooms.snapshot(request.actor, id)

    @post("/{id:uuid}/report", status_code=204, facts=Facts(scope=ROOMS_PLAY, example=_REPORT, refuses={410}))
    async def report_player(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[RoomReport]) -> None:
        """Report the state of the caller's player. `room.report` over a live connection costs a tenth of this."""
        await reports.report(request.actor, id, data)

    return [control_room, vote_skip, read_state, report_player]


def _queue(queues: RoomQueues) -> Sequence[HTTPRouteHandler]:
    """What plays next."""

    @get("/{id:uuid}/queue")
    async def read_queue(request: ApiRequest, id: FromPath[RoomId]) -> QueueView:
        """What the room plays, and what comes after it."""
        return await queues.read(request.actor, id)

    @patch(
        "/{id:uuid}/queue",
        facts=Facts(scope=ROOMS_PLAY, example={"mode": "vote"}, current=QueueView, refuses={410}),
    )
    async def change_queue(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[QueuePatch]) -> QueueView:
        """Set which item is next: the first, the one with most votes, or the first of a loop that begins anew."""
        return await queues.arrange(request.actor, id, data, request.version)

    @post("/{id:uuid}/queue", facts=Facts(scope=ROOMS_PLAY, example=_ITEM, refuses={410}))
    async def add_item(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[NewItem]) -> QueueItemView:
        """Put an item at the end of the queue. The server never fetches its address."""
        return await queues.add(request.actor, id, data)

    @post("/{id:uuid}/queue/bulk", facts=Facts(scope=ROOMS_PLAY, example={"items": [_ITEM]}, refuses={410}))
    async def add_items(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[NewItems]) -> QueueView:
        """Put up to 100 items at the end of the queue, all or none."""
        return await queues.add_many(request.actor, id, data)

    @patch(
        "/{id:uuid}/queue/{item_id:uuid}",
        facts=Facts(scope=ROOMS_PLAY, example={"title": "The other film"}, refuses={410}),
    )
    async def edit_item(
        request: ApiRequest, id: FromPath[RoomId], item_id: FromPath[QueueItemId], data: JSONBody[ItemPatch]
    ) -> QueueItemView:
        """Give an item of the queue another title or duration: the caller's own, or any as a moderator."""
        return await queues.edit(request.actor, id, item_id, data)

    @delete("/{id:uuid}/queue/{item_id:uuid}", facts=Facts(scope=ROOMS_PLAY, refuses={410}))
    async def remove_item(request: ApiRequest, id: FromPath[RoomId], item_id: FromPath[QueueItemId]) -> None:
        """Take an item out of the queue: the caller's own, or any as a moderator."""
        await queues.remove(request.actor, id, item_id)

    @post(
        "/{id:uuid}/queue/{item_id:uuid}/move",
        status_code=200,
        facts=Facts(scope=ROOMS_PLAY, example={"position": 0}, refuses={410}),
    )
    async def move_item(
        request: ApiRequest, id: FromPath[RoomId], item_id: FromPath[QueueItemId], data: JSONBody[Move]
    ) -> QueueView:
        """Move an item to a position of the queue, counted from 0."""
        return await queues.move(request.actor, id, item_id, data)

    @put("/{id:uuid}/queue/{item_id:uuid}/votes/me", status_code=204, facts=Facts(scope=ROOMS_PLAY, refuses={410}))
    async def vote_item(request: ApiRequest, id: FromPath[RoomId], item_id: FromPath[QueueItemId]) -> None:
        """Vote for an item of the queue."""
        await queues.vote(request.actor, id, item_id, True)

    @delete("/{id:uuid}/queue/{item_id:uuid}/votes/me", facts=Facts(scope=ROOMS_PLAY, refuses={410}))
    async def unvote_item(request: ApiRequest, id: FromPath[RoomId], item_id: FromPath[QueueItemId]) -> None:
        """Take back the vote for an item."""
        await queues.vote(request.actor, id, item_id, False)

    return [read_queue, change_queue, add_item, add_items, edit_item, remove_item, move_item, vote_item, unvote_item]


def _chat(chat: Chat) -> Sequence[HTTPRouteHandler]:
    """What is said, and what happened."""

    @get("/{id:uuid}/history")
    async def room_history(
        request: ApiRequest, id: FromPath[RoomId], cursor: PageCursor = None, limit: PageLimit = PAGE_DEFAULT
    ) -> Page[EventView]:
        """Who did what in a room, newest first."""
        return await chat.history(request.actor, id, cursor, limit)

    @get("/{id:uuid}/messages")
    async def list_messages(
        request: ApiRequest, id: FromPath[RoomId], cursor: PageCursor = None, limit: PageLimit = PAGE_DEFAULT
    ) -> Page[MessageView]:
        """The newest 500 messages of a room, newest first."""
        return await chat.page(request.actor, id, cursor, limit)

    @post("/{id:uuid}/messages", facts=Facts(scope=ROOMS_PLAY, example={"text": "That was good."}, refuses={410}))
    async def say(request: ApiRequest, id: FromPath[RoomId], data: JSONBody[NewMessage]) -> MessageView:
        """Say something in a room. The message keeps where the item was."""
        return await chat.say(request.actor, id, data)

    @delete("/{id:uuid}/messages/{message_id:uuid}", facts=Facts(scope=ROOMS_PLAY, refuses={410}))
    async def delete_message(request: ApiRequest, id: FromPath[RoomId], message_id: FromPath[MessageId]) -> None:
        """Delete a message: the caller's own, or any as a moderator."""
        await chat.delete(request.actor, id, message_id)

    return [room_history, list_messages, say, delete_message]
