"""Inboxes in PostgreSQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import time
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Uuid, bindparam, func, insert, select, update

from adapters.postgres.failures import REFUSALS
from adapters.postgres.statement import Part, Statement, bound
from adapters.postgres.tables import inboxes
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.notifications import InboxRepository
from application.ports.unit_of_work import Stale
from domain.ids import AccountId
from domain.notifications import Digest, Inbox, Medium, QuietHours

# Another unit of work has made the same row at the same moment.
REFUSALS["pk_inboxes"] = Stale

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
_INSERT_INBOX = Statement(insert(inboxes).values(bound("id", *_INBOX_NAMES)))
_UPDATE_INBOX = Statement(
    update(inboxes)
    .where(inboxes.c.id == bindparam("key"), inboxes.c.version == bindparam("loaded"))
    .values(bound(*_INBOX_NAMES))
)


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
