"""Tasks have a time at which people are reminded of them. Tasks of before get one when their due date changes."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True))
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        # An attempt that failed leaves an invalid index behind.
        op.drop_index("tasks_due", table_name="tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            "tasks_due",
            "tasks",
            ["remind_at"],
            postgresql_where=sa.text("remind_at IS NOT NULL"),
            postgresql_concurrently=True,
        )
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    op.drop_column("tasks", "remind_at")
