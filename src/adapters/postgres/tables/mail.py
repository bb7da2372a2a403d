"""Mail that waits to be sent, and for a while what became of it."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text, Uuid, text

from adapters.postgres.tables.schema import QUIET, Instant, due_index, metadata

mails = Table(
    "mails",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("letter", Text, nullable=False),
    # The address and the content, encrypted; null once the mail is sent or given up.
    Column("hidden", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant),
    Column("sent_at", Instant),
    Column("given_up_at", Instant),
    Column("last_error", Text),
    Column("version", Integer, nullable=False),
    Index("ix_mails_over", "created_at", postgresql_where=text("due_at IS NULL")),
    info=QUIET,
)
due_index(mails)
waiting_mails = Index("ix_mails_waiting", mails.c.created_at, postgresql_where=mails.c.due_at.is_not(None))
