"""Accounts and sessions in PostgreSQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import ARRAY, Boolean, Interval, Uuid, bindparam, case, func, insert, literal_column, select, update

from adapters.postgres.database import Database
from adapters.postgres.failures import REFUSALS
from adapters.postgres.statement import Part, Statement, bound
from adapters.postgres.tables import Instant, accounts, sessions
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.identity import ENDS_KNOWN, AccountRepository, SessionQueries, SessionRepository
from domain.errors import NotFound
from domain.identity import (
    SESSION_ABSOLUTE,
    SESSION_IDLE,
    Account,
    AccountKind,
    AccountRole,
    EmailTaken,
    EndReason,
    FailedLogin,
    Session,
)
from domain.ids import AccountId, SessionId

_ACCOUNT = tuple(f.name for f in fields(Account) if f.init and f.name != "version")
_ACCOUNT_KIND, _ACCOUNT_ROLE = _ACCOUNT.index("kind"), _ACCOUNT.index("role")
_ACCOUNT_ROW = select(*(accounts.c[name] for name in _ACCOUNT), accounts.c.version)
_GET_ACCOUNT = Statement(_ACCOUNT_ROW.where(accounts.c.id == bindparam("id")))
_GET_ACCOUNTS = Statement(_ACCOUNT_ROW.where(accounts.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid)))))
_ACCOUNT_PAGE = Statement(
    _ACCOUNT_ROW.where(accounts.c.id > bindparam("after")).order_by(accounts.c.id).limit(bindparam("most"))
)
_FIND_ACCOUNT = Statement(_ACCOUNT_ROW.where(accounts.c.email == bindparam("email")))
REFUSALS["uq_accounts_email"] = lambda: EmailTaken("An account with this e-mail address exists.", pointer="/email")
_INSERT_ACCOUNT = Statement(insert(accounts).values(bound(*_ACCOUNT, "version")))
_UPDATE_ACCOUNT = Statement(
    update(accounts)
    .where(accounts.c.id == bindparam("key"), accounts.c.version == bindparam("loaded"))
    .values(bound(*(name for name in (*_ACCOUNT, "version") if name not in {"id", "kind", "created_at"})))
)

_SESSION = tuple(f.name for f in fields(Session) if f.init and f.name != "version")
_SESSION_REASON = _SESSION.index("ended_because")
_SESSION_ROW = select(*(sessions.c[name] for name in _SESSION), sessions.c.version)
_GET_SESSION = Statement(_SESSION_ROW.where(sessions.c.id == bindparam("id")))
_GET_SESSION_WITH_TIME = Statement(
    _SESSION_ROW.add_columns(func.clock_timestamp()).where(sessions.c.id == bindparam("id"))
)
_LIVE = _SESSION_ROW.where(
    sessions.c.account_id == bindparam("account"),
    sessions.c.ended_at.is_(None),
    sessions.c.rotated_at > bindparam("rotated_after"),
    sessions.c.created_at > bindparam("created_after"),
)
_LIVE_SESSIONS = Statement(_LIVE.order_by(sessions.c.id))
_SURPLUS_SESSIONS = Statement(_LIVE.order_by(sessions.c.id.desc()).offset(bindparam("most")))
_USED_FROM = Statement(
    select(literal_column("1"))
    .select_from(sessions)
    .where(
        sessions.c.account_id == bindparam("account"),
        sessions.c.address == bindparam("address"),
        sessions.c.user_agent == bindparam("user_agent"),
        sessions.c.rotated_at > bindparam("since"),
    )
    .limit(literal_column("1"))
)
_INSERT_SESSION = Statement(insert(sessions).values(bound(*_SESSION, "version")))
_IS_ENDED = bindparam("is_ended", type_=Boolean)
_UPDATE_SESSION = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("key"), sessions.c.version == bindparam("loaded"))
    .values(
        {
            name: bindparam(name)
            for name in (*_SESSION, "version")
            if name not in {"id", "account_id", "token_digest", "address", "user_agent", "created_at"}
        }
        | {"told_at": case((_IS_ENDED, func.coalesce(sessions.c.told_at, func.clock_timestamp())))}
    )
)
# With `clock_timestamp()` in place of `now()`, PostgreSQL could not use the index and would read every row.
_at_first = func.now() - literal_column(f"interval '{ENDS_KNOWN.total_seconds()} seconds'", Interval)
_ENDED = Statement(
    select(
        func.array(
            select(sessions.c.id)
            .where(
                sessions.c.ended_at.is_not(None),
                func.coalesce(sessions.c.told_at, sessions.c.ended_at)
                >= func.coalesce(bindparam("since", type_=Instant), _at_first),
            )
            .scalar_subquery()
        ),
        func.clock_timestamp(),
    )
)


class PostgresAccounts(AccountRepository):
    """Accounts inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: AccountId) -> Account:
        row = await self._unit.fetchrow(_GET_ACCOUNT, id=id)
        if row is None:
            raise NotFound
        return _account(row)

    async def get_many(self, ids: Collection[AccountId]) -> Mapping[AccountId, Account]:
        rows = await self._unit.fetch(_GET_ACCOUNTS, ids=list(ids))
        return {account.id: account for account in map(_account, rows)}

    async def find(self, email: str) -> Account | None:
        row = await self._unit.fetchrow(_FIND_ACCOUNT, email=email)
        return None if row is None else _account(row)

    def add(self, account: Account) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            yield _INSERT_ACCOUNT.part(_values(account, _ACCOUNT))

        self._unit.saving(account, writes)

    def save(self, account: Account) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            self._unit.note_due(account.due_at)
            values = _values(account, _ACCOUNT) | {"key": account.id, "loaded": loaded}
            yield _UPDATE_ACCOUNT.part(values)

        self._unit.saving(account, writes)

    async def page(self, after: AccountId | None, most: int) -> Sequence[Account]:
        rows = await self._unit.fetch(_ACCOUNT_PAGE, after=after or UUID(int=0), most=most)
        return [_account(row) for row in rows]

    def tell(self, failed: FailedLogin) -> None:
        self._unit.saving(failed, lambda _: ())


