"""Rooms, who is in them, what they play, and what was said."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "rooms",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("join_code", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("max_participants", sa.SmallInteger(), nullable=False),
        sa.Column("allow_guests", sa.Boolean(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("wait", sa.Text(), nullable=False),
        sa.Column("host_leave", sa.Text(), nullable=False),
        sa.Column("banned", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_reason", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("anchor_position_ms", sa.BigInteger(), nullable=False),
        sa.Column("anchor_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("duration_stated", sa.Boolean(), nullable=False),
        sa.Column("starts_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warned_minutes", sa.SmallInteger(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("control IN ('host', 'moderators', 'everyone')", name=op.f("ck_rooms_control")),
        sa.CheckConstraint("host_leave IN ('transfer', 'pause')", name=op.f("ck_rooms_host_leave")),
        sa.CheckConstraint(
            "status IN ('idle', 'loading', 'waiting', 'playing', 'paused', 'ended')", name=op.f("ck_rooms_status")
        ),
        sa.CheckConstraint("visibility IN ('private', 'link', 'workspace')", name=op.f("ck_rooms_visibility")),
        sa.CheckConstraint("wait IN ('all', 'quorum', 'none')", name=op.f("ck_rooms_wait")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name="fk_rooms_created_by"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_rooms_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rooms"),
    )
    op.create_index(
        "ix_rooms_closed_at", "rooms", ["closed_at"], unique=False, postgresql_where=sa.text("closed_at IS NOT NULL")
    )
    op.create_index(
        "ix_rooms_workspace_id",
        "rooms",
        ["workspace_id"],
        unique=False,
        postgresql_where=sa.text("closed_at IS NULL AND workspace_id IS NOT NULL"),
    )
    op.create_index("rooms_due", "rooms", ["due_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index(
        "uq_rooms_join_code", "rooms", ["join_code"], unique=True, postgresql_where=sa.text("closed_at IS NULL")
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("participant_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("position_ms", sa.BigInteger(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_messages_room_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
    )
    op.create_index("ix_messages_number", "messages", ["room_id", "number", "id"], unique=False)
    op.create_index(
        "ix_messages_hundreds",
        "messages",
        ["room_id", "number"],
        unique=False,
        postgresql_where=sa.text("number > 500 AND number % 100 = 0"),
    )
    op.create_table(
        "participants",
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("is_guest", sa.Boolean(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slot_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("muted", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("buffering_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("holds", sa.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.Column("is_over", sa.Boolean(), nullable=False),
        sa.CheckConstraint("progress IN ('late', 'loading', 'ready', 'ended')", name=op.f("ck_participants_progress")),
        sa.CheckConstraint("role IN ('host', 'moderator', 'member', 'guest')", name=op.f("ck_participants_role")),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_participants_room_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("room_id", "account_id", name="pk_participants"),
    )
    op.create_index("ix_participants_account_id", "participants", ["account_id", "is_over", "room_id"], unique=False)
    op.create_index(
        "ix_participants_here", "participants", ["room_id"], unique=False, postgresql_where=sa.text("NOT is_over")
    )
    op.create_table(
        "queue_items",
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("added_by", sa.Uuid(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_stated", sa.Boolean(), nullable=False),
        sa.Column("votes", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_queue_items_room_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("room_id", "id", name="pk_queue_items"),
    )
    op.create_table(
        "queues",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("current_id", sa.Uuid(), nullable=True),
        sa.Column("ordered", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("skips", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("mode IN ('manual', 'vote', 'loop')", name=op.f("ck_queues_mode")),
        sa.ForeignKeyConstraint(["id"], ["rooms.id"], name="fk_queues_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_queues"),
    )


def downgrade() -> None:
    for table in ("queues", "queue_items", "participants", "messages", "rooms"):
        op.drop_table(table)
