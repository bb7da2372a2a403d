"""Invitations that are for the account with one address."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.add_column("invitations", sa.Column("email", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("invitations", "email")
