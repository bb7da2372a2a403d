"""One more reason for the end of a session: the account had too many."""

from alembic import op

revision = "0007"
down_revision = "0006"

REASONS = ("logged_out", "logged_out_everywhere", "ended_by_owner", "password_changed", "token_reused", "disabled")


def upgrade() -> None:
    _allow(*REASONS, "displaced")


def downgrade() -> None:
    op.execute("UPDATE sessions SET ended_because = 'logged_out' WHERE ended_because = 'displaced'")
    _allow(*REASONS)


def _allow(*reasons: str) -> None:
    listed = ", ".join(f"'{reason}'" for reason in reasons)
    op.execute("ALTER TABLE sessions DROP CONSTRAINT IF EXISTS ck_sessions_ended_because")
    op.execute(
        f"ALTER TABLE sessions ADD CONSTRAINT ck_sessions_ended_because CHECK (ended_because IN ({listed})) NOT VALID"
    )
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE sessions VALIDATE CONSTRAINT ck_sessions_ended_because")
