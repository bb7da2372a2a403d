"""Rooms: who is in them, what they play, and what was said."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from adapters.postgres.tables.events import events
from adapters.postgres.tables.identity import accounts
from adapters.postgres.tables.schema import Instant, due_index, metadata, one_of
from adapters.postgres.tables.workspaces import workspaces
from domain.rooms import NAMING, Control, HostLeave, PlaybackStatus, Progress, QueueMode, RoomRole, Visibility, Wait

rooms = Table(
    "rooms",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", ForeignKey(workspaces.c.id)),
    Column("name", Text, nullable=False),
    Column("join_code", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("password_hash", Text),
    Column("max_participants", SmallInteger, nullable=False),
    Column("allow_guests", Boolean, nullable=False),
    Column("control", Text, nullable=False),
    Column("wait", Text, nullable=False),
    Column("host_leave", Text, nullable=False),
    # At most 500 each, so the room is one row that is read and written whole.
    Column("banned", ARRAY(Uuid), nullable=False),
    Column("muted", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("created_by", ForeignKey(accounts.c.id), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("close_reason", Text),
    # The timeline
    Column("status", Text, nullable=False),
    Column("item_id", Uuid),
    Column("epoch", BigInteger, nullable=False),
    Column("anchor_position_ms", BigInteger, nullable=False),
    Column("anchor_at", Instant, nullable=False),
    Column("rate", Double, nullable=False),
    Column("duration_ms", BigInteger),
    Column("duration_stated", Boolean, nullable=False),
    Column("starts_by", Instant),
    Column("warned_minutes", SmallInteger),
    Column("due_at", Instant),
    Column("version", Integer, nullable=False),
    Index(
        "ix_rooms_newest",
        "workspace_id",
        "id",
        postgresql_where=text("closed_at IS NULL AND workspace_id IS NOT NULL"),
    ),
    Index("ix_rooms_closed_at", "closed_at", postgresql_where=text("closed_at IS NOT NULL")),
    one_of("visibility", Visibility),
    one_of("control", Control),
    one_of("wait", Wait),
    one_of("host_leave", HostLeave),
    one_of("status", PlaybackStatus),
)
due_index(rooms)
# Of all rooms: a code is looked up without knowing whether its room is open.
Index("ix_rooms_join_code", rooms.c.join_code)
open_rooms = Index("uq_rooms_join_code", rooms.c.join_code, unique=True, postgresql_where=rooms.c.closed_at.is_(None))

# No keys of accounts here and below: the account of a guest may be gone before the room is.
participants = Table(
    "participants",
    metadata,
    Column("room_id", ForeignKey(rooms.c.id, ondelete="CASCADE"), nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("is_guest", Boolean, nullable=False),
    Column("joined_at", Instant, nullable=False),
    Column("slot_until", Instant),
    Column("muted", Boolean, nullable=False),
    Column("progress", Text, nullable=False),
    Column("duration_ms", BigInteger),
    Column("buffering_since", Instant),
    Column("holds", ARRAY(Instant), nullable=False),
    # Whether the room was closed. Then the row tells who was in it last, and gives no right.
    Column("is_over", Boolean, nullable=False),
    PrimaryKeyConstraint("room_id", "account_id"),
    Index("ix_participants_account_id", "account_id", "is_over", "room_id"),
    one_of("role", RoomRole),
    one_of("progress", Progress),
)
present_participants = Index("ix_participants_here", participants.c.room_id, postgresql_where=~participants.c.is_over)

# A row for each room whose queue was ever changed.
queues = Table(
    "queues",
    metadata,
    Column("id", ForeignKey(rooms.c.id, ondelete="CASCADE"), primary_key=True),
    Column("mode", Text, nullable=False),
    Column("current_id", Uuid),
    # The items that are still in the queue. So an item is moved without a change of the others.
    Column("ordered", ARRAY(Uuid), nullable=False),
    Column("skips", ARRAY(Uuid), nullable=False),
    Column("version", Integer, nullable=False),
    one_of("mode", QueueMode),
)

queue_items = Table(
    "queue_items",
    metadata,
    Column("room_id", ForeignKey(rooms.c.id, ondelete="CASCADE"), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("url", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("duration_ms", BigInteger),
    Column("added_by", Uuid, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("duration_stated", Boolean, nullable=False),
    Column("votes", ARRAY(Uuid), nullable=False),
    PrimaryKeyConstraint("room_id", "id"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("room_id", ForeignKey(rooms.c.id, ondelete="CASCADE"), nullable=False),
    Column("workspace_id", Uuid),
    Column("participant_id", Uuid, nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("item_id", Uuid),
    Column("position_ms", BigInteger, nullable=False),
    Column("said_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Column("version", Integer, nullable=False),
    # One more than that of the newest message before it. Those that are said at the same moment may get the same one.
    Column("number", BigInteger, nullable=False),
    Index("ix_messages_account_id", "account_id"),
    Index("ix_messages_number", "room_id", "number", "id"),
    # With these, rooms that have too many messages are found without a look at all others.
    Index("ix_messages_hundreds", "room_id", "number", postgresql_where=text("number > 500 AND number % 100 = 0")),
)

# With it the events that tell what somebody is called are found, so that this can be erased.
Index(
    "ix_events_naming",
    events.c.actor,
    postgresql_where=text(f"type IN ({', '.join(map(repr, NAMING))})"),
)
