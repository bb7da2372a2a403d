"""Closed rooms are found by their codes too."""

from alembic import op
from sqlalchemy import text

revision = "0023"
down_revision = "0022"

INDEX = "ix_rooms_join_code"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        # An attempt that failed leaves an invalid index behind.
        op.drop_index(INDEX, table_name="rooms", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            INDEX,
            "rooms",
            ["join_code"],
            unique=False,
            postgresql_where=text("closed_at IS NOT NULL"),
            postgresql_concurrently=True,
        )
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(INDEX, table_name="rooms", if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
