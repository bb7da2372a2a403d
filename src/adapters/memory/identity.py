"""Accounts and sessions in memory."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.unit import MemoryUnit
from application.ports.identity import ENDS_KNOWN, AccountRepository, SessionQueries, SessionRepository
from domain.errors import NotFound
from domain.identity import Account, EmailTaken, FailedLogin, Session
from domain.ids import AccountId, SessionId

ACCOUNTS: Table[AccountId, Account] = Table("accounts")
SESSIONS: Table[SessionId, Session] = Table("sessions")
# The times at which ends of sessions were written.
ENDS: Table[SessionId, datetime] = Table("ends")


class MemoryAccounts(AccountRepository):
    """Accounts inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: AccountId) -> Account:
        found = self._unit.tables[ACCOUNTS].get(id)
        if found is None:
            raise NotFound
        return copied(found)

    async def get_many(self, ids: Collection[AccountId]) -> Mapping[AccountId, Account]:
        accounts = self._unit.tables[ACCOUNTS]
        return {id: copied(accounts[id]) for id in ids if id in accounts}

    async def find(self, email: str) -> Account | None:
        found = _by_email(self._unit.tables, email)
        return copied(found) if found else None

    def add(self, account: Account) -> None:
        self.save(account)

    def save(self, account: Account) -> None:
        def check(tables: Tables) -> None:
            other = account.email and _by_email(tables, account.email)
            if other and other.id != account.id:
                raise EmailTaken("An account with this e-mail address exists.", pointer="/email")

        def kept(saved: Account) -> Account:
            self._unit.note_due(saved.due_at)
            return copied(saved)

        self._unit.saving(account.id, account, ACCOUNTS, check, kept)

    async def page(self, after: AccountId | None, most: int) -> Sequence[Account]:
        accounts = self._unit.tables[ACCOUNTS]
        return [copied(accounts[id]) for id in sorted(accounts) if after is None or id > after][:most]

    def tell(self, failed: FailedLogin) -> None:
        self._unit.tell(failed)


class MemorySessions(SessionRepository):
    """Sessions inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: SessionId) -> Session | None:
        found = self._unit.tables[SESSIONS].get(id)
        return copied(found) if found else None

    async def live(self, account: AccountId, now: datetime) -> Sequence[Session]:
        sessions = self._unit.tables[SESSIONS].values()
        live = [session for session in sessions if session.account_id == account and not session.is_over(now)]
        return [copied(session) for session in sorted(live, key=lambda s: (s.created_at, s.id))]

    async def surplus(self, account: AccountId, now: datetime, most: int) -> Sequence[Session]:
        live = await self.live(account, now)
        return live[: max(0, len(live) - most)]

    async def get_with_time(self, id: SessionId) -> tuple[Session, datetime] | None:
        session = await self.get(id)
        return None if session is None else (session, self._unit.now())

    async def used_from(self, account: AccountId, address: str, user_agent: str, since: datetime) -> bool:
        return any(
            (each.account_id, each.address, each.user_agent) == (account, address, user_agent)
            and each.rotated_at > since
            for each in self._unit.tables[SESSIONS].values()
        )

    def add(self, session: Session) -> None:
        self.save(session)

    def save(self, session: Session) -> None:
        self._unit.saving(session.id, session, SESSIONS)
        if session.ended_at and session.has_news:
            self._unit.note(lambda tables: tables[ENDS].update({session.id: self._unit.now()}))


class MemorySessionQueries(SessionQueries):
    """The ended sessions, for reading only."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def ended_since(self, since: datetime | None) -> tuple[Collection[SessionId], datetime]:
        now = self._database.clock.now()
        since = since or now - ENDS_KNOWN
        return [id for id, at in self._database.committed[ENDS].items() if at >= since], now


def _by_email(tables: Tables, email: str) -> Account | None:
    return next((account for account in tables[ACCOUNTS].values() if account.email == email), None)
