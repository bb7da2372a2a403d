"""The aggregate of a message: what somebody said in a room, and where the item was then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.channels import workspace_stream
from domain.errors import NotFound
from domain.ids import AccountId, MessageId, ParticipantId, QueueItemId, RoomId, WorkspaceId
from domain.kernel import Aggregate, EventType
from domain.rooms.channels import room_stream
from domain.rooms.events import MESSAGE_EVENTS
from domain.rooms.rights import Right, Seat
from domain.text import clean

MESSAGE_MAX = 2_000


@dataclass(slots=True)
class Message(Aggregate):
    """Something that a participant said. `position_ms` is where the item was that played then."""

    resource_type: ClassVar[str] = "message"
    announces: ClassVar[Mapping[str, EventType]] = MESSAGE_EVENTS

    id: MessageId
    room_id: RoomId
    workspace_id: WorkspaceId | None
    participant_id: ParticipantId
    account_id: AccountId
    display_name: str
    text: str
    item_id: QueueItemId | None
    position_ms: int
    said_at: datetime
    deleted_at: datetime | None = None

    @classmethod
    def say(
        cls,
        id: MessageId,
        room_id: RoomId,
        workspace_id: WorkspaceId | None,
        seat: Seat,
        text: str,
        item_id: QueueItemId | None,
        position_ms: int,
        at: datetime,
    ) -> "Message":
        seat.require(Right.SPEAK)
        text = clean(text, pointer="/text", longest=MESSAGE_MAX, shortest=1)
        who = (seat.participant_id, seat.account_id, seat.display_name)
        message = cls(id, room_id, workspace_id, *who, text, item_id, position_ms, at)
        told = {name: getattr(message, name) for name in MESSAGE_EVENTS["message.said"].data}
        message._tell("message.said", seat.account_id, at, told)
        return message

    def delete(self, seat: Seat, at: datetime) -> None:
        """Take it away: one's own, or any with the right to moderate. NotFound if it is away already."""
        if self.deleted_at is not None:
            raise NotFound
        if seat.account_id != self.account_id:
            seat.require(Right.MODERATE)
        self.text, self.deleted_at = "", at
        self._tell("message.deleted", seat.account_id, at)

    def _tell(self, type: str, by: AccountId, at: datetime, data: Mapping[str, object] | None = None) -> None:
        within = workspace_stream(self.workspace_id) if self.workspace_id else None
        self._announce(type, room_stream(self.room_id), self.id, at, by, None, data, within)
