"""The pool of connections, with every wait bounded and every failure told in the words of the domain."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

import asyncpg
import msgspec

from adapters.postgres.migrations import current_revision, head
from adapters.postgres.statement import Statement
from application.ports.unit_of_work import Stale
from domain.errors import DomainError, Invalid, NotFound, Unavailable
from domain.identity import EmailTaken
from domain.workspaces import SlugTaken

CONNECT_SECONDS = 3.0
ACQUIRE_SECONDS = 2.0
COMMAND_SECONDS = 8.0
# Outlast what the process grants each step, so that a statement ends on the server before its caller gives up.
SERVER_SETTINGS = {
    "application_name": "signalbox",
    "jit": "off",
    "timezone": "UTC",
    "statement_timeout": "5000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
}
STALE_SQLSTATE = "SB001"  # raised by verify(), see the migrations

_CONSTRAINTS: Mapping[str, Callable[[], DomainError]] = {
    "uq_accounts_email": lambda: EmailTaken("An account with this e-mail address exists.", pointer="/email"),
    "uq_workspaces_slug": lambda: SlugTaken("This slug is taken.", pointer="/slug"),
    # Only a thing that vanished meanwhile can be missing: what is written was found before.
    "fk_comments_task_id": NotFound,
    "fk_idempotency_account_id": NotFound,
}

Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy


class Database:
    """A pool of at most `pool_size` connections to the PostgreSQL at `url`.

    Nothing connects before it is needed, so the process can start while PostgreSQL is away. `fetch` and its kin raise
    Unavailable when PostgreSQL does not answer in time, Stale when the effort is worth repeating, and the domain's
    own error where a constraint speaks for a rule.
    """

    def __init__(self, url: str, pool_size: int) -> None:
        self._url = url
        self._size = pool_size
        self._pool: asyncpg.Pool | None = None
        self._head = head()

    async def open(self) -> None:
        """Make the pool in the running event loop."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size,
            max_inactive_connection_lifetime=300,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            statement_cache_size=512,
            max_cached_statement_lifetime=3600,
            server_settings=SERVER_SETTINGS,
            init=_prepare,
            # Nothing that a unit of work does outlives its transaction, so there is nothing to reset.
            reset=_nothing,
        )

    async def close(self) -> None:
        """Let running statements finish for a moment, then close every connection."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), 5)
            except TimeoutError:
                pool.terminate()

    async def check(self) -> None:
        """Return if PostgreSQL answers and its schema is the one this code needs; Unavailable otherwise."""
        async with self.connection() as connection:
            revision = await current_revision(connection)
        if revision != self._head:
            raise Unavailable(
                f"The schema is at revision {revision}, and {self._head} is needed: run `signalbox migrate`."
            )

    async def acquire(self) -> Connection:
        """A connection, within 2 s; to be given back with `release`."""
        if self._pool is None:
            raise Unavailable("The store is not open.")
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                return await self._pool.acquire()
        except Exception as error:
            raise translated(error) from error

    async def release(self, connection: Connection) -> None:
        if self._pool is not None:
            await self._pool.release(connection)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for a block that raises whatever asyncpg raises, translated."""
        connection = await self.acquire()
        try:
            yield connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise translated(error) from error
        finally:
            await self.release(connection)

    async def fetch(self, statement: Statement, **values: Any) -> Sequence[asyncpg.Record]:
        """All rows of one statement on a connection of its own."""
        connection = await self.acquire()
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement.text, *statement.args(values))
        except Exception as error:
            raise translated(error) from error
        finally:
            await self.release(connection)
        return rows

    async def fetchrow(self, statement: Statement, **values: Any) -> asyncpg.Record | None:
        """The first row of one statement on a connection of its own."""
        connection = await self.acquire()
        try:
            return await connection.fetchrow(statement.text, *statement.args(values))
        except Exception as error:
            raise translated(error) from error
        finally:
            await self.release(connection)


def translated(error: Exception) -> Exception:
    """What this failure of PostgreSQL means to a use case; the same error if it means a mistake of ours."""
    match error:
        case DomainError() | Stale():
            return error
        case asyncpg.PostgresError(sqlstate=sqlstate) if sqlstate == STALE_SQLSTATE:
            return Stale()
        case asyncpg.SerializationError() | asyncpg.DeadlockDetectedError():
            return Stale()
        case asyncpg.IntegrityConstraintViolationError(constraint_name=str(name)) if name in _CONSTRAINTS:
            return _CONSTRAINTS[name]()
        # What the domain let through and PostgreSQL cannot keep: a rule is missing, but the caller's input is at fault.
        case asyncpg.DataError() | UnicodeEncodeError():
            return Invalid("This contains a value that cannot be stored.")
        case asyncpg.PostgresConnectionError() | asyncpg.InterfaceError() | OSError() | TimeoutError():
            return Unavailable("The store does not answer.")
        case asyncpg.OperatorInterventionError() | asyncpg.InsufficientResourcesError():
            return Unavailable("The store cannot take this now.")
        case asyncpg.LockNotAvailableError():
            return Unavailable("Too many others are changing this right now.")
        case _:
            return error


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", format="tuple", encoder=_microseconds, decoder=_instant
    )


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # from which PostgreSQL counts
_INFINITY = 2**63 - 1
_LAST = datetime.max.replace(tzinfo=UTC)  # stands for infinity, as it does for asyncpg


# A page of 50 tasks holds 250 instants; to make one anew costs more than all else of its row, and most come again.
@lru_cache(maxsize=16_384)
def _instant(value: tuple[int]) -> datetime:
    return _LAST if value[0] == _INFINITY else _EPOCH + timedelta(microseconds=value[0])


def _microseconds(instant: datetime) -> tuple[int]:
    if instant == _LAST:
        return (_INFINITY,)
    since = instant - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds,)


async def _nothing(connection: asyncpg.Connection) -> None:
    return None
