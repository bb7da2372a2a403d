"""Notifications for reading only, and their maintenance, in PostgreSQL."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, func, literal_column, or_, select

from adapters.postgres.database import Database
from adapters.postgres.notifications.terms import IS_UNREAD, ROW, WITH_INBOX, notification_of
from adapters.postgres.statement import Statement, dropping
from adapters.postgres.tables import digests, inboxes, notifications, rounds
from application.paging import Page, decode_cursor, encode_cursor, fitting
from application.ports.notifications import (
    UNREAD_COUNTED_MAX,
    NotificationQueries,
    NotificationUpkeep,
    NotificationView,
    view_of,
)
from domain.ids import AccountId

_PLACE = bindparam("place", type_=Uuid)
_MINE = (
    notifications.c.account_id == bindparam("account"),
    or_(_PLACE.is_(None), notifications.c.place_id == _PLACE),
)
_PAGE = (
    select(*ROW)
    .select_from(WITH_INBOX)
    .where(*_MINE, notifications.c.id < bindparam("before"))
    .order_by(notifications.c.id.desc())
    .limit(bindparam("limit"))
)
_ALL, _UNREAD = Statement(_PAGE), Statement(_PAGE.where(*IS_UNREAD))
_unread = (
    select(literal_column("1"))
    .select_from(WITH_INBOX)
    .where(*_MINE, *IS_UNREAD)
    .limit(literal_column(str(UNREAD_COUNTED_MAX)))
    .subquery("unread")
)
_COUNT = Statement(select(func.count()).select_from(_unread))
_AFTER_ALL = UUID(int=2**128 - 1)
_FORGET = dropping(notifications, notifications.c.created_at < bindparam("before"), skips_locked=True)
_ERASE = dropping(notifications, notifications.c.account_id == bindparam("account"))
_ERASE_INBOX, _ERASE_DIGEST = (
    Statement(delete(table).where(table.c.id == bindparam("account")).returning(literal_column("1")))
    for table in (inboxes, digests)
)
_FORGET_ROUNDS = Statement(delete(rounds).where(rounds.c.at < bindparam("before")).returning(literal_column("1")))


class PostgresNotificationQueries(NotificationQueries):
    """Notifications for reading only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, account: AccountId, unread: bool, place: UUID | None, cursor: str | None, limit: int
    ) -> Page[NotificationView]:
        query = f"notifications {account} {unread} {place}"
        before = _AFTER_ALL if cursor is None else decode_cursor(cursor, query, UUID)[0]
        statement = _UNREAD if unread else _ALL
        rows = await self._database.fetch(statement, account=account, place=place, before=before, limit=limit + 1)
        views = fitting([view_of(notification_of(row)) for row in rows[:limit]])
        return Page(views, encode_cursor(query, views[-1].id) if len(views) < len(rows) else None)

    async def unread(self, account: AccountId, place: UUID | None) -> int:
        row = await self._database.fetchrow(_COUNT, account=account, place=place)
        assert row is not None
        count: int = row[0]
        return count


class PostgresNotificationUpkeep(NotificationUpkeep):
    """Deletes notifications in statements of bounded size."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        # A round is left behind only if an operator gives up what it belongs to.
        await self._database.fetch(_FORGET_ROUNDS, before=now - kept)
        return len(await self._database.fetch(_FORGET, before=now - kept, most=most))

    async def erase(self, account: AccountId, most: int) -> int:
        await self._database.fetch(_ERASE_INBOX, account=account)
        await self._database.fetch(_ERASE_DIGEST, account=account)
        return len(await self._database.fetch(_ERASE, account=account, most=most))
