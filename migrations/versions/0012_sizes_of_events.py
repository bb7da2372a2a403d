"""The size of each event, so that a page can end by its size. Existing events have no size."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("events", sa.Column("size", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("events", "size")
