"""The positions of consumers in the journal."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("stream", sa.Text(collation="C"), nullable=False),
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("oldest_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("stream", "consumer", name=op.f("pk_cursors")),
    )
    op.create_index("ix_cursors_due_at", "cursors", ["due_at"], unique=False)


def downgrade() -> None:
    op.drop_table("cursors")
