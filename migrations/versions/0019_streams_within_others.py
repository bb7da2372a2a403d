"""The stream of the place that a stream is within."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("streams", sa.Column("within", sa.Text(collation="C"), nullable=True))
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        # An attempt that failed leaves an invalid index behind.
        op.drop_index("ix_streams_within", table_name="streams", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            "ix_streams_within",
            "streams",
            ["within"],
            unique=False,
            postgresql_where=sa.text("within IS NOT NULL"),
            postgresql_concurrently=True,
        )
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index("ix_streams_within", table_name="streams", if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
    op.drop_column("streams", "within")
