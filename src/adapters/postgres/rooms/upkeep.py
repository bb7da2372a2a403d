"""What is forgotten of rooms."""

from datetime import datetime, timedelta

from sqlalchemy import JSON, Text, and_, bindparam, cast, func, literal_column, select, tuple_, update

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, dropping, picked
from adapters.postgres.tables import events, messages, participants, rooms
from application.journal import called
from application.ports.rooms import MESSAGES_KEPT, RoomUpkeep
from domain.ids import AccountId, WorkspaceId
from domain.rooms import NAMING

# With each room up to 500 messages, 200 items and a few participants go.
ROOMS_AT_ONCE = 20
_KEPT = str(MESSAGES_KEPT)

_FORGET = dropping(rooms, rooms.c.closed_at < bindparam("before"), skips_locked=True)
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
_FORGET_MESSAGES = dropping(messages, messages.c.id.in_(_SURPLUS), skips_locked=True)
_ERASE_ROOMS = dropping(rooms, rooms.c.workspace_id == bindparam("workspace"), rooms.c.closed_at.is_not(None))
_SAID = (
    select(messages.c.id)
    .where(messages.c.account_id == bindparam("account"), messages.c.display_name != bindparam("name"))
    .limit(bindparam("most"))
)
_RENAME_MESSAGES = Statement(
    update(messages)
    .where(messages.c.id.in_(picked(_SAID)))
    .values(display_name=bindparam("name"))
    .returning(literal_column("1"))
)
_PLACE = (participants.c.room_id, participants.c.account_id)
_SAT = (
    select(*_PLACE)
    .where(participants.c.account_id == bindparam("account"), participants.c.display_name != bindparam("name"))
    .limit(bindparam("most"))
)
_RENAME_PARTICIPANTS = Statement(
    update(participants)
    .where(tuple_(*_PLACE).in_(picked(_SAT)))
    .values(display_name=bindparam("name"))
    .returning(literal_column("1"))
)
_CALLED = literal_column("events.body -> 'data' ->> 'display_name'", Text)
_NAMED = Statement(
    select(events.c.stream, events.c.offset, events.c.body)
    .where(
        events.c.actor == bindparam("account"),
        events.c.type.in_([literal_column(f"'{type}'") for type in NAMING]),  # as the index over them says it
        bindparam("name", type_=Text) != _CALLED,
    )
    .limit(bindparam("most"))
)
_BODY = bindparam("new_body", type_=Text)
_REWRITE = Statement(
    update(events)
    .where(events.c.stream == bindparam("of_stream"), events.c.offset == bindparam("at_offset"))
    .values(body=cast(_BODY, JSON), size=func.octet_length(_BODY))
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

    async def erase_rooms(self, workspace: WorkspaceId, most: int) -> int:
        return len(await self._database.fetch(_ERASE_ROOMS, workspace=workspace, most=min(ROOMS_AT_ONCE, most)))

    async def erase_names(self, account: AccountId, name: str, most: int) -> int:
        wanted = {"account": account, "name": name, "most": most}
        said = await self._database.fetch(_RENAME_MESSAGES, **wanted)
        sat = await self._database.fetch(_RENAME_PARTICIPANTS, **wanted)
        async with self._database.connection() as connection, self._database.transaction(connection):
            named = await self._database.fetch_on(connection, _NAMED, wanted)
            for stream, offset, body in named:
                rewritten = {"of_stream": stream, "at_offset": offset, "new_body": called(body, name)}
                await self._database.fetch_on(connection, _REWRITE, rewritten)
        return len(said) + len(sat) + len(named)

    async def forget_messages(self, most: int) -> int:
        return len(await self._database.fetch(_FORGET_MESSAGES, most=most))
