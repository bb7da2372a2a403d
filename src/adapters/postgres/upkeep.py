"""Maintenance of a PostgreSQL outside of the use cases; see `docs/decisions/0015-the-journal-is-pruned-by-age.md`."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, bindparam, delete, exists, func, literal_column, or_, select, update

from adapters.postgres.connection import Connection
from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, dropping
from adapters.postgres.tables import (
    cursors,
    events,
    idempotency,
    invitations,
    lineage,
    mailed_links,
    removals,
    second_factors,
    sessions,
    streams,
)
from application.ports.upkeep import Upkeep
from domain.identity import SESSION_ABSOLUTE
from domain.ids import AccountId

# An arbitrary number. Nothing else in the database may lock the same one.
PRUNING_LOCK = 5_117_202_608

_TURN = Statement(select(func.pg_try_advisory_xact_lock(literal_column(str(PRUNING_LOCK)))).select_from(lineage))
# A stream of which a consumer has not handled any kept event yet is skipped, and checked again each time.
_IS_HELD = exists().where(cursors.c.stream == streams.c.name, cursors.c.position <= streams.c.tail)
_DUE = Statement(
    select(streams.c.name, streams.c.tail)
    .where(streams.c.oldest_at < bindparam("before"), ~_IS_HELD)
    .order_by(streams.c.oldest_at)
    .limit(1)
)
_OLDEST = Statement(
    select(events.c.offset, events.c.at)
    .where(events.c.stream == bindparam("stream"), events.c.offset > bindparam("tail"))
    .order_by(events.c.offset)
    .limit(bindparam("most"))
)
_HELD = Statement(
    select(func.min(cursors.c.position)).select_from(cursors).where(cursors.c.stream == bindparam("stream"))
)
_HISTORY = Statement(
    select(streams.c.name, streams.c.tail)
    .where(
        or_(streams.c.name == bindparam("stream"), streams.c.within == bindparam("place")),
        streams.c.tail < func.least(streams.c.head, bindparam("until", type_=BigInteger)),
    )
    .order_by(streams.c.name)
    .limit(1)
)
_PRUNE = Statement(
    delete(events).where(events.c.stream == bindparam("stream"), events.c.offset <= bindparam("new_tail"))
)
_MOVE_TAIL = Statement(
    update(streams)
    .where(streams.c.name == bindparam("stream"))
    .values(tail=bindparam("new_tail"), oldest_at=bindparam("oldest_at"))
)
_FORGET_SESSIONS = dropping(
    sessions,
    or_(sessions.c.ended_at < bindparam("ended_before"), sessions.c.created_at < bindparam("begun_before")),
    skips_locked=True,
)
_ERASE_SESSIONS = dropping(sessions, sessions.c.account_id == bindparam("account"))
_ERASE_ANSWERS = dropping(idempotency, idempotency.c.account_id == bindparam("account"))
_FORGET_ADDRESS = Statement(
    delete(invitations).where(invitations.c.email == bindparam("address")).returning(literal_column("1"))
)
_ERASE_SINGLE = [
    Statement(delete(column.table).where(column == bindparam("account")).returning(literal_column("1")))
    for column in (second_factors.c.account_id, mailed_links.c.account_id)
]
_FORGET_INVITATIONS = dropping(invitations, invitations.c.expires_at < bindparam("expired_before"), skips_locked=True)
_FORGET_REMOVALS = dropping(removals, removals.c.at < bindparam("before"), skips_locked=True)
_BEGIN_LINEAGE = Statement(update(lineage).values(epoch=bindparam("epoch")))


class PostgresUpkeep(Upkeep):
    """Deletes in statements of bounded size, which skip the rows that other transactions have locked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget_events(self, now: datetime, kept: timedelta, most: int) -> int:
        """One stream after the other, each in a transaction of its own; one process prunes at a time."""
        dropped = 0
        while dropped < most:
            async with self._database.connection() as connection, self._database.transaction(connection):
                turn = await self._database.fetchrow_on(connection, _TURN, {})
                due = await self._database.fetchrow_on(connection, _DUE, {"before": now - kept})
                if turn is None or not turn[0] or due is None:
                    break
                name, tail = due
                dropped += await self._prune(connection, name, tail, now, most - dropped, now - kept)
        return dropped

    async def drop_history(self, stream: str, until: int | None, now: datetime, most: int) -> tuple[int, bool]:
        wanted = {"stream": stream, "place": stream if until is None else None, "until": until}
        async with self._database.connection() as connection, self._database.transaction(connection):
            turn = await self._database.fetchrow_on(connection, _TURN, {})
            found = await self._database.fetchrow_on(connection, _HISTORY, wanted)
            if found is None or turn is None or not turn[0]:
                return 0, found is None
            name, tail = found
            return await self._prune(connection, name, tail, now, most, None, until), False

    async def erase_account(self, account: AccountId, most: int) -> int:
        erased = 0
        for statement in (_ERASE_SESSIONS, _ERASE_ANSWERS):
            erased += len(await self._database.fetch(statement, account=account, most=most))
        for statement in _ERASE_SINGLE:
            erased += len(await self._database.fetch(statement, account=account))
        return erased

    async def forget_address(self, address: str) -> int:
        return len(await self._database.fetch(_FORGET_ADDRESS, address=address))

    async def _prune(
        self,
        connection: Connection,
        stream: str,
        tail: int,
        now: datetime,
        most: int,
        before: datetime | None,
        until: int | None = None,
    ) -> int:
        """Drop the oldest events of a stream, at most `most`, and record its new tail. Returns how many were dropped.

        It stops at offset `until`, and before the first event that is not from `before`, or that a consumer has not
        handled.
        """
        wanted = {"stream": stream, "tail": tail, "most": most + 1}
        rows = await self._database.fetch_on(connection, _OLDEST, wanted)
        is_kept = (
            (before is not None and at >= before) or (until is not None and offset > until) for offset, at in rows
        )
        old = next((index for index, kept in enumerate(is_kept) if kept), len(rows))
        # The cursors are read after the events, so each of these events has its cursors by now, or is handled.
        held = await self._database.fetchrow_on(connection, _HELD, wanted)
        done = len(rows) if held is None or held[0] is None else sum(offset <= held[0] for offset, _ in rows)
        dropped = min(old, most, done)
        moved: dict[str, object] = {"stream": stream, "new_tail": rows[dropped - 1][0] if dropped else tail}
        if dropped:
            await self._database.fetch_on(connection, _PRUNE, moved)
        # If no event is left, every later one will be no older than now. This statement is the last, because from here
        # on writers to the stream wait for this transaction.
        moved["oldest_at"] = rows[dropped][1] if dropped < len(rows) else now
        await self._database.fetch_on(connection, _MOVE_TAIL, moved)
        return dropped

    async def forget_sessions(self, now: datetime, kept: timedelta, most: int) -> int:
        ended = now - kept
        rows = await self._database.fetch(
            _FORGET_SESSIONS, ended_before=ended, begun_before=ended - SESSION_ABSOLUTE, most=most
        )
        return len(rows)

    async def forget_invitations(self, now: datetime, kept: timedelta, most: int) -> int:
        return len(await self._database.fetch(_FORGET_INVITATIONS, expired_before=now - kept, most=most))

    async def forget_removals(self, now: datetime, kept: timedelta, most: int) -> int:
        return len(await self._database.fetch(_FORGET_REMOVALS, before=now - kept, most=most))

    async def begin_lineage(self) -> str:
        epoch = secrets.token_hex(4)
        await self._database.fetch(_BEGIN_LINEAGE, epoch=epoch)
        return epoch
