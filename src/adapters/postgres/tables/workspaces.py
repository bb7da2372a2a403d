"""Workspaces with their members, their invitations, and who was removed from them."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from adapters.postgres.tables.identity import accounts
from adapters.postgres.tables.schema import Instant, metadata, one_of
from domain.access import Role
from domain.workspaces import WorkspaceKind

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("task_prefix", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("viewers_comment", Boolean, nullable=False),
    Column("created_by", ForeignKey(accounts.c.id), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Column("version", Integer, nullable=False),
    one_of("kind", WorkspaceKind),
    Index("uq_workspaces_slug", "slug", unique=True, postgresql_where=text("deleted_at IS NULL")),
)

members = Table(
    "members",
    metadata,
    Column("workspace_id", ForeignKey(workspaces.c.id, ondelete="CASCADE"), nullable=False),
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    Column("joined_at", Instant, nullable=False),
    PrimaryKeyConstraint("workspace_id", "account_id"),
    Index("ix_members_account_id", "account_id"),
    one_of("role", Role),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", ForeignKey(workspaces.c.id, ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("max_uses", Integer, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("invited_by", ForeignKey(accounts.c.id), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    # The version of the workspace in which it was issued; 0, so before every removal, if that was not recorded yet.
    Column("since", Integer, nullable=False, server_default=text("0")),
    Column("withdrawn_at", Instant),
    Column("email", Text),
    UniqueConstraint("digest"),
    Index("ix_invitations_workspace_id", "workspace_id"),
    one_of("role", Role),
)

# Accounts that another member removed from a workspace. A row is kept for as long as an older invitation could readmit
# the account.
removals = Table(
    "removals",
    metadata,
    Column("workspace_id", ForeignKey(workspaces.c.id, ondelete="CASCADE"), nullable=False),
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("workspace_id", "account_id"),
    Index("ix_removals_at", "at"),
)
