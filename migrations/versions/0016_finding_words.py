"""Indexes of comments by their words, and of tasks and comments whose words have to be found again."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

IS_OLD = sa.text("words_rule < 1")
INDEXES = (
    ("ix_comments_words", "comments", "words", {"postgresql_using": "gin"}),
    ("ix_comments_words_rule", "comments", "id", {"postgresql_where": IS_OLD}),
    ("ix_tasks_words_rule", "tasks", "id", {"postgresql_where": IS_OLD}),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        for name, table, key, options in INDEXES:
            # An attempt that failed leaves an invalid index behind.
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, [key], unique=False, postgresql_concurrently=True, **options)
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name, table, _, _ in INDEXES:
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
