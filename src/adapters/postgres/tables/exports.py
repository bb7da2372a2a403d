"""Exports of accounts, and the files that are made of them."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from adapters.postgres.tables.identity import accounts
from adapters.postgres.tables.schema import QUIET, Instant, metadata, one_of
from domain.exports import ExportState

exports = Table(
    "exports",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ready_at", Instant),
    Column("version", Integer, nullable=False),
    Index("uq_exports_account_id", "account_id", unique=True, postgresql_where=text("state = 'making'")),
    Index("ix_exports_account_id", "account_id", "id"),
    Index("ix_exports_expires_at", "expires_at"),
    one_of("state", ExportState),
)

export_pieces = Table(
    "export_pieces",
    metadata,
    Column("export_id", ForeignKey(exports.c.id, ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("end", BigInteger, nullable=False),
    # What comes after it.
    Column("row", Integer, nullable=False),
    Column("cursor", Text),
    Column("name", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("export_id", "number"),
    info=QUIET,
)
