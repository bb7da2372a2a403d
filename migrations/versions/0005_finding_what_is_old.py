"""Indexes that find streams with old events, and sessions that are over."""

from alembic import op

revision = "0005"
down_revision = "0004"

INDEXES = (("ix_streams_oldest_at", "streams", "oldest_at"), ("ix_sessions_created_at", "sessions", "created_at"))


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        for name, table, column in INDEXES:
            # An attempt that failed leaves an invalid index behind.
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, [column], unique=False, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name, table, _ in INDEXES:
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
