"""Exports of accounts, and what finds the tasks and comments that somebody wrote."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"

INDEXES = {
    "ix_tasks_created_by": ("tasks", ["created_by"]),
    "ix_comments_author_id": ("comments", ["author_id", "id"]),
}


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('making', 'ready', 'failed')", name=op.f("ck_exports_state")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_exports_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
    )
    op.create_index(
        "uq_exports_account_id", "exports", ["account_id"], unique=True, postgresql_where=sa.text("state = 'making'")
    )
    op.create_index("ix_exports_account_id", "exports", ["account_id", "id"])
    op.create_index("ix_exports_expires_at", "exports", ["expires_at"])
    op.create_table(
        "export_pieces",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["export_id"], ["exports.id"], name="fk_export_pieces_export_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("export_id", "number", name="pk_export_pieces"),
    )
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        for name, (table, columns) in INDEXES.items():
            # An attempt that failed leaves an invalid index behind.
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, columns, unique=False, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table_name=table)
    op.drop_table("export_pieces")
    op.drop_table("exports")
