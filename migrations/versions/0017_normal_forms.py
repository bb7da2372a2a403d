"""Labels and e-mail addresses in their normal form, where they are in another; see `src/domain/text.py`.

Those are few, so they are changed at once. An account whose address another one has in its normal form keeps its spelling, by
which nobody can log in any more: it is named in the log. SQL knows no punycode, so addresses stay as they are if this is
written as SQL without a connection.
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
    """Both forms say the same."""
