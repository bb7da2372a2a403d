"""What the statements about notifications share: how a notification is read, and which are unread."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgspec
from sqlalchemy import case, func, literal_column

from adapters.postgres.tables import inboxes, notifications
from domain.notifications import Notification

FIELDS = (*(field.name for field in fields(Notification) if field.init and field.name != "version"), "version")
_DETAILS = FIELDS.index("details")
_IS_READ = notifications.c.unread_since <= inboxes.c.read_before
_READ_AT = func.coalesce(notifications.c.read_at, case((_IS_READ, inboxes.c.read_before))).label("read_at")
ROW = [_READ_AT if name == "read_at" else notifications.c[name] for name in FIELDS]
WITH_INBOX = notifications.outerjoin(inboxes, inboxes.c.id == notifications.c.account_id)
IS_UNREAD = (
    notifications.c.read_at.is_(None),
    notifications.c.unread_since > func.coalesce(inboxes.c.read_before, literal_column("'-infinity'::timestamptz")),
)


def notification_of(row: Sequence[Any]) -> Notification:
    *values, version = row
    values[_DETAILS] = msgspec.json.decode(values[_DETAILS])
    return Notification(*values, version=version)
