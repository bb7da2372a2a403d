"""How large each event is, so that a page of them can end by its size. Those that are there already stay unmeasured."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("events", sa.Column("size", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("events", "size")