class PostgresSessions(SessionRepository):
    """Sessions inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: SessionId) -> Session | None:
        row = await self._unit.fetchrow(_GET_SESSION, id=id)
        return None if row is None else _session(row)

    async def get_with_time(self, id: SessionId) -> tuple[Session, datetime] | None:
        row = await self._unit.fetchrow(_GET_SESSION_WITH_TIME, id=id)
        if row is None:
            return None
        *values, now = row
        return _session(values), now

    async def live(self, account: AccountId, now: datetime) -> Sequence[Session]:
        rows = await self._unit.fetch(_LIVE_SESSIONS, account=account, **_young(now))
        return [_session(row) for row in rows]

    async def surplus(self, account: AccountId, now: datetime, most: int) -> Sequence[Session]:
        rows = await self._unit.fetch(_SURPLUS_SESSIONS, account=account, most=most, **_young(now))
        return [_session(row) for row in reversed(rows)]

    async def used_from(self, account: AccountId, address: str, user_agent: str, since: datetime) -> bool:
        row = await self._unit.fetchrow(
            _USED_FROM, account=account, address=address, user_agent=user_agent, since=since
        )
        return row is not None

    def add(self, session: Session) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            yield _INSERT_SESSION.part(_values(session, _SESSION))

        self._unit.saving(session, writes)

    def save(self, session: Session) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            values = _values(session, _SESSION) | {"key": session.id, "loaded": loaded}
            values["is_ended"] = session.ended_at is not None
            yield _UPDATE_SESSION.part(values)

        self._unit.saving(session, writes)


class PostgresSessionQueries(SessionQueries):
    """The ended sessions, for reading only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ended_since(self, since: datetime | None) -> tuple[Collection[SessionId], datetime]:
        row = await self._database.fetchrow(_ENDED, since=since)
        assert row
        return row[0], row[1]


def _young(now: datetime) -> Mapping[str, datetime]:
    """The times after which a live session was last rotated, and was created."""
    return {"rotated_after": now - SESSION_IDLE, "created_after": now - SESSION_ABSOLUTE}


def _account(row: asyncpg.Record) -> Account:
    *values, version = row
    values[_ACCOUNT_KIND] = AccountKind(values[_ACCOUNT_KIND])
    values[_ACCOUNT_ROLE] = AccountRole(values[_ACCOUNT_ROLE])
    return Account(*values, version=version)


def _session(row: Sequence[Any]) -> Session:
    *values, version = row
    if values[_SESSION_REASON] is not None:
        values[_SESSION_REASON] = EndReason(values[_SESSION_REASON])
    return Session(*values, version=version)


def _values(thing: Account | Session, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names} | {"version": thing.version}
