"""What is forgotten of rooms."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, literal_column, select, true

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, picked
from adapters.postgres.tables import messages, rooms
from application.ports.rooms import MESSAGES_KEPT, RoomUpkeep

# With each room up to 500 messages, 200 items and a few participants go.
ROOMS_AT_ONCE = 20

_OLD = (
    select(rooms.c.id)
    .where(rooms.c.closed_at < bindparam("before"))
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_FORGET = Statement(delete(rooms).where(rooms.c.id.in_(picked(_OLD))).returning(literal_column("1")))
# It walks the index of open rooms, and of each the index of its messages. So it costs little for rooms that say little.
_SURPLUS = (
    select(messages.c.id)
    .where(messages.c.room_id == rooms.c.id)
    .order_by(messages.c.said_at.desc(), messages.c.id.desc())
    .offset(literal_column(str(MESSAGES_KEPT)))
    .correlate(rooms)
    .lateral("surplus")
)
_TOO_MANY = select(_SURPLUS.c.id).select_from(rooms).join(_SURPLUS, true()).where(rooms.c.closed_at.is_(None))
_FORGET_MESSAGES = Statement(
    delete(messages)
    .where(
        messages.c.id.in_(
            picked(
                select(messages.c.id)
                .where(messages.c.id.in_(_TOO_MANY.limit(bindparam("most"))))
                .with_for_update(skip_locked=True)
            )
        )
    )
    .returning(literal_column("1"))
)


class PostgresRoomUpkeep(RoomUpkeep):
    """Deletes in statements of bounded size, which skip the rows that other transactions have locked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        dropped = 0
        while dropped < most:
            at_once = min(ROOMS_AT_ONCE, most - dropped)
            rows = await self._database.fetch(_FORGET, before=now - kept, most=at_once)
            dropped += len(rows)
            if len(rows) < at_once:
                break
        return dropped

    async def forget_messages(self, most: int) -> int:
        return len(await self._database.fetch(_FORGET_MESSAGES, most=most))
