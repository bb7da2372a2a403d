"""A profile has a time zone and a locale."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

COLUMNS = {"time_zone": "'UTC'", "locale": "'en'"}


def upgrade() -> None:
    for name, default in COLUMNS.items():
        op.add_column("accounts", sa.Column(name, sa.Text, server_default=sa.text(default), nullable=False))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("accounts", name)
