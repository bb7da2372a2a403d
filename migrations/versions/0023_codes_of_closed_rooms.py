"""Closed rooms are found by their codes too, and the open rooms of a workspace in the order of their lists."""

from alembic import op
from sqlalchemy import text

revision = "0023"
down_revision = "0022"

CODES, NEWEST, BEFORE = "ix_rooms_join_code", "ix_rooms_newest", "ix_rooms_workspace_id"
OPEN = text("closed_at IS NULL AND workspace_id IS NOT NULL")


def upgrade() -> None:
    _replace({CODES: ["join_code"], NEWEST: ["workspace_id", "id"]}, (BEFORE,))


def downgrade() -> None:
    _replace({BEFORE: ["workspace_id"]}, (CODES, NEWEST))


def _replace(new: dict[str, list[str]], old: tuple[str, ...]) -> None:
    with op.get_context().autocommit_block():
        # A concurrent index waits for running transactions, but blocks no other statement.
        op.execute("SET lock_timeout = 0")
        for name, columns in new.items():
            # An attempt that failed leaves an invalid index behind.
            op.drop_index(name, table_name="rooms", if_exists=True, postgresql_concurrently=True)
            condition = OPEN if "workspace_id" in columns else None
            op.create_index(
                name, "rooms", columns, unique=False, postgresql_where=condition, postgresql_concurrently=True
            )
        for name in old:
            op.drop_index(name, table_name="rooms", if_exists=True, postgresql_concurrently=True)
        op.execute("SET lock_timeout = '3s'")
