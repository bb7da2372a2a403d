"""The journal: its streams, their events, and how far each consumer is."""

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSON

from adapters.postgres.tables.schema import QUIET, Instant, metadata

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
