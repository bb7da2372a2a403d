"""Tickets of live connections in PostgreSQL, so that any instance can redeem a ticket that another has issued."""

import msgspec
from sqlalchemy import BigInteger, Interval, bindparam, delete, func, insert, literal_column, select

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, bound, dropping, picked
from adapters.postgres.tables import tickets
from application.ports.tickets import TicketStore
from application.principal import Principal

_encode, _decode = msgspec.json.encode, msgspec.json.Decoder(Principal).decode
_KEPT = (
    "digest",
    "account_id",
    "session_id",
    "is_session",
    "scopes",
    "role",
    "token_expires_at",
    "principal",
    "opening",
)
_MILLISECOND = literal_column("interval '1 millisecond'", Interval)
_KEEP = Statement(
    insert(tickets).values(
        bound(*_KEPT)
        | {"expires_at": func.clock_timestamp() + bindparam("lifetime_ms", type_=BigInteger) * _MILLISECOND}
    )
)
_theirs, _newer = tickets.alias("theirs"), tickets.alias("newer")
_newest_to_go = (
    select(_newer.c.number)
    .where(_newer.c.account_id == bindparam("account"))
    .order_by(_newer.c.number.desc())
    .offset(bindparam("most"))
    .limit(1)
)
# A locked ticket is being deleted by another statement anyway, so it is skipped. Without waiting there is no deadlock.
_TRIM = Statement(
    delete(tickets).where(
        tickets.c.number.in_(
            picked(
                select(_theirs.c.number)
                .where(
                    _theirs.c.account_id == bindparam("account"), _theirs.c.number <= _newest_to_go.scalar_subquery()
                )
                .with_for_update(skip_locked=True)
            )
        )
    )
)
_TAKE = Statement(
    delete(tickets)
    .where(tickets.c.digest == bindparam("digest"), tickets.c.expires_at > func.clock_timestamp())
    .returning(tickets.c.principal, tickets.c.opening)
)
_FORGET = dropping(tickets, tickets.c.expires_at <= func.now(), skips_locked=True)


class PostgresTicketStore(TicketStore):
    """Tickets as rows; an account has at most `most`. Each statement is a transaction of its own."""

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most

    async def keep(self, digest: bytes, principal: Principal, opening: bytes, lifetime_ms: int) -> None:
        values = {
            "digest": digest,
            "account_id": principal.account_id,
            "session_id": principal.credential_id,
            "is_session": principal.is_session,
            "scopes": None if principal.scopes is None else sorted(principal.scopes),
            "role": principal.role,
            "token_expires_at": principal.expires_at,
            "principal": _encode(principal),
            "opening": opening,
            "lifetime_ms": lifetime_ms,
        }
        await self._database.fetch(_KEEP, **values)
        # After the ticket is committed: of several concurrent calls, the last to trim sees all of their tickets.
        await self._database.fetch(_TRIM, account=principal.account_id, most=self._most)

    async def take(self, digest: bytes) -> tuple[Principal, bytes] | None:
        row = await self._database.fetchrow(_TAKE, digest=digest)
        # A ticket of a process that did not write the principal whole is void. Its client asks for another one.
        return None if row is None or row[0] is None else (_decode(row[0]), row[1])

    async def forget_old(self, most: int) -> int:
        return len(await self._database.fetch(_FORGET, most=most))
