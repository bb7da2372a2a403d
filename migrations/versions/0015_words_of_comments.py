"""Words of comments, and the version of the rule that found them. Workers find the words of existing rows again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    for table in ("tasks", "comments"):
        rule = sa.Column("words_rule", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
        op.add_column(table, rule)
    words = sa.Column("words", postgresql.TSVECTOR(), server_default=sa.text("''"), nullable=False)
    op.add_column("comments", words)


def downgrade() -> None:
    op.drop_column("comments", "words")
    op.drop_column("comments", "words_rule")
    op.drop_column("tasks", "words_rule")
