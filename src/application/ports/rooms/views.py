"""What the store shows of rooms, and how it is seen from their aggregates."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.rooms import (
    Control,
    HostLeave,
    Message,
    Participant,
    Playback,
    PlaybackStatus,
    Policies,
    Progress,
    Queue,
    QueueItem,
    QueueMode,
    Room,
    RoomRole,
    Visibility,
    Wait,
)

MESSAGES_SHOWN = 50
"""How many messages a snapshot has."""


class PoliciesView(Struct, frozen=True):
    """What the host has decided: who controls, for whom an item waits, and what follows when the host leaves."""

    control: Control
    wait: Wait
    host_leave: HostLeave


class StateView(Struct, frozen=True):
    """The timeline of a room: at `anchor_at` it was, or will be, at `anchor_position_ms`.

    From there it moves at `rate` while it is `playing`. `epoch` rises with each change of anything but `duration_ms`,
    which is null if nobody knows it. `item_id` is the item of the queue that plays, null before the first.
    """

    status: PlaybackStatus
    item_id: UUID | None
    epoch: int
    anchor_position_ms: int
    anchor_at: datetime
    rate: float
    duration_ms: int | None


class ParticipantView(Struct, frozen=True):
    """Somebody in a room. `slot_until` is null while a device of theirs is connected, or else until when they are in.

    `progress` is how far their player is with the item. `buffering_since` is null unless it stands still and somebody
    may have to wait. `duration_ms` is the length of the item by their player.
    """

    id: UUID
    account_id: UUID
    display_name: str
    role: RoomRole
    is_guest: bool
    muted: bool
    joined_at: datetime
    slot_until: datetime | None
    progress: Progress
    buffering_since: datetime | None
    duration_ms: int | None


class RoomView(Struct, frozen=True):
    """A room as those who are in it see it. A closed one shows who was in it last, and why and when it was closed.

    Who has the `join_code` can come in, with the password if `password_set`. It is null in lists of rooms that the
    caller may join and is not in. Participants stand in the order in which they came. `version` rises with every change
    of the room and of its participants, and is the ETag.
    """

    id: UUID
    workspace_id: UUID | None
    name: str
    join_code: str | None
    visibility: Visibility
    password_set: bool
    max_participants: int
    allow_guests: bool
    policies: PoliciesView
    state: StateView
    participants: Sequence[ParticipantView]
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    version: int


class QueueItemView(Struct, frozen=True):
    """Something to play. `votes` are the accounts that want it."""

    id: UUID
    url: str
    title: str
    duration_ms: int | None
    added_by: UUID
    added_at: datetime
    votes: Sequence[UUID]


class QueueView(Struct, frozen=True):
    """What a room plays: `current`, which has left the queue, and the `items` after it in their order.

    `skips` are the accounts that want the current one to end. `version` rises with every change of the queue.
    """

    mode: QueueMode
    current: QueueItemView | None
    items: Sequence[QueueItemView]
    skips: Sequence[UUID]
    version: int


class MessageView(Struct, frozen=True):
    """Something that a participant said, and where the item was then. The text of a deleted message is empty."""

    id: UUID
    participant_id: UUID
    account_id: UUID
    display_name: str
    text: str
    item_id: UUID | None
    position_ms: int
    said_at: datetime
    deleted_at: datetime | None
    version: int


class RoomSnapshot(Struct, frozen=True):
    """All of a room at one moment, with its newest 50 messages, the oldest first.

    `offset` is the head of its stream at that moment, in the lineage `journal_epoch`: the next entry of the stream is
    the first change that is not in here.
    """

    room: RoomView
    queue: QueueView
    messages: Sequence[MessageView]
    journal_epoch: str
    offset: int


def view_of(room: Room) -> RoomView:
    """The room as its participants see it."""
    return RoomView(
        id=room.id,
        workspace_id=room.workspace_id,
        name=room.name,
        join_code=room.join_code,
        visibility=room.visibility,
        password_set=room.password_set,
        max_participants=room.max_participants,
        allow_guests=room.allow_guests,
        policies=policies_view(room.policies),
        state=state_view(room.playback),
        participants=[participant_view(each) for each in in_order(room.participants.values())],
        created_by=room.created_by,
        created_at=room.created_at,
        updated_at=room.updated_at,
        expires_at=room.expires_at,
        closed_at=room.closed_at,
        close_reason=room.close_reason,
        version=room.version,
    )


def in_order(participants: Collection[Participant]) -> Sequence[Participant]:
    """The participants in the order in which they came."""
    return sorted(participants, key=lambda each: (each.joined_at, each.id))


def policies_view(policies: Policies) -> PoliciesView:
    return PoliciesView(policies.control, policies.wait, policies.host_leave)


def state_view(playback: Playback) -> StateView:
    """The timeline as everybody sees it."""
    return StateView(
        playback.status,
        playback.item_id,
        playback.epoch,
        playback.anchor_position_ms,
        playback.anchor_at,
        playback.rate,
        playback.duration_ms,
    )


def participant_view(who: Participant) -> ParticipantView:
    return ParticipantView(
        who.id,
        who.account_id,
        who.display_name,
        who.role,
        who.is_guest,
        who.muted,
        who.joined_at,
        who.slot_until,
        who.progress,
        who.buffering_since,
        who.duration_ms,
    )


def queue_view(queue: Queue) -> QueueView:
    """The queue as everybody in the room sees it."""
    current = None if queue.current is None else item_view(queue.current)
    return QueueView(queue.mode, current, [item_view(each) for each in queue.items], queue.skips, queue.version)


def item_view(item: QueueItem) -> QueueItemView:
    return QueueItemView(item.id, item.url, item.title, item.duration_ms, item.added_by, item.added_at, item.votes)


def message_view(message: Message) -> MessageView:
    return MessageView(
        message.id,
        message.participant_id,
        message.account_id,
        message.display_name,
        message.text,
        message.item_id,
        message.position_ms,
        message.said_at,
        message.deleted_at,
        message.version,
    )
