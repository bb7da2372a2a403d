"""What every context uses: counts of quotas, and answers to requests that may be repeated."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, Uuid

from adapters.postgres.tables.identity import accounts
from adapters.postgres.tables.schema import Instant, metadata

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
