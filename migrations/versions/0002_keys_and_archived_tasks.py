"""Keys of tasks such as OPS-12, and archived tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NEWEST: list[str | sa.ColumnElement[object]] = [
    "workspace_id",
    sa.literal_column("created_at DESC"),
    sa.literal_column("id DESC"),
]


def upgrade() -> None:
    # The domain makes prefixes from names. Existing workspaces start with its fallback.
    op.add_column("workspaces", sa.Column("task_prefix", sa.Text(), server_default="TASK", nullable=False))
    op.alter_column("workspaces", "task_prefix", server_default=None)
    op.add_column("tasks", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tasks", sa.Column("key", sa.Text(), nullable=True))
    op.execute("""
UPDATE tasks SET key = 'TASK-' || counted.number
FROM (
  SELECT id, row_number() OVER (PARTITION BY workspace_id ORDER BY created_at, id) AS number FROM tasks
) AS counted
WHERE counted.id = tasks.id
""")
    op.alter_column("tasks", "key", nullable=False)
    op.create_unique_constraint(op.f("uq_tasks_workspace_id_key"), "tasks", ["workspace_id", "key"])
    op.create_table(
        "task_numbers",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_task_numbers_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_task_numbers")),
    )
    op.execute(
        "INSERT INTO task_numbers (workspace_id, last) SELECT workspace_id, count(*) FROM tasks GROUP BY workspace_id"
    )
    op.drop_index("ix_tasks_newest", table_name="tasks")
    op.create_index(
        "ix_tasks_newest",
        "tasks",
        NEWEST,
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND archived_at IS NULL"),
    )
    op.create_index(
        "ix_tasks_archived",
        "tasks",
        NEWEST,
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND archived_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_tasks_archived", table_name="tasks")
    op.drop_index("ix_tasks_newest", table_name="tasks")
    op.create_index("ix_tasks_newest", "tasks", NEWEST, unique=False)
    op.drop_table("task_numbers")
    op.drop_constraint(op.f("uq_tasks_workspace_id_key"), "tasks", type_="unique")
    op.drop_column("tasks", "key")
    op.drop_column("tasks", "archived_at")
    op.drop_column("workspaces", "task_prefix")
