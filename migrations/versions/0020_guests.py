"""Accounts of guests, and the passes with which they act."""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

RULES: Mapping[str, str] = {
    "ck_accounts_kind": "kind IN ('person', 'guest')",
    "ck_accounts_guest": (
        "CASE kind WHEN 'guest' THEN email IS NULL AND password_hash IS NULL AND role = 'user'"
        " ELSE email IS NOT NULL AND password_hash IS NOT NULL END"
    ),
}


def upgrade() -> None:
    op.add_column("accounts", sa.Column("kind", sa.Text(), server_default=sa.text("'person'"), nullable=False))
    op.create_table(
        "guest_passes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_guest_passes_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_guest_passes"),
        sa.UniqueConstraint("token_digest", name="uq_guest_passes_token_digest"),
    )
    op.create_index("ix_guest_passes_account_id", "guest_passes", ["account_id"])
    op.create_index(
        "ix_guest_passes_told_at", "guest_passes", ["told_at"], postgresql_where=sa.text("told_at IS NOT NULL")
    )
    op.create_index("ix_guest_passes_expires_at", "guest_passes", ["expires_at"])
    for name, rule in RULES.items():
        op.execute(f"ALTER TABLE accounts ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID")
    op.alter_column("accounts", "email", nullable=True)
    op.alter_column("accounts", "password_hash", nullable=True)
    with op.get_context().autocommit_block():
        for name in RULES:
            op.execute(f"ALTER TABLE accounts VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    op.drop_table("guest_passes")
    op.execute("DELETE FROM accounts WHERE kind = 'guest'")
    op.alter_column("accounts", "password_hash", nullable=False)
    op.alter_column("accounts", "email", nullable=False)
    for name in RULES:
        op.drop_constraint(name, "accounts")
    op.drop_column("accounts", "kind")
