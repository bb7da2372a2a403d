"""Notifications and inboxes in PostgreSQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, time, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    Uuid,
    bindparam,
    case,
    column,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from adapters.postgres.database import Database
from adapters.postgres.failures import REFUSALS
from adapters.postgres.statement import Part, Statement, picked
from adapters.postgres.tables import digests, inboxes, notifications, rounds
from adapters.postgres.unit_of_work import PostgresUnit
from application.paging import Page, decode_cursor, encode_cursor, fitting
from application.ports.notifications import (
    LINES_MAX,
    UNREAD_COUNTED_MAX,
    DigestRepository,
    Gathered,
    InboxRepository,
    LetterLine,
    NotificationQueries,
    NotificationRepository,
    NotificationUpkeep,
    NotificationView,
    Round,
    RoundRepository,
    view_of,
)
from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.ids import AccountId, NotificationId
from domain.notifications import Digest, Inbox, Medium, Notification, QuietHours

# Another unit of work has made the same row at the same moment.
REFUSALS["pk_inboxes"] = Stale

_FIELDS = (*(field.name for field in fields(Notification) if field.init and field.name != "version"), "version")
_values_of = attrgetter(*_FIELDS)
_DETAILS = _FIELDS.index("details")
_IS_READ = notifications.c.unread_since <= inboxes.c.read_before
_READ_AT = func.coalesce(notifications.c.read_at, case((_IS_READ, inboxes.c.read_before))).label("read_at")
_ROW = [_READ_AT if name == "read_at" else notifications.c[name] for name in _FIELDS]
_WITH_INBOX = notifications.outerjoin(inboxes, inboxes.c.id == notifications.c.account_id)
_IS_UNREAD = (
    notifications.c.read_at.is_(None),
    notifications.c.unread_since > func.coalesce(inboxes.c.read_before, literal_column("'-infinity'::timestamptz")),
)
_GET = Statement(
    select(*_ROW)
    .select_from(_WITH_INBOX)
    .where(notifications.c.id == bindparam("id"), notifications.c.account_id == bindparam("account"))
)
_accounts = func.unnest(bindparam("accounts", type_=ARRAY(Uuid))).table_valued(column("account", Uuid))
_ACCOUNTS = _accounts.render_derived(name="wanted")
_newest = (
    select(*_ROW)
    .select_from(_WITH_INBOX)
    .where(
        notifications.c.account_id == _ACCOUNTS.c.account,
        *_IS_UNREAD,
        notifications.c.unread_since > bindparam("since"),
        notifications.c.created_at > bindparam("since"),
        notifications.c.type == bindparam("type"),
        notifications.c.subject_id == bindparam("subject"),
    )
    .order_by(notifications.c.id.desc())
    .limit(literal_column("1"))
    .lateral("newest")
)
_UNREAD_ABOUT = Statement(select(*_newest.c).select_from(_ACCOUNTS.join(_newest, true())))


def _bound(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


_UNREAD_OF = Statement(
    select(*_ROW)
    .select_from(_WITH_INBOX)
    .where(
        notifications.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid))),
        notifications.c.account_id == bindparam("account"),
        *_IS_UNREAD,
    )
)
_INSERT = Statement(insert(notifications).values(_bound(*_FIELDS)))
_THIS = notifications.c.id == bindparam("key"), notifications.c.version == bindparam("loaded")
_CHANGING = ("title", "actor_id", "count", "details", "updated_at", "unread_since", "read_at", "version")
_UPDATE = Statement(update(notifications).where(*_THIS).values(_bound(*_CHANGING)))
_DELETE = Statement(delete(notifications).where(*_THIS))

_INBOX = (
    inboxes.c.choices,
    inboxes.c.quiet_begin,
    inboxes.c.quiet_end,
    inboxes.c.digest,
    inboxes.c.read_before,
    inboxes.c.version,
)
_INBOXES = Statement(
    select(inboxes.c.id, *_INBOX).where(inboxes.c.id == func.any(bindparam("accounts", type_=ARRAY(Uuid))))
)
_STILL = Statement(
    select(inboxes.c.id)
    .where(inboxes.c.id == bindparam("account"), inboxes.c.version == bindparam("version"))
    .with_for_update(read=True)
)
_INBOX_NAMES = tuple(column.name for column in _INBOX)
_INSERT_INBOX = Statement(insert(inboxes).values(_bound("id", *_INBOX_NAMES)))
_UPDATE_INBOX = Statement(
    update(inboxes)
    .where(inboxes.c.id == bindparam("key"), inboxes.c.version == bindparam("loaded"))
    .values(_bound(*_INBOX_NAMES))
)

_ROUND = Statement(select(rounds.c.notice, rounds.c.after).where(rounds.c.event_id == bindparam("event")))
_PUT = insert_or_update(rounds).values(_bound("event_id", "notice", "after", "at"))
_PUT_ROUND = Statement(
    _PUT.on_conflict_do_update(
        index_elements=[rounds.c.event_id], set_={"notice": _PUT.excluded.notice, "after": _PUT.excluded.after}
    )
)
_END_ROUND = Statement(delete(rounds).where(rounds.c.event_id == bindparam("event")))

_GATHERED = Statement(
    select(digests.c.id, digests.c.lines, digests.c.left_out, digests.c.due_at, digests.c.version).where(
        digests.c.id == bindparam("account")
    )
)
_LINES = insert_or_update(digests).values(
    _bound("id", "lines", "due_at") | {"left_out": literal_column("0"), "version": literal_column("1")}
)
_HAS_ROOM = func.cardinality(digests.c.lines) < literal_column(str(LINES_MAX))
_GATHER = Statement(
    _LINES.on_conflict_do_update(
        index_elements=[digests.c.id],
        set_={
            "lines": case((_HAS_ROOM, digests.c.lines.concat(_LINES.excluded.lines)), else_=digests.c.lines),
            "left_out": case((_HAS_ROOM, digests.c.left_out), else_=digests.c.left_out + literal_column("1")),
            "due_at": func.least(digests.c.due_at, _LINES.excluded.due_at),
            "version": digests.c.version + literal_column("1"),
        },
    )
)
_END_DIGEST = Statement(
    delete(digests).where(digests.c.id == bindparam("account"), digests.c.version == bindparam("version"))
)

_PLACE = bindparam("place", type_=Uuid)
_MINE = (
    notifications.c.account_id == bindparam("account"),
    or_(_PLACE.is_(None), notifications.c.place_id == _PLACE),
)
_PAGE = (
    select(*_ROW)
    .select_from(_WITH_INBOX)
    .where(*_MINE, notifications.c.id < bindparam("before"))
    .order_by(notifications.c.id.desc())
    .limit(bindparam("limit"))
)
_ALL, _UNREAD = Statement(_PAGE), Statement(_PAGE.where(*_IS_UNREAD))
_unread = (
    select(literal_column("1"))
    .select_from(_WITH_INBOX)
    .where(*_MINE, *_IS_UNREAD)
    .limit(literal_column(str(UNREAD_COUNTED_MAX)))
    .subquery("unread")
)
_COUNT = Statement(select(func.count()).select_from(_unread))
_AFTER_ALL = UUID(int=2**128 - 1)
_OLD = (
    select(notifications.c.id)
    .where(notifications.c.created_at < bindparam("before"))
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_FORGET = Statement(delete(notifications).where(notifications.c.id.in_(picked(_OLD))).returning(literal_column("1")))
_THEIRS = (
    select(notifications.c.id)
    .where(notifications.c.account_id == bindparam("account"))
    .limit(bindparam("most"))
    .with_for_update()
)
_ERASE = Statement(delete(notifications).where(notifications.c.id.in_(picked(_THEIRS))).returning(literal_column("1")))
_ERASE_INBOX, _ERASE_DIGEST = (
    Statement(delete(table).where(table.c.id == bindparam("account")).returning(literal_column("1")))
    for table in (inboxes, digests)
)
_FORGET_ROUNDS = Statement(delete(rounds).where(rounds.c.at < bindparam("before")).returning(literal_column("1")))


class PostgresNotifications(NotificationRepository):
    """Notifications inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: NotificationId, account: AccountId) -> Notification:
        row = await self._unit.fetchrow(_GET, id=id, account=account)
        if row is None:
            raise NotFound
        return _notification(row)

    async def unread_about(
        self, accounts: Collection[AccountId], type: str, subject: UUID, since: datetime
    ) -> Mapping[AccountId, Notification]:
        rows = await self._unit.fetch(_UNREAD_ABOUT, accounts=list(accounts), type=type, subject=subject, since=since)
        return {found.account_id: found for found in map(_notification, rows)}

    async def unread_of(self, account: AccountId, ids: Collection[UUID]) -> Mapping[UUID, Notification]:
        rows = await self._unit.fetch(_UNREAD_OF, account=account, ids=list(ids))
        return {found.id: found for found in map(_notification, rows)}

    def add(self, notification: Notification) -> None:
        self._write(notification, _INSERT)

    def save(self, notification: Notification) -> None:
        self._write(notification, _UPDATE)

    def remove(self, notification: Notification) -> None:
        self._write(notification, _DELETE)

    def _write(self, notification: Notification, statement: Statement) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            values: dict[str, Any] = dict(zip(_FIELDS, _values_of(notification), strict=True))
            values["details"] = msgspec.json.encode(values["details"]).decode()
            return [statement.part(values | {"key": notification.id, "loaded": loaded})]

        self._unit.saving(notification, writes)


