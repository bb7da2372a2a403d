"""Mails in PostgreSQL."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, insert, literal_column, select, update

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, bound, dropping
from adapters.postgres.tables import mails
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.mail import MailRepository, MailStore
from domain.attempts import Attempts
from domain.errors import NotFound
from domain.ids import MailId
from domain.mail import Mail

_FIXED = ("id", "letter", "created_at")
_MOVING = ("hidden", "attempts", "due_at", "sent_at", "given_up_at", "last_error")
_GET = Statement(
    select(*(mails.c[name] for name in (*_FIXED, *_MOVING, "version"))).where(mails.c.id == bindparam("of"))
)
_INSERT = Statement(insert(mails).values(bound(*_FIXED, *_MOVING) | {"version": literal_column("1")}))
_UPDATE = Statement(
    update(mails)
    .where(mails.c.id == bindparam("of"), mails.c.version == bindparam("loaded"))
    .values(bound(*_MOVING) | {"version": mails.c.version + literal_column("1")})
)
_OLDEST = Statement(select(func.min(mails.c.created_at)).where(mails.c.due_at.is_not(None)))
_FORGET = dropping(mails, mails.c.due_at.is_(None), mails.c.created_at < bindparam("before"), skips_locked=True)


class PostgresMails(MailRepository):
    """Mails inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: MailId) -> Mail:
        row = await self._unit.fetchrow(_GET, of=id)
        if row is None:
            raise NotFound
        values = dict(row)
        self._unit.loaded[id] = values.pop("version")
        values["attempts"] = Attempts(values["attempts"], values.pop("due_at"))
        return Mail(**values)

    def add(self, mail: Mail) -> None:
        self._unit.note_due(mail.due_at)
        self._unit.note_quietly(_INSERT, **{name: getattr(mail, name) for name in _FIXED}, **_moving(mail))

    def save(self, mail: Mail) -> None:
        self._unit.note_quietly(_UPDATE, of=mail.id, loaded=self._unit.loaded[mail.id], **_moving(mail))


class PostgresMailStore(MailStore):
    """Mails outside of a unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def oldest_at(self) -> datetime | None:
        row = await self._database.fetchrow(_OLDEST)
        assert row is not None
        oldest_at: datetime | None = row[0]
        return oldest_at

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        return len(await self._database.fetch(_FORGET, before=now - kept, most=most))


def _moving(mail: Mail) -> dict[str, Any]:
    values = {name: getattr(mail, name) for name in _MOVING}
    return values | {"attempts": mail.attempts.begun}
