"""What rooms ask of the store."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from application.paging import Page
from application.ports.access import Access
from application.ports.rooms.views import MessageView, QueueView, RoomSnapshot, RoomView
from application.quotas import Use
from domain.ids import AccountId, MessageId, RoomId, WorkspaceId
from domain.rooms import Message, Playback, Queue, Room, Seat

MESSAGES_KEPT = 500


class Seated(NamedTuple):
    """The seat of a participant, and of the room what one needs to tell something about it that does not change it."""

    seat: Seat
    workspace_id: WorkspaceId | None
    playback: Playback


def uses_of(room: Room) -> Mapping[Use, int]:
    """The quotas that a room uses until it is closed.

    It is one of the `rooms` of the account that opened it, and one of the `workspace_rooms` of its workspace.
    """
    if room.closed_at:
        return {}
    of_account = {Use(room.created_by, room.created_by, "rooms"): 1}
    workspace = room.workspace_id
    return of_account if workspace is None else {**of_account, Use(workspace, workspace, "workspace_rooms"): 1}


class RoomRepository(Protocol):
    """Rooms with all that are in them, inside a unit of work. What is saved is due when it says.

    A closed room is found until it is forgotten; its verbs refuse. Of several units that change one room at the same
    time one succeeds, and the others are `Stale`. So no more come in than it lets in, and of two commands for one epoch
    one wins.

    A unit that would leave an account more open `rooms` that it has opened than the quota allows, or a workspace more
    `workspace_rooms`, is QuotaExceeded on leaving, even if several units add to them at the same time.
    """

    async def get(self, id: RoomId) -> Room:
        """The room, or NotFound if it is absent. Its methods decide whether the caller may see it."""
        ...

    async def by_code(self, join_code: str) -> Room:
        """The open room with this code, or else the one with it that was closed last; NotFound if there is none."""
        ...

    async def seat(self, id: RoomId, account: AccountId) -> Seated:
        """The seat of a participant, for a unit that does not save the room; NotFound for every other account.

        RoomClosed if the room is over. The unit is `Stale` on leaving if, since this, the room was closed, its policy
        of control was changed, or the participant left, was removed or muted, or got another role.
        """
        ...

    async def of_account(self, account: AccountId, most: int, workspace: WorkspaceId | None = None) -> Sequence[Room]:
        """At most `most` open rooms that the account is in: of all, or of those for the members of this workspace."""
        ...

    async def of_workspace(self, workspace: WorkspaceId, most: int) -> Sequence[Room]:
        """At most `most` open rooms of the workspace."""
        ...

    def add(self, room: Room) -> None:
        """Store a new room. `Stale` on leaving if an open room has its code: another try makes another code."""
        ...

    def save(self, room: Room) -> None:
        """Store a changed room and who is in it.

        `Stale` on leaving if another unit of work has saved the room since it was read, or an open room has its code.
        """
        ...


class QueueRepository(Protocol):
    """Queues of rooms, inside a unit of work. Each is there with its room, empty and at version 0 at first."""

    async def get(self, id: RoomId) -> Queue:
        """The queue of the room, or NotFound if the room is absent."""
        ...

    def save(self, queue: Queue) -> None:
        """Store a changed queue; `Stale` on leaving if another unit of work has saved it since it was read."""
        ...


class MessageRepository(Protocol):
    """Messages in rooms, inside a unit of work. They do not touch the version of the room.

    At least the newest 500 of a room are kept.
    """

    async def get(self, id: MessageId, room: RoomId) -> Message:
        """The message in that room, or NotFound if it is absent. A deleted one is found."""
        ...

    def add(self, message: Message) -> None:
        """Store a new message. NotFound on leaving if its room was forgotten meanwhile."""
        ...

    def save(self, message: Message) -> None:
        """Store a changed message; `Stale` on leaving if another unit of work has saved it since it was read."""
        ...


class RoomWork(Protocol):
    """The slice of a unit of work that the rooms context sees."""

    @property
    def access(self) -> Access: ...

    @property
    def rooms(self) -> RoomRepository: ...

    @property
    def queues(self) -> QueueRepository: ...

    @property
    def messages(self) -> MessageRepository: ...


class RoomQueries(Protocol):
    """Committed rooms, for reading only. A closed one is shown to those who were in it last, until it is forgotten."""

    async def view(self, id: RoomId, by: AccountId) -> RoomView:
        """The room, or NotFound if it is absent or `by` is not in it."""
        ...

    async def page(
        self,
        by: AccountId,
        workspace: WorkspaceId | None,
        closed: bool,
        cursor: str | None,
        limit: int,
        within: UUID | None = None,
    ) -> Page[RoomView]:
        """The open rooms that `by` is in, or the closed ones that `by` was in last; the newest first.

        With a workspace only its rooms, and of the open ones also those for its members, unless `by` is banned there.
        They have no `join_code` for somebody who is not in them. NotFound if `by` is no member of the workspace.
        With `within` only those of the workspace with that id, and the room with that id.
        """
        ...

    async def snapshot(self, id: RoomId, by: AccountId) -> RoomSnapshot:
        """All of the room at one moment, with the head of its stream; NotFound as in `view`.

        Every entry of the stream up to `offset` is in it, and none after that.
        """
        ...

    async def queue(self, id: RoomId, by: AccountId) -> QueueView:
        """The queue of the room; NotFound as in `view`."""
        ...

    async def messages(self, id: RoomId, by: AccountId, cursor: str | None, limit: int) -> Page[MessageView]:
        """The newest 500 messages of the room, the newest first; NotFound as in `view`."""
        ...

    async def messages_of_person(self, account: AccountId, cursor: str | None, limit: int) -> Page[MessageView]:
        """What the account said in rooms that are not forgotten yet, by id."""
        ...

    async def participating(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        """Those of these pairs of a room and an account in which the account is in the room, and that is open.

        Costs one query, shared by callers at the same time.
        """
        ...

    async def speaking(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        """Those of these pairs of `participating` in which the account is not muted, at the same price."""
        ...

    async def attended(self, after: RoomId, most: int) -> Sequence[RoomId]:
        """At most so many open rooms with ids above `after` in which somebody is connected, in the order of ids."""
        ...


class RoomUpkeep(Protocol):
    """What is done to rooms beside the use cases; see `Upkeep` for what each call promises."""

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop the rooms that were closed longer than `kept` before `now`, with everything in them."""
        ...

    async def forget_messages(self, most: int) -> int:
        """Drop messages that are older than the newest 500 of their room. Up to a hundred more of each may stay."""
        ...

    async def erase_rooms(self, workspace: WorkspaceId, most: int) -> int:
        """Drop closed rooms of a workspace, with everything in them."""
        ...

    async def erase_names(self, account: AccountId, name: str, most: int) -> int:
        """Put this name in the place of what the account was called, where that stands beside what it did.

        It stands with its messages, with its places in closed rooms, and in the journal, in the `display_name` of the
        events by which it opened or joined a room or said something. Everything else of them stays as it was.
        """
        ...
