"""A room remembers who was muted when they went."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.add_column("rooms", sa.Column("muted", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    op.drop_column("rooms", "muted")
