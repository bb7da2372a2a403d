"""A replica, for the reads that have the same result on the primary: `docs/decisions/0019-what-a-replica-is-for.md`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy import bindparam, select, true

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.tables import lineage, streams
from application.ports.unit_of_work import Stale
from domain.errors import DomainError, Unavailable

# How long the replica may take. The caller, who has waited by then, asks the primary after that.
PATIENCE_SECONDS = 1.0
# How long a replica is not asked after it failed, and how long a known epoch of the primary is used.
PAUSE_SECONDS = 5.0

_EPOCH = Statement(select(lineage.c.epoch))
_REACHED = Statement(
    select(lineage.c.epoch, streams.c.head)
    .select_from(lineage.join(streams, true()))
    .where(streams.c.name == bindparam("stream"))
)


class Replica:
    """A database that follows the `primary` with a delay."""

    def __init__(self, database: Database, primary: Database) -> None:
        self._database = database
        self._primary = primary
        self._shunned_until = 0.0
        self._epoch = ""
        self._believed_until = 0.0

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()

    async def check(self) -> None:
        """Return if it answers and has the lineage of the primary's journal; Unavailable otherwise."""
        row = await self._database.fetchrow(_EPOCH)
        if row is None or row[0] != await self._present_epoch():
            raise Unavailable("It is a copy of another journal.")

    async def fetch(
        self, stream: str, head: int, statement: Statement, values: Mapping[str, Any]
    ) -> Sequence[asyncpg.Record] | None:
        """The rows. None if it does not answer, has not reached this head of the stream, or has another lineage."""
        if asyncio.get_running_loop().time() < self._shunned_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                # A replica never goes back, so the next statement sees at least this head.
                reached = await self._database.fetchrow(_REACHED, stream=stream)
                if reached is None or reached[0] != await self._present_epoch() or reached[1] < head:
                    return None
                return await self._database.fetch(statement, **values)
        except (DomainError, Stale, asyncpg.PostgresError, TimeoutError):
            # This includes a schema that is not migrated yet, and a statement that the replay has cancelled.
            self._shunned_until = asyncio.get_running_loop().time() + PAUSE_SECONDS
            return None

    async def _present_epoch(self) -> str:
        now = asyncio.get_running_loop().time()
        if now >= self._believed_until:
            row = await self._primary.fetchrow(_EPOCH)
            self._epoch = row[0] if row else ""
            self._believed_until = now + PAUSE_SECONDS
        return self._epoch
