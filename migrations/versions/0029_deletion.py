"""Accounts are deleted some time after their owners asked for it, and what tells who they were is found."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

REASONS = ["logged_out", "logged_out_everywhere", "ended_by_owner", "password_changed", "token_reused", "disabled"]
REASONS += ["displaced"]
BEFORE = (
    "CASE kind WHEN 'guest' THEN email IS NULL AND password_hash IS NULL AND role = 'user'"
    " ELSE email IS NOT NULL AND password_hash IS NOT NULL END"
)
AFTER = (
    "CASE WHEN kind = 'guest' OR deleted_at IS NOT NULL"
    " THEN email IS NULL AND password_hash IS NULL AND role = 'user'"
    " ELSE email IS NOT NULL AND password_hash IS NOT NULL END"
)
INDEXES = {
    "accounts_due": ("accounts", ["due_at"], "due_at IS NOT NULL"),
    "ix_messages_account_id": ("messages", ["account_id"], None),
    "ix_events_naming": ("events", ["actor"], "type IN ('message.said', 'participant.joined', 'room.created')"),
}


def upgrade() -> None:
    for name in ("due_at", "deleted_at"):
        op.add_column("accounts", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    _replace({"accounts": ("guest", AFTER), "sessions": ("ended_because", _one_of([*REASONS, "deletion_requested"]))})
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        for name, (table, columns, condition) in INDEXES.items():
            # An attempt that failed leaves an invalid index behind.
            op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
            where = sa.text(condition) if condition else None
            op.create_index(name, table, columns, postgresql_where=where, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")


def downgrade() -> None:
    # The rows stay, because what others read names them.
    op.execute(
        "UPDATE accounts SET email = id || '@deleted.invalid', password_hash = '', disabled_at = deleted_at"
        " WHERE deleted_at IS NOT NULL"
    )
    op.execute("UPDATE sessions SET ended_because = 'ended_by_owner' WHERE ended_because = 'deletion_requested'")
    for name, (table, _, _) in INDEXES.items():
        op.drop_index(name, table_name=table)
    _replace({"accounts": ("guest", BEFORE), "sessions": ("ended_because", _one_of(REASONS))})
    for name in ("due_at", "deleted_at"):
        op.drop_column("accounts", name)


def _one_of(reasons: list[str]) -> str:
    return f"ended_because IN ({', '.join(map(repr, reasons))})"


def _replace(rules: dict[str, tuple[str, str]]) -> None:
    for table, (name, rule) in rules.items():
        op.drop_constraint(f"ck_{table}_{name}", table)
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({rule}) NOT VALID")
    with op.get_context().autocommit_block():
        for table, (name, _) in rules.items():
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")
