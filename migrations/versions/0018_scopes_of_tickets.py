"""The scopes of the credentials that tickets were issued to."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("tickets", sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=True))


def downgrade() -> None:
    op.drop_column("tickets", "scopes")
