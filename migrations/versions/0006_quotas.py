"""Counts of the resources that have a quota."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# within() raises it when a unit of work would exceed the limit of a kind. A kind without a limit is never exceeded.
WITHIN = """
CREATE FUNCTION within(kind text, used bigint, most bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF used > most THEN
    RAISE EXCEPTION SQLSTATE 'SB002' USING MESSAGE = kind, DETAIL = most::text;
  END IF;
  RETURN true;
END $$
"""
COUNT = """
INSERT INTO usage (scope, subject, kind, used)
SELECT workspace_id, workspace_id, 'tasks', count(*) FROM tasks WHERE deleted_at IS NULL GROUP BY workspace_id
UNION ALL
SELECT workspace_id, workspace_id, 'comments', sum(comment_count) FROM tasks
WHERE deleted_at IS NULL GROUP BY workspace_id HAVING sum(comment_count) > 0
UNION ALL
SELECT workspace_id, assignee, 'open_tasks', count(*) FROM tasks, unnest(assignees) AS assignee
WHERE deleted_at IS NULL AND status NOT IN ('done', 'cancelled') GROUP BY workspace_id, assignee
UNION ALL
SELECT workspace_id, workspace_id, 'members', count(*) FROM members GROUP BY workspace_id
UNION ALL
SELECT account_id, account_id, 'workspaces', count(*) FROM members GROUP BY account_id
"""


def upgrade() -> None:
    op.execute(WITHIN)
    op.create_table(
        "usage",
        sa.Column("scope", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "subject", "kind", name=op.f("pk_usage")),
    )
    op.execute(COUNT)


def downgrade() -> None:
    op.drop_table("usage")
    op.execute("DROP FUNCTION within")
