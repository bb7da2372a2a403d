"""Indexes of tasks by due day and by priority, so that a sorted list reads only the rows that it shows."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

INDEXES: tuple[tuple[str, sa.ColumnElement[object]], ...] = (
    ("ix_tasks_due", sa.literal_column("coalesce(due_at, 'infinity'::timestamptz)")),
    ("ix_tasks_priority", sa.literal_column("priority_rank")),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        for name, key in INDEXES:
            # An attempt that failed leaves an invalid index behind.
            op.drop_index(name, table_name="tasks", if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name,
                "tasks",
                ["workspace_id", key, "id"],
                unique=False,
                postgresql_where=sa.text("deleted_at IS NULL AND archived_at IS NULL"),
                postgresql_concurrently=True,
            )
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name, _ in INDEXES:
            op.drop_index(name, table_name="tasks", if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
