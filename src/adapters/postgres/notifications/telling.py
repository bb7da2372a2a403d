"""How far the telling of many accounts is, and what waits to be said in letters, in PostgreSQL."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, case, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.statement import Statement, bound
from adapters.postgres.tables import digests, rounds
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.notifications import (
    LINES_MAX,
    DigestRepository,
    Gathered,
    LetterLine,
    Round,
    RoundRepository,
)
from domain.ids import AccountId

_line = msgspec.json.Decoder(LetterLine)
_ROUND = Statement(select(rounds.c.notice, rounds.c.after).where(rounds.c.event_id == bindparam("event")))
_PUT = insert(rounds).values(bound("event_id", "notice", "after", "at"))
_UPSERT_ROUND = Statement(
    _PUT.on_conflict_do_update(
        index_elements=[rounds.c.event_id], set_={"notice": _PUT.excluded.notice, "after": _PUT.excluded.after}
    )
)
_DELETE_ROUND = Statement(delete(rounds).where(rounds.c.event_id == bindparam("event")))

_GATHERED = Statement(
    select(digests.c.id, digests.c.lines, digests.c.left_out, digests.c.due_at, digests.c.version).where(
        digests.c.id == bindparam("account")
    )
)
_LINES = insert(digests).values(
    bound("id", "lines", "due_at") | {"left_out": literal_column("0"), "version": literal_column("1")}
)
_HAS_ROOM = func.cardinality(digests.c.lines) < literal_column(str(LINES_MAX))
_UPSERT_DIGEST = Statement(
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
_DELETE_DIGEST = Statement(
    delete(digests).where(digests.c.id == bindparam("account"), digests.c.version == bindparam("version"))
)


class PostgresRounds(RoundRepository):
    """Rounds inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, event: UUID) -> Round | None:
        row = await self._unit.fetchrow(_ROUND, event=event)
        return None if row is None else Round(*row)

    def put(self, event: UUID, round: Round, now: datetime) -> None:
        self._unit.note_quietly(_UPSERT_ROUND, event_id=event, notice=round.notice, after=round.after, at=now)

    def end(self, event: UUID) -> None:
        self._unit.note_quietly(_DELETE_ROUND, event=event)


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
        self._unit.note_quietly(_UPSERT_DIGEST, id=account, lines=[msgspec.json.encode(line).decode()], due_at=due_at)

    def end(self, gathered: Gathered) -> None:
        self._unit.note_quietly(_DELETE_DIGEST, account=gathered.account, version=gathered.version)
