"""The used refresh tokens of a session, and the time at which the end of a session was written."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

INDEX = "ix_sessions_told_at"


def upgrade() -> None:
    # All defaults are constants, so no row is rewritten. A session without a key gets one with its next refresh.
    op.add_column("sessions", sa.Column("signing_key", sa.LargeBinary(), server_default=sa.text("''"), nullable=False))
    op.add_column("sessions", sa.Column("used", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "sessions", sa.Column("spent", sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column("sessions", sa.Column("told_at", sa.DateTime(timezone=True)))
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(INDEX, table_name="sessions", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            INDEX,
            "sessions",
            [sa.text("coalesce(told_at, ended_at)")],
            postgresql_where=sa.text("ended_at IS NOT NULL"),
            postgresql_concurrently=True,
        )
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(INDEX, table_name="sessions", if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
    for column in ("told_at", "spent", "used", "signing_key"):
        op.drop_column("sessions", column)
