"""The position where the journal of a stream begins, after older events were dropped."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Both defaults are constants, so no row is rewritten.
    op.add_column("streams", sa.Column("tail", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "streams",
        sa.Column("oldest_at", sa.DateTime(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("streams", "oldest_at")
    op.drop_column("streams", "tail")
