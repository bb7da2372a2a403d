"""Mails in memory."""

from collections.abc import Callable
from datetime import datetime, timedelta

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.unit import MemoryUnit
from application.ports.events import Entry
from application.ports.mail import MailRepository, MailStore
from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.ids import MailId
from domain.mail import Mail

MAILS: Table[MailId, Mail] = Table("mails", is_quiet=True)


class MemoryMails(MailRepository):
    """Mails inside a unit of work. A row is replaced by each write, so the row itself is its version."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: MailId) -> Mail:
        kept = self._unit.tables[MAILS].get(id)
        if kept is None:
            raise NotFound
        self._unit.loaded[id] = kept
        return copied(kept)

    def add(self, mail: Mail) -> None:
        self._unit.note_due(mail.due_at)
        self._write(mail)

    def save(self, mail: Mail) -> None:
        self._unit.require(_still(mail.id, self._unit.loaded[mail.id]))
        self._write(mail)

    def _write(self, mail: Mail) -> None:
        row = copied(mail)
        self._unit.note_quietly(MAILS, lambda mails: mails.update({row.id: row}))


class MemoryMailStore(MailStore):
    """Walks all mails."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def oldest_at(self) -> datetime | None:
        mails = self._database.committed[MAILS].values()
        return min((mail.created_at for mail in mails if not mail.is_over), default=None)

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        dropped: list[MailId] = []

        def drop(tables: Tables) -> list[Entry]:
            over = (id for id, mail in tables[MAILS].items() if mail.is_over and mail.created_at < now - kept)
            dropped.extend(list(over)[:most])
            for id in dropped:
                del tables[MAILS][id]
            return []

        await self._database.apply(drop, lambda _: None)
        return len(dropped)


def is_waiting(mail: Mail) -> int:
    """1 for a mail that still has to be sent, which is what figures count."""
    return int(not mail.is_over)


def _still(id: MailId, loaded: Mail) -> Callable[[Tables], None]:
    """A guard: Stale unless the row is the one that was loaded."""

    def check(tables: Tables) -> None:
        if tables[MAILS].get(id) is not loaded:
            raise Stale

    return check
