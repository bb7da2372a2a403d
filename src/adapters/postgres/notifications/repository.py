"""Notifications in PostgreSQL."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Uuid, bindparam, column, delete, func, insert, literal_column, select, true, update

from adapters.postgres.notifications.terms import FIELDS, IS_UNREAD, ROW, WITH_INBOX, notification_of
from adapters.postgres.statement import Part, Statement, bound
from adapters.postgres.tables import notifications
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.notifications import NotificationRepository
from domain.errors import NotFound
from domain.ids import AccountId, NotificationId
from domain.notifications import Notification

_values_of = attrgetter(*FIELDS)
_GET = Statement(
    select(*ROW)
    .select_from(WITH_INBOX)
    .where(notifications.c.id == bindparam("id"), notifications.c.account_id == bindparam("account"))
)
_accounts = func.unnest(bindparam("accounts", type_=ARRAY(Uuid))).table_valued(column("account", Uuid))
_ACCOUNTS = _accounts.render_derived(name="wanted")
_newest = (
    select(*ROW)
    .select_from(WITH_INBOX)
    .where(
        notifications.c.account_id == _ACCOUNTS.c.account,
        *IS_UNREAD,
        notifications.c.unread_since > bindparam("since"),  # as the next line implies; the index has it
        notifications.c.created_at > bindparam("since"),
        notifications.c.type == bindparam("type"),
        notifications.c.subject_id == bindparam("subject"),
    )
    .order_by(notifications.c.id.desc())
    .limit(literal_column("1"))
    .lateral("newest")
)
_UNREAD_ABOUT = Statement(select(*_newest.c).select_from(_ACCOUNTS.join(_newest, true())))
_UNREAD_OF = Statement(
    select(*ROW)
    .select_from(WITH_INBOX)
    .where(
        notifications.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid))),
        notifications.c.account_id == bindparam("account"),
        *IS_UNREAD,
    )
)
_INSERT = Statement(insert(notifications).values(bound(*FIELDS)))
_THIS = notifications.c.id == bindparam("key"), notifications.c.version == bindparam("loaded")
_CHANGING = ("title", "actor_id", "count", "details", "updated_at", "unread_since", "read_at", "version")
_UPDATE = Statement(update(notifications).where(*_THIS).values(bound(*_CHANGING)))
_DELETE = Statement(delete(notifications).where(*_THIS))


class PostgresNotifications(NotificationRepository):
    """Notifications inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: NotificationId, account: AccountId) -> Notification:
        row = await self._unit.fetchrow(_GET, id=id, account=account)
        if row is None:
            raise NotFound
        return notification_of(row)

    async def unread_about(
        self, accounts: Collection[AccountId], type: str, subject: UUID, since: datetime
    ) -> Mapping[AccountId, Notification]:
        rows = await self._unit.fetch(_UNREAD_ABOUT, accounts=list(accounts), type=type, subject=subject, since=since)
        return {found.account_id: found for found in map(notification_of, rows)}

    async def unread_of(self, account: AccountId, ids: Collection[UUID]) -> Mapping[UUID, Notification]:
        rows = await self._unit.fetch(_UNREAD_OF, account=account, ids=list(ids))
        return {found.id: found for found in map(notification_of, rows)}

    def add(self, notification: Notification) -> None:
        self._write(notification, _INSERT)

    def save(self, notification: Notification) -> None:
        self._write(notification, _UPDATE)

    def remove(self, notification: Notification) -> None:
        self._write(notification, _DELETE)

    def _write(self, notification: Notification, statement: Statement) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            values: dict[str, Any] = dict(zip(FIELDS, _values_of(notification), strict=True))
            values["details"] = msgspec.json.encode(values["details"]).decode()
            return [statement.part(values | {"key": notification.id, "loaded": loaded})]

        self._unit.saving(notification, writes)
