"""What is forgotten of rooms."""

from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, delete, func, literal_column, select

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, picked
from adapters.postgres.tables import messages, rooms
from application.ports.rooms import MESSAGES_KEPT, RoomUpkeep

# With each room up to 500 messages, 200 items and a few participants go.
ROOMS_AT_ONCE = 20
_KEPT = str(MESSAGES_KEPT)

_OLD = (
    select(rooms.c.id)
    .where(rooms.c.closed_at < bindparam("before"))
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_FORGET = Statement(delete(rooms).where(rooms.c.id.in_(picked(_OLD))).returning(literal_column("1")))
# It walks the index of the messages with a hundredth number beyond the 500th, which only rooms have that say much.
_older = messages.alias("older")
_MANY = (
    select(messages.c.room_id, func.max(messages.c.number).label("newest"))
    .where(messages.c.number > literal_column(_KEPT), messages.c.number % literal_column("100") == literal_column("0"))
    .group_by(messages.c.room_id)
    .subquery("many")
)
_SURPLUS = (
    select(_older.c.id)
    .join(_MANY, and_(_older.c.room_id == _MANY.c.room_id, _older.c.number <= _MANY.c.newest - literal_column(_KEPT)))
    .limit(bindparam("most"))
)
_FORGET_MESSAGES = Statement(
    delete(messages)
    .where(
        messages.c.id.in_(
            picked(select(messages.c.id).where(messages.c.id.in_(_SURPLUS)).with_for_update(skip_locked=True))
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
