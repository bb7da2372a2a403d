"""Removed members, whom an older invitation does not admit again, and the watched tasks of an account."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("invitations", sa.Column("since", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_table(
        "removals",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_removals_workspace_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_removals_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace_id", "account_id", name="pk_removals"),
    )
    op.create_index("ix_removals_at", "removals", ["at"])
    _replace("ix_tasks_assignees", "ix_tasks_people", ["assignees", "watchers"])


def downgrade() -> None:
    _replace("ix_tasks_people", "ix_tasks_assignees", ["assignees"])
    op.drop_table("removals")
    op.drop_column("invitations", "since")


def _replace(old: str, new: str, columns: list[str]) -> None:
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        # An attempt that failed leaves an invalid index behind.
        op.drop_index(new, table_name="tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(new, "tasks", columns, postgresql_using="gin", postgresql_concurrently=True)
        op.drop_index(old, table_name="tasks", if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
