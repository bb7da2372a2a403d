"""Notifications, the inboxes that they are in, and how far the telling of many accounts is."""

from sqlalchemy import ARRAY, Column, ForeignKey, Index, Integer, SmallInteger, Table, Text, Uuid, text

from adapters.postgres.tables.identity import accounts
from adapters.postgres.tables.schema import QUIET, Instant, due_index, metadata, one_of
from domain.notifications import Digest

notifications = Table(
    "notifications",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    Column("type", Text, nullable=False),
    Column("subject_type", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("title", Text, nullable=False),
    Column("place_id", Uuid),
    Column("actor_id", Uuid),
    Column("count", Integer, nullable=False),
    # JSON exactly as it is told.
    Column("details", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("unread_since", Instant, nullable=False),
    Column("read_at", Instant),
    Column("version", Integer, nullable=False),
    Index("ix_notifications_account_id", "account_id", "id"),
    # What was read together with others is here too, below `read_before` of the inbox.
    Index("ix_notifications_unread", "account_id", "unread_since", postgresql_where=text("read_at IS NULL")),
    Index("ix_notifications_created_at", "created_at"),
)

# A row for each account whose owner has chosen something, or read everything at once.
inboxes = Table(
    "inboxes",
    metadata,
    Column("id", ForeignKey(accounts.c.id, ondelete="CASCADE"), primary_key=True),
    # The channels of each type of notification for which some were chosen, as JSON.
    Column("choices", Text, nullable=False),
    # In minutes after midnight.
    Column("quiet_begin", SmallInteger),
    Column("quiet_end", SmallInteger),
    Column("digest", Text, nullable=False),
    Column("read_before", Instant),
    Column("version", Integer, nullable=False),
    one_of("digest", Digest),
)

# A row for each account to which a letter is to be sent later.
digests = Table(
    "digests",
    metadata,
    Column("id", ForeignKey(accounts.c.id, ondelete="CASCADE"), primary_key=True),
    # What the letter says, each as JSON.
    Column("lines", ARRAY(Text), nullable=False),
    Column("left_out", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("version", Integer, nullable=False),
    info=QUIET,
)
due_index(digests)

# A row for each event that is told to more accounts than one unit of work takes, until all are told.
rounds = Table(
    "rounds",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("notice", Text, nullable=False),
    Column("after", Uuid, nullable=False),
    Column("at", Instant, nullable=False),
    info=QUIET,
)