def _notification(row: Sequence[Any]) -> Notification:
    *values, version = row
    values[_DETAILS] = msgspec.json.decode(values[_DETAILS])
    return Notification(*values, version=version)


class PostgresInboxes(InboxRepository):
    """Inboxes inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, account: AccountId) -> Inbox:
        rows = await self._unit.fetch(_INBOXES, accounts=[account])
        return _inbox(rows[0]) if rows else Inbox(account)

    async def of(self, accounts: Collection[AccountId]) -> Mapping[AccountId, Inbox]:
        rows = await self._unit.fetch(_INBOXES, accounts=list(accounts))
        found = {inbox.id: inbox for inbox in map(_inbox, rows)}
        for inbox in found.values():
            self._unit.guard(_STILL, account=inbox.id, version=inbox.version)
        return found

    def save(self, inbox: Inbox) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            quiet = inbox.quiet_hours
            choices = {type: sorted(channels) for type, channels in inbox.choices.items()}
            values = {
                "id": inbox.id,
                "key": inbox.id,
                "loaded": loaded,
                "choices": msgspec.json.encode(choices).decode(),
                "quiet_begin": quiet and _minutes(quiet.begin),
                "quiet_end": quiet and _minutes(quiet.end),
                "digest": inbox.digest,
                "read_before": inbox.read_before,
                "version": inbox.version,
            }
            return [(_UPDATE_INBOX if loaded else _INSERT_INBOX).part(values)]

        self._unit.saving(inbox, writes)


def _inbox(row: Sequence[Any]) -> Inbox:
    id, choices, begin, end, digest, read_before, version = row
    chosen = {type: frozenset(map(Medium, channels)) for type, channels in msgspec.json.decode(choices).items()}
    quiet = None if begin is None else QuietHours(_time(begin), _time(end))
    return Inbox(id, chosen, quiet, Digest(digest), read_before, version=version)


def _minutes(clock: time) -> int:
    return clock.hour * 60 + clock.minute


def _time(minutes: int) -> time:
    return time(*divmod(minutes, 60))


class PostgresRounds(RoundRepository):
    """Rounds inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, event: UUID) -> Round | None:
        row = await self._unit.fetchrow(_ROUND, event=event)
        return None if row is None else Round(*row)

    def put(self, event: UUID, round: Round, now: datetime) -> None:
        self._unit.note_quietly(_PUT_ROUND, event_id=event, notice=round.notice, after=round.after, at=now)

    def end(self, event: UUID) -> None:
        self._unit.note_quietly(_END_ROUND, event=event)


