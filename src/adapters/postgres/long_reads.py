"""Bounds the reads that may take long: in their time, and in the connections that one account gets for them."""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any
from weakref import WeakValueDictionary

import asyncpg
from sqlalchemy import Text, bindparam, func, literal_column, select

from adapters.postgres.connection import SERVER_SETTINGS
from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.tables import lineage
from application.paging import QueryTooBroad
from application.ports.unit_of_work import uninterrupted
from domain.errors import Exhausted, Unavailable

WAIT_SECONDS = 2.0

_LIMIT = Statement(
    select(
        func.set_config(literal_column("'statement_timeout'"), bindparam("limit", type_=Text), literal_column("false"))
    ).select_from(lineage)
)
_ANY_TIME = {"limit": SERVER_SETTINGS["statement_timeout"]}


class LongReads:
    """Runs statements whose cost depends on the stored data; each may take `statement_seconds`.

    All of them together may use `at_once` connections of the pool, and those for one account or one stream half of
    these, so that some are left for other callers. Further calls wait for their turn, `wait_seconds` at most.
    """

    def __init__(
        self, database: Database, at_once: int, statement_seconds: float, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._database = database
        self._of_all = asyncio.Semaphore(at_once)
        self._of_one = max(1, at_once // 2)
        self._turns: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()
        self._little_time = {"limit": f"{statement_seconds * 1000:.0f}"}
        self._wait_seconds = wait_seconds

    async def fetch(self, whose: Hashable, statement: Statement, values: Mapping[str, Any]) -> Sequence[asyncpg.Record]:
        """All rows. `whose` is the account or stream that the read counts for.

        QueryTooBroad if PostgreSQL does not find them in `statement_seconds`; Exhausted if their turn does not come.
        """
        async with AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(self._wait_seconds):
                    own = self._turns.setdefault(whose, asyncio.Semaphore(self._of_one))
                    await turns.enter_async_context(own)
                    await turns.enter_async_context(self._of_all)
            except TimeoutError:
                raise Exhausted("Too many long lists are under way.", retry_after_seconds=1) from None
            try:
                return await self._fetch(statement, values)
            except Unavailable as failure:
                if isinstance(failure.__cause__, asyncpg.QueryCanceledError):
                    raise QueryTooBroad("This takes too long to find: narrow it, or sort it otherwise.") from failure
                raise

    @uninterrupted
    async def _fetch(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[asyncpg.Record]:
        async with self._database.connection() as connection:
            await self._database.fetch_on(connection, _LIMIT, self._little_time)
            try:
                return await self._database.fetch_on(connection, statement, values)
            finally:
                if self._database.is_whole(connection):
                    await self._database.fetch_on(connection, _LIMIT, _ANY_TIME)
