"""Passes of guests in PostgreSQL."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Interval,
    Uuid,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from adapters.postgres.database import Database
from adapters.postgres.statement import Part, Statement, bound, picked
from adapters.postgres.tables import Instant, accounts, guest_passes
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.identity import ENDS_KNOWN, GuestPassRepository, GuestPassStore
from domain.identity import NAMELESS, GuestPass
from domain.ids import AccountId, GuestPassId

_PASS = tuple(f.name for f in fields(GuestPass) if f.init and f.name != "version")
_ROW = select(*(guest_passes.c[name] for name in _PASS), guest_passes.c.version)
_LIVE = Statement(
    _ROW.where(
        guest_passes.c.account_id == func.any(bindparam("accounts", type_=ARRAY(Uuid))),
        guest_passes.c.ended_at.is_(None),
        guest_passes.c.expires_at > bindparam("now"),
    ).order_by(guest_passes.c.id)
)
_FIND = Statement(_ROW.where(guest_passes.c.token_digest == bindparam("token_digest")))
_INSERT = Statement(insert(guest_passes).values(bound(*_PASS, "version")))
_IS_ENDED = bindparam("is_ended", type_=Boolean)
_UPDATE = Statement(
    update(guest_passes)
    .where(guest_passes.c.id == bindparam("key"), guest_passes.c.version == bindparam("loaded"))
    .values(
        bound("expires_at", "ended_at", "version")
        | {"told_at": case((_IS_ENDED, func.coalesce(guest_passes.c.told_at, func.clock_timestamp())))}
    )
)
_at_first = func.now() - literal_column(f"interval '{ENDS_KNOWN.total_seconds()} seconds'", Interval)
_ENDED = Statement(
    select(
        func.array(
            select(guest_passes.c.id)
            .where(guest_passes.c.told_at >= func.coalesce(bindparam("since", type_=Instant), _at_first))
            .scalar_subquery()
        ),
        func.clock_timestamp(),
    )
)
_dropped = (
    delete(guest_passes)
    .where(
        guest_passes.c.id.in_(
            picked(
                select(guest_passes.c.id)
                .where(guest_passes.c.expires_at < bindparam("before"))
                .limit(bindparam("most"))
                .with_for_update(skip_locked=True)
            )
        )
    )
    .returning(guest_passes.c.account_id)
    .cte("dropped")
)
_FORGET = Statement(
    update(accounts)
    .where(accounts.c.id.in_(select(_dropped.c.account_id)))
    .values(display_name=NAMELESS)
    .returning(literal_column("1"))
)


class PostgresGuestPasses(GuestPassRepository):
    """Passes of guests inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def live(self, accounts: Collection[AccountId], now: datetime) -> Sequence[GuestPass]:
        rows = await self._unit.fetch(_LIVE, accounts=list(accounts), now=now)
        return [_pass(row) for row in rows]

    def add(self, guest_pass: GuestPass) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            yield _INSERT.part({name: getattr(guest_pass, name) for name in (*_PASS, "version")})

        self._unit.saving(guest_pass, writes)

    def save(self, guest_pass: GuestPass) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            yield _UPDATE.part(
                {
                    "key": guest_pass.id,
                    "loaded": loaded,
                    "expires_at": guest_pass.expires_at,
                    "ended_at": guest_pass.ended_at,
                    "is_ended": guest_pass.ended_at is not None,
                    "version": guest_pass.version,
                }
            )

        self._unit.saving(guest_pass, writes)


class PostgresGuestPassStore(GuestPassStore):
    """Passes of guests outside of a unit of work. `numbers` is the pool that does not wait behind requests."""

    def __init__(self, database: Database, numbers: Database) -> None:
        self._database = database
        self._numbers = numbers

    async def find(self, token_digest: bytes) -> GuestPass | None:
        row = await self._database.fetchrow(_FIND, token_digest=token_digest)
        return None if row is None else _pass(row)

    async def ended_since(self, since: datetime | None) -> tuple[Collection[GuestPassId], datetime]:
        row = await self._numbers.fetchrow(_ENDED, since=since)
        assert row
        return row[0], row[1]

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        return len(await self._database.fetch(_FORGET, before=now - kept, most=most))


def _pass(row: Sequence[Any]) -> GuestPass:
    *values, version = row
    return GuestPass(*values, version=version)
