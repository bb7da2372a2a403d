"""Tasks with their numbers and comments."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Computed,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from adapters.postgres.tables.identity import accounts
from adapters.postgres.tables.schema import Instant, due_index, metadata, one_of
from adapters.postgres.tables.workspaces import workspaces
from domain.tasks import Priority, Status

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
    # When people are reminded of `due_at` the next time.
    Column("remind_at", Instant),
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
    Index("ix_tasks_created_by", "created_by"),
    Index("ix_tasks_words", "words", postgresql_using="gin"),
    Index("ix_tasks_words_rule", "id", postgresql_where=text("words_rule < 1")),
    one_of("status", Status),
    one_of("priority", Priority),
)
due_index(tasks, "remind_at")

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
    Index("ix_comments_author_id", "author_id", "id"),
    Index("ix_comments_words", "words", postgresql_using="gin"),
    Index("ix_comments_words_rule", "id", postgresql_where=text("words_rule < 1")),
)
