"""All sessions of an account are found by an index, those that are over too."""

from alembic import op

revision = "0028"
down_revision = "0027"

NAME = "ix_sessions_account_id"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        # An attempt that failed leaves an invalid index behind.
        op.drop_index(NAME, table_name="sessions", if_exists=True, postgresql_concurrently=True)
        op.create_index(NAME, "sessions", ["account_id"], unique=False, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(NAME, table_name="sessions", if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
