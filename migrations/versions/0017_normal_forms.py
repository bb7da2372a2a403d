"""Rewrites labels and e-mail addresses that are not in their normal form; see `src/domain/text.py`.

They are few, so they are changed at once. An account keeps its spelling if another account has the normal form of its
address. It can then no longer log in, and the log names it. SQL has no punycode, so addresses are not changed when this
is written as SQL without a connection.
"""

import logging

import sqlalchemy as sa
from alembic import context, op

from domain.errors import Invalid
from domain.identity import normal_email

revision = "0017"
down_revision = "0016"

LABELS = """
UPDATE tasks SET labels = (
    SELECT array_agg(label ORDER BY place)
    FROM (
        SELECT normalize(label, NFC) AS label, min(place) AS place
        FROM unnest(labels) WITH ORDINALITY AS given (label, place)
        GROUP BY normalize(label, NFC)
    ) AS normal
)
WHERE array_to_string(labels, ' ') IS NOT NFC NORMALIZED
"""
OTHERS = sa.text(r"SELECT id, email FROM accounts WHERE email ~ '[^\x01-\x7f]|xn--' ORDER BY created_at, id")
SPELL = sa.text("""
UPDATE accounts SET email = :email
WHERE id = :id AND NOT EXISTS (SELECT FROM accounts AS taken WHERE taken.email = :email)
""")

log = logging.getLogger("alembic.runtime.migration")


def upgrade() -> None:
    op.execute(LABELS)
    if context.is_offline_mode():
        return
    connection = op.get_bind()
    for id, email in connection.execute(OTHERS).all():
        try:
            normal = normal_email(email)
        except Invalid:
            normal = None
        is_spelled = normal == email or (
            normal is not None and connection.execute(SPELL, {"id": id, "email": normal}).rowcount
        )
        if not is_spelled:
            log.warning("account %s has an address that is no longer one, or another account's", id)


def downgrade() -> None:
    """Nothing to undo: both forms mean the same."""
