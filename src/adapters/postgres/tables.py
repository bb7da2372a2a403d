"""The schema on one page; Alembic compares the migrations with it, and every statement is written against it."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSON, TSVECTOR

from domain.access import Role
from domain.identity import AccountRole, EndReason
from domain.tasks import Priority, Status
from domain.workspaces import WorkspaceKind

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A quiet table changes without events: it keeps positions of readers, or numbers of attempts.
QUIET = {"is_quiet": True}

Instant = DateTime(timezone=True)


def _one_of(column: str, values: type) -> CheckConstraint:
    """A check that a text column has one of these values. Each new connection would have to look up a native enum."""
    listed = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined]
    return CheckConstraint(f"{column} IN ({listed})", name=column)


accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("version", Integer, nullable=False),
    UniqueConstraint("email"),
    _one_of("role", AccountRole),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    Column("token_digest", LargeBinary, nullable=False),
    Column("signing_key", LargeBinary, nullable=False, server_default=text("''")),
    Column("rotations", Integer, nullable=False),
    Column("used", Integer, nullable=False, server_default=text("0")),
    Column("spent", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    Column("address", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("rotated_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ended_because", Text),
    Column("told_at", Instant),
    Column("version", Integer, nullable=False),
    _one_of("ended_because", EndReason),
    Index("ix_sessions_live", "account_id", postgresql_where=text("ended_at IS NULL")),
    Index("ix_sessions_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    # A process from before revision 0008 does not write `told_at`.
    Index("ix_sessions_told_at", text("coalesce(told_at, ended_at)"), postgresql_where=text("ended_at IS NOT NULL")),
    Index("ix_sessions_created_at", "created_at"),
)

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
    _one_of("kind", WorkspaceKind),
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
    _one_of("role", Role),
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
    UniqueConstraint("digest"),
    Index("ix_invitations_workspace_id", "workspace_id"),
    _one_of("role", Role),
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

_PRIORITY_RANK = "CASE priority " + " ".join(f"WHEN '{p}' THEN {i}" for i, p in enumerate(Priority)) + " END"

tasks = Table(
    "tasks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", ForeignKey(workspaces.c.id), nullable=False),
    Column("key", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("labels", ARRAY(Text), nullable=False),
    # Accounts are stored as arrays, so that a task is one row that is read and written whole. The arrays are short.
    Column("assignees", ARRAY(Uuid), nullable=False),
    Column("watchers", ARRAY(Uuid), nullable=False),
    Column("due_at", Instant),
    Column("start_at", Instant),
    Column("estimate_minutes", Integer),
    # JSON exactly as the domain writes it. JSONB would change the form of its numbers and the order of its names.
    Column("custom", Text, nullable=False),
    Column("comment_count", Integer, nullable=False),
    Column("created_by", ForeignKey(accounts.c.id), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("completed_at", Instant),
    Column("archived_at", Instant),
    Column("deleted_at", Instant),
    Column("version", Integer, nullable=False),
    # The words of title and description, split by the domain so that every adapter finds the same tasks. `words_rule`
    # is the version of the rule that split them.
    Column("words", TSVECTOR, nullable=False),
    Column("words_rule", SmallInteger, nullable=False, server_default=text("0")),
    Column("priority_rank", SmallInteger, Computed(_PRIORITY_RANK, persisted=True), nullable=False),
    UniqueConstraint("workspace_id", "key"),
    # A task that is not deleted is in one of these two indexes, so a list reads no row that it does not show.
    Index(
        "ix_tasks_newest",
        "workspace_id",
        text("created_at DESC"),
        text("id DESC"),
        postgresql_where=text("deleted_at IS NULL AND archived_at IS NULL"),
    ),
    Index(
        "ix_tasks_archived",
        "workspace_id",
        text("created_at DESC"),
        text("id DESC"),
        postgresql_where=text("deleted_at IS NULL AND archived_at IS NOT NULL"),
    ),
    # The same holds for the lists sorted by due date and by priority. There is no such index for the last change,
    # because every change of a task would have to write to it.
    Index(
        "ix_tasks_due",
        "workspace_id",
        text("coalesce(due_at, 'infinity'::timestamptz)"),
        "id",
        postgresql_where=text("deleted_at IS NULL AND archived_at IS NULL"),
    ),
    Index(
        "ix_tasks_priority",
        "workspace_id",
        "priority_rank",
        "id",
        postgresql_where=text("deleted_at IS NULL AND archived_at IS NULL"),
    ),
    # One index for both columns, because writing to it costs little more than to an index of the assignees alone.
    Index("ix_tasks_people", "assignees", "watchers", postgresql_using="gin"),
    Index("ix_tasks_words", "words", postgresql_using="gin"),
    Index("ix_tasks_words_rule", "id", postgresql_where=text("words_rule < 1")),
    _one_of("status", Status),
    _one_of("priority", Priority),
)

# The usage of each quota, changed by the same statement that changes the counted rows.
usage = Table(
    "usage",
    metadata,
    Column("scope", Uuid, nullable=False),
    Column("subject", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("used", BigInteger, nullable=False),
    PrimaryKeyConstraint("scope", "subject", "kind"),
)

task_numbers = Table(
    "task_numbers",
    metadata,
    Column("workspace_id", ForeignKey(workspaces.c.id, ondelete="CASCADE"), primary_key=True),
    Column("last", BigInteger, nullable=False),
)

comments = Table(
    "comments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("task_id", ForeignKey(tasks.c.id, ondelete="CASCADE"), nullable=False),
    Column("author_id", ForeignKey(accounts.c.id), nullable=False),
    Column("text", Text, nullable=False),
    Column("mentions", ARRAY(Uuid), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("words", TSVECTOR, nullable=False, server_default=text("''")),
    Column("words_rule", SmallInteger, nullable=False, server_default=text("0")),
    Index("ix_comments_task_id", "task_id", "id"),
    Index("ix_comments_words", "words", postgresql_using="gin"),
    Index("ix_comments_words_rule", "id", postgresql_where=text("words_rule < 1")),
)

streams = Table(
    "streams",
    metadata,
    Column("name", Text(collation="C"), primary_key=True),
    Column("head", BigInteger, nullable=False),
    # The newest offset that was pruned.
    Column("tail", BigInteger, nullable=False, server_default=text("0")),
    # A lower bound of the times of the kept events, updated by pruning. Writers do not update it, so that a new head
    # needs no new entry in the index.
    Column("oldest_at", Instant, nullable=False, server_default=text("'-infinity'")),
    # The stream of the place that it belongs to; null for none. It is written once, with the first event.
    Column("within", Text(collation="C")),
    Index("ix_streams_oldest_at", "oldest_at"),
    Index("ix_streams_within", "within", postgresql_where=text("within IS NOT NULL")),
)

events = Table(
    "events",
    metadata,
    Column("stream", Text(collation="C"), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("resource_id", Uuid, nullable=False),
    Column("actor", Uuid),
    Column("at", Instant, nullable=False),
    # The event exactly as it is sent to every reader. Its type is not JSONB, which would change its form.
    Column("body", JSON, nullable=False),
    # The bytes of `body`; null in events from before this was recorded.
    Column("size", Integer),
    PrimaryKeyConstraint("stream", "offset"),
    Index("ix_events_resource", "stream", "resource_id", "offset"),
)

# A row for each consumer with events left to handle in a stream; it is deleted when none are left.
cursors = Table(
    "cursors",
    metadata,
    Column("stream", Text(collation="C"), nullable=False),
    Column("consumer", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("oldest_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("version", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("stream", "consumer"),
    Index("ix_cursors_due_at", "due_at"),
    info=QUIET,
)

lineage = Table(
    "lineage",
    metadata,
    Column("epoch", Text, primary_key=True),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("account_id", "key"),
    Index("ix_idempotency_created_at", "created_at"),
)

# No foreign keys: a row lives for seconds, and its account was authenticated just before.
tickets = Table(
    "tickets",
    metadata,
    # The order of issue, which times cannot tell reliably.
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("account_id", Uuid, nullable=False),
    # The id of the credential, which was always a session when this column was named.
    Column("session_id", Uuid, nullable=False),
    Column("is_session", Boolean, nullable=False, server_default=true()),
    # Only set for a credential that is not a session.
    Column("scopes", ARRAY(Text)),
    Column("role", Text, nullable=False),
    Column("token_expires_at", Instant, nullable=False),
    Column("opening", LargeBinary, nullable=False),
    Column("expires_at", Instant, nullable=False),
    UniqueConstraint("digest"),
    Index("ix_tickets_account_id", "account_id", "number"),
    _one_of("role", AccountRole),
)
