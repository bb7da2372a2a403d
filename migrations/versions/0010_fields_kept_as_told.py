"""Custom fields kept as the text that was sent, because JSONB changes the form of numbers and the order of names."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.alter_column(
        "tasks",
        "custom",
        type_=sa.Text(),
        existing_type=postgresql.JSONB(),
        existing_nullable=False,
        postgresql_using="custom::text",
    )


def downgrade() -> None:
    op.alter_column(
        "tasks",
        "custom",
        type_=postgresql.JSONB(),
        existing_type=sa.Text(),
        existing_nullable=False,
        postgresql_using="custom::jsonb",
    )
