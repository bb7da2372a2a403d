"""The principals that tickets were issued to, whole, so that a new field of them needs no column."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("tickets", sa.Column("principal", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("tickets", "principal")