_line = msgspec.json.Decoder(LetterLine)


class PostgresDigests(DigestRepository):
    """What waits to be said in a letter, inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, account: AccountId) -> Gathered | None:
        row = await self._unit.fetchrow(_GATHERED, account=account)
        if row is None:
            return None
        id, lines, *rest = row
        return Gathered(id, [_line.decode(line) for line in lines], *rest)

    def gather(self, account: AccountId, line: LetterLine, due_at: datetime) -> None:
        self._unit.note_due(due_at)
        self._unit.note_quietly(_GATHER, id=account, lines=[msgspec.json.encode(line).decode()], due_at=due_at)

    def end(self, gathered: Gathered) -> None:
        self._unit.note_quietly(_END_DIGEST, account=gathered.account, version=gathered.version)


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
        views = fitting([view_of(_notification(row)) for row in rows[:limit]])
        return Page(views, encode_cursor(query, views[-1].id) if len(views) < len(rows) else None)

    async def unread(self, account: AccountId, place: UUID | None) -> int:
        row = await self._database.fetchrow(_COUNT, account=account, place=place)
        assert row is not None
        count: int = row[0]
        return count


class PostgresNotificationUpkeep(NotificationUpkeep):
    """Deletes in statements of bounded size, which skip the rows that other transactions have locked."""

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
