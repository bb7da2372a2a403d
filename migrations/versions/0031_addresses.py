"""When an address was verified, the links that were mailed, and what was asked for under addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

PURPOSES = "purpose IN ('register', 'verify', 'change', 'reset')"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "mailed_links",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("password_digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(PURPOSES, name=op.f("ck_mailed_links_purpose")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_mailed_links_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "purpose", name="pk_mailed_links"),
        sa.UniqueConstraint("digest", name="uq_mailed_links_digest"),
    )
    op.create_index("ix_mailed_links_expires_at", "mailed_links", ["expires_at"])
    op.create_table(
        "address_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.CheckConstraint(PURPOSES, name=op.f("ck_address_requests_purpose")),
        sa.PrimaryKeyConstraint("id", name="pk_address_requests"),
    )
    op.create_index(
        "address_requests_due", "address_requests", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_table("address_requests")
    op.drop_table("mailed_links")
    op.drop_column("accounts", "email_verified_at")
