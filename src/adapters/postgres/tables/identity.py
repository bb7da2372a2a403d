"""Accounts, their addresses, sessions and second factors, the passes of guests, and the tickets of live connections."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
    true,
)

from adapters.postgres.tables.schema import QUIET, Instant, due_index, metadata, one_of
from domain.identity import AccountKind, AccountRole, AddressPurpose, EndReason

accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False, server_default=text("'person'")),
    Column("email", Text),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text),
    Column("role", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("time_zone", Text, nullable=False, server_default=text("'UTC'")),
    Column("locale", Text, nullable=False, server_default=text("'en'")),
    # When its owner wants it deleted.
    Column("due_at", Instant),
    Column("deleted_at", Instant),
    Column("email_verified_at", Instant),
    Column("version", Integer, nullable=False),
    UniqueConstraint("email"),
    one_of("kind", AccountKind),
    one_of("role", AccountRole),
    CheckConstraint(
        "CASE WHEN kind = 'guest' OR deleted_at IS NOT NULL"
        " THEN email IS NULL AND password_hash IS NULL AND role = 'user'"
        " ELSE email IS NOT NULL AND password_hash IS NOT NULL END",
        name="guest",
    ),
)
due_index(accounts)

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
    one_of("ended_because", EndReason),
    Index("ix_sessions_account_id", "account_id"),
    Index("ix_sessions_live", "account_id", postgresql_where=text("ended_at IS NULL")),
    Index("ix_sessions_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    # A process from before revision 0008 does not write `told_at`.
    Index("ix_sessions_told_at", text("coalesce(told_at, ended_at)"), postgresql_where=text("ended_at IS NOT NULL")),
    Index("ix_sessions_created_at", "created_at"),
)

guest_passes = Table(
    "guest_passes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    Column("token_digest", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("told_at", Instant),
    Column("version", Integer, nullable=False),
    UniqueConstraint("token_digest"),
    Index("ix_guest_passes_account_id", "account_id"),
    Index("ix_guest_passes_told_at", "told_at", postgresql_where=text("told_at IS NOT NULL")),
    Index("ix_guest_passes_expires_at", "expires_at"),
)

second_factors = Table(
    "second_factors",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), primary_key=True),
    Column("totp_secret", LargeBinary),
    Column("totp_at", Instant),
    Column("totp_step", BigInteger, nullable=False),
    Column("recovery_codes", ARRAY(LargeBinary), nullable=False),
    Column("spent", ARRAY(Text), nullable=False),
    Column("version", Integer, nullable=False),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", ForeignKey(second_factors.c.account_id, ondelete="CASCADE"), nullable=False),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant),
    UniqueConstraint("credential_id"),
    Index("ix_passkeys_account_id", "account_id"),
)

# An account has one link of each purpose. It is no secret: who reads it does not learn the text of the link.
mailed_links = Table(
    "mailed_links",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("password_digest", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    PrimaryKeyConstraint("account_id", "purpose"),
    UniqueConstraint("digest"),
    one_of("purpose", AddressPurpose),
    Index("ix_mailed_links_expires_at", "expires_at"),
    info=QUIET,
)

# A row lives until a worker sees it. No foreign keys: the account may not be there yet.
address_requests = Table(
    "address_requests",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("account_id", Uuid),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    one_of("purpose", AddressPurpose),
    info=QUIET,
)
due_index(address_requests)

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
    # These four are only for processes that do not read the next one.
    Column("scopes", ARRAY(Text)),
    Column("role", Text, nullable=False),
    Column("token_expires_at", Instant, nullable=False),
    # All of the principal, as JSON.
    Column("principal", LargeBinary),
    Column("opening", LargeBinary, nullable=False),
    Column("expires_at", Instant, nullable=False),
    UniqueConstraint("digest"),
    Index("ix_tickets_account_id", "account_id", "number"),
    one_of("role", AccountRole),
)
