"""Notifications and inboxes in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.pages import page_of
from adapters.memory.unit import MemoryUnit
from application.paging import Page, decode_cursor
from application.ports.events import Entry
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
from domain.notifications import Inbox, Notification

NOTIFICATIONS: Table[NotificationId, Notification] = Table("notifications")
INBOXES: Table[AccountId, Inbox] = Table("inboxes")
DIGESTS: Table[AccountId, Gathered] = Table("digests", is_quiet=True)
ROUNDS: Table[UUID, Round] = Table("rounds", is_quiet=True)


class MemoryNotifications(NotificationRepository):
    """Notifications inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: NotificationId, account: AccountId) -> Notification:
        found = self._unit.tables[NOTIFICATIONS].get(id)
        if found is None or found.account_id != account:
            raise NotFound
        return _present(self._unit.tables, found)

    async def unread_about(
        self, accounts: Collection[AccountId], type: str, subject: UUID, since: datetime
    ) -> Mapping[AccountId, Notification]:
        tables, found = self._unit.tables, dict[AccountId, Notification]()
        for _, each in sorted(tables[NOTIFICATIONS].items()):
            if (each.type, each.subject_id) == (type, subject) and each.created_at > since:
                present = _present(tables, each)
                if each.account_id in accounts and present.read_at is None:
                    found[each.account_id] = present
        return found

    async def unread_of(self, account: AccountId, ids: Collection[UUID]) -> Mapping[UUID, Notification]:
        tables = self._unit.tables
        mine = [_present(tables, each) for each in tables[NOTIFICATIONS].values() if each.account_id == account]
        return {each.id: each for each in mine if each.id in ids and each.read_at is None}

    def add(self, notification: Notification) -> None:
        self.save(notification)

    def save(self, notification: Notification) -> None:
        self._unit.saving(notification.id, notification, NOTIFICATIONS, kept=_kept)

    def remove(self, notification: Notification) -> None:
        id = notification.id
        self.save(notification)
        self._unit.note(lambda tables: tables[NOTIFICATIONS].__delitem__(id))


class MemoryInboxes(InboxRepository):
    """Inboxes inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, account: AccountId) -> Inbox:
        found = self._unit.tables[INBOXES].get(account)
        return Inbox(account) if found is None else copied(found)

    async def of(self, accounts: Collection[AccountId]) -> Mapping[AccountId, Inbox]:
        kept = self._unit.tables[INBOXES]
        found = {account: copied(kept[account]) for account in accounts if account in kept}
        versions = {account: inbox.version for account, inbox in found.items()}

        def still(tables: Tables) -> None:
            if any(tables[INBOXES][account].version != version for account, version in versions.items()):
                raise Stale

        self._unit.require(still)
        return found

    def save(self, inbox: Inbox) -> None:
        self._unit.saving(inbox.id, inbox, INBOXES)


class MemoryRounds(RoundRepository):
    """Rounds inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, event: UUID) -> Round | None:
        return self._unit.tables[ROUNDS].get(event)

    def put(self, event: UUID, round: Round, now: datetime) -> None:
        self._unit.note_quietly(ROUNDS, lambda rounds: rounds.__setitem__(event, round))

    def end(self, event: UUID) -> None:
        self._unit.note_quietly(ROUNDS, lambda rounds: rounds.__delitem__(event))


class MemoryDigests(DigestRepository):
    """What waits to be said in a letter, inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, account: AccountId) -> Gathered | None:
        return self._unit.tables[DIGESTS].get(account)

    def gather(self, account: AccountId, line: LetterLine, due_at: datetime) -> None:
        def write(digests: dict[AccountId, Gathered]) -> None:
            _, lines, left_out, before, version = digests.get(account) or Gathered(account, (), 0, due_at, 0)
            has_room = len(lines) < LINES_MAX
            told = [*lines, line] if has_room else lines
            digests[account] = Gathered(account, told, left_out + (not has_room), min(before, due_at), version + 1)

        self._unit.note_due(due_at)
        self._unit.note_quietly(DIGESTS, write)

    def end(self, gathered: Gathered) -> None:
        def still(tables: Tables) -> None:
            present = tables[DIGESTS].get(gathered.account)
            if present is None or present.version != gathered.version:
                raise Stale

        self._unit.require(still)
        self._unit.note_quietly(DIGESTS, lambda digests: digests.__delitem__(gathered.account))


class MemoryNotificationQueries(NotificationQueries):
    """Notifications for reading only."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def page(
        self, account: AccountId, unread: bool, place: UUID | None, cursor: str | None, limit: int
    ) -> Page[NotificationView]:
        query = f"notifications {account} {unread} {place}"
        after = None if cursor is None else decode_cursor(cursor, query, UUID)
        found = self._found(account, unread, place)
        return page_of(found, view_of, lambda each: (each.id,), query, after, limit, descending=True)

    async def unread(self, account: AccountId, place: UUID | None) -> int:
        return min(UNREAD_COUNTED_MAX, len(self._found(account, True, place)))

    def _found(self, account: AccountId, unread: bool, place: UUID | None) -> Sequence[Notification]:
        tables = self._database.committed
        mine = [_present(tables, each) for each in tables[NOTIFICATIONS].values() if each.account_id == account]
        return [each for each in mine if place in {None, each.place_id} and not (unread and each.read_at is not None)]


class MemoryNotificationUpkeep(NotificationUpkeep):
    """Looks at all notifications each time, because a store in memory is small."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        dropped: list[NotificationId] = []

        def change(tables: Tables) -> Sequence[Entry]:
            old = (id for id, each in tables[NOTIFICATIONS].items() if each.created_at < now - kept)
            dropped.extend([*old][:most])
            for id in dropped:
                del tables[NOTIFICATIONS][id]
            return ()

        await self._database.apply(change, lambda _: None)
        return len(dropped)

    async def erase(self, account: AccountId, most: int) -> int:
        dropped: list[NotificationId] = []

        def change(tables: Tables) -> Sequence[Entry]:
            theirs = (id for id, each in tables[NOTIFICATIONS].items() if each.account_id == account)
            dropped.extend([*theirs][:most])
            for id in dropped:
                del tables[NOTIFICATIONS][id]
            tables[INBOXES].pop(account, None)
            tables[DIGESTS].pop(account, None)
            return ()

        await self._database.apply(change, lambda _: None)
        return len(dropped)


def _present(tables: Tables, kept: Notification) -> Notification:
    """A copy of a notification, which is read if everything was up to its time."""
    found, inbox = copied(kept), tables[INBOXES].get(kept.account_id)
    if found.read_at is None and inbox and inbox.read_before and found.unread_since <= inbox.read_before:
        found.read_at = inbox.read_before
    return found


def _kept(notification: Notification) -> Notification:
    """A copy to keep. The details are turned into the types that JSON has."""
    details: Any = msgspec.json.decode(msgspec.json.encode(notification.details))
    return replace(copied(notification), details=details)
