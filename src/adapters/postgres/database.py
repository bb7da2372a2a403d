"""The pool of connections: every wait has a deadline, and every failure is translated into an error of the domain."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from datetime import datetime
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

import asyncpg

from adapters.breaker import Breaker
from adapters.postgres.connection import SERVER_SETTINGS, Connection, abandon, discard, is_usable, prepare
from adapters.postgres.failures import is_answered, is_hung_up, translated
from adapters.postgres.statement import Lookup, Statement
from adapters.together import Together
from application.ports.observer import Observer
from application.ports.unit_of_work import Interrupted, OutcomeUnknown, Stale
from domain.errors import DomainError, Unavailable

CONNECT_SECONDS = 3.0
TRY_AGAIN_SECONDS = 0.25
IDLE_SECONDS = 300.0
CLOSE_SECONDS = 5.0
UNDO_SECONDS = 2.0
LOOK_SECONDS = 0.5
WAIT_SECONDS = 2.0
COMMAND_SECONDS = 8.0
KEYS_AT_ONCE = 500
PATIENCE_SECONDS = 0.1

T = TypeVar("T")

Fetch: TypeAlias = Callable[[Connection, Statement, Mapping[str, Any]], Awaitable[T]]


class Database:
    """A pool of at most `pool_size` connections to the PostgreSQL at `url`.

    A caller waits for a connection for `wait_seconds` at most. An unused connection is closed within `idle_seconds`. A
    connection is opened when it is first needed, so the process can start while PostgreSQL is away. `fetch` and the
    other calls raise Unavailable if PostgreSQL does not answer in time, Stale if another try may succeed, and the error
    of the domain if a constraint that stands for a rule is violated.

    After a timeout it is checked whether PostgreSQL takes a new connection. If it does not, the breaker opens, and no
    caller waits until it does.

    A dead connection is rarely the only one: a restart of the server, or a firewall that drops its state, ends all of
    them, and each is only noticed when it is used. So after the first dead one, every older connection is tested before
    it is given to a caller, and a caller that tries again does not get a second dead one.
    """

    def __init__(
        self,
        url: str,
        pool_size: int,
        observer: Observer,
        wait_seconds: float = WAIT_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._url = url
        self._size = pool_size
        self._wait_seconds = wait_seconds
        # An unused connection goes to the pool of asyncpg after one to two of these, and is closed after a third.
        self._idle_seconds = idle_seconds / 3
        self._observer = observer
        self._pool: asyncpg.Pool | None = None
        self._is_open = False
        # Connections between two uses, the last used at the end. asyncpg's pool makes a task and several timers for
        # each use, which cost more than a short query. So it is only used for new and for surplus connections.
        self._kept: list[Connection] = []
        self._least_kept = 0
        self._broken_off: set[Connection] = set()
        # How often a connection was found dead.
        self._deaths = 0
        # The value of `_deaths` when each connection was last known to be alive. The key is the pid of its server
        # process, because a connection has a different proxy with each use.
        self._alive_as_of: dict[int, int] = {}
        self._closing: set[asyncio.Task[None]] = set()
        # How many calls wait for a connection at this moment.
        self.waiting = 0
        self._thinning: asyncio.Task[None] | None = None
        self.breaker = Breaker("PostgreSQL is silent, so nobody waits for it", "PostgreSQL answers again")
        self._trial: asyncio.Task[None] | None = None
        self._lookups: dict[Lookup, Together[tuple[Any, ...], asyncpg.Record | None]] = {}

    async def open(self) -> None:
        """Make the pool in the running event loop."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size,
            max_inactive_connection_lifetime=self._idle_seconds,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            statement_cache_size=512,
            max_cached_statement_lifetime=3600,
            server_settings=SERVER_SETTINGS,
            init=self._prepare,
            # A unit of work leaves nothing behind after its transaction, so there is nothing to reset.
            reset=_nothing,
        )
        self._thinning = asyncio.create_task(self._thin_out(self._pool))
        self._is_open = True

    async def close(self) -> None:
        """Let running statements finish for a moment, then close every connection."""
        self._is_open = False
        if self._pool is None or self._thinning is None:
            return
        self._thinning.cancel()
        if self._trial is not None:
            self._trial.cancel()
        while self._kept:
            await self._pool.release(self._kept.pop())
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def check(self) -> None:
        """Return if PostgreSQL answers; Unavailable otherwise."""
        async with self.connection() as connection:
            with self.call("ping", connection):
                await connection.fetchval("SELECT 1")

    async def identify(self) -> tuple[str, datetime]:
        """The version of PostgreSQL, and the time of its clock."""
        async with self.connection() as connection:
            version = connection.get_server_version()
            with self.call("identify", connection):
                return f"{version.major}.{version.minor}", await connection.fetchval("SELECT clock_timestamp()")

    def call(self, operation: str, connection: Connection | None = None) -> "PostgresCall":
        """A context for one call of PostgreSQL: it tells the observer of `operation`, and translates a failure."""
        return PostgresCall(self, self._observer, operation, connection)

    def commit(self, operation: str, connection: Connection | None = None) -> "PostgresCall":
        """A context for a call that commits: OutcomeUnknown if PostgreSQL does not tell whether it did."""
        call = self.call(operation, connection)
        call.commits = True
        return call

    def pool_state(self) -> tuple[int, int, int]:
        """How many connections are open, how many of these are idle, and how many there may be."""
        if self._pool is None:
            return 0, 0, self._size
        return self._pool.get_size(), self._pool.get_idle_size() + len(self._kept), self._size

    async def acquire(self) -> Connection:
        """A connection, which has to be returned with `release`. Unavailable if none becomes free in time."""
        if self._pool is None or not self._is_open:
            raise Unavailable("The store is not open.")
        if self.breaker.state != "closed":
            raise Unavailable("The store does not answer.")
        while self._kept:
            connection = self._kept.pop()
            self._least_kept = min(self._least_kept, len(self._kept))
            if not is_usable(connection):
                await self._pool.release(connection)
            # Compared here first, to save a call on the hottest path.
            elif self._alive_as_of.get(connection.get_server_pid()) == self._deaths or await self._is_alive(connection):
                return connection
        self.waiting += 1
        try:
            with self.call("acquire"):
                async with asyncio.timeout(self._wait_seconds):
                    while True:
                        connection = await self._pool.acquire()
                        if await self._is_alive(connection):
                            return connection
        finally:
            self.waiting -= 1

    async def release(self, connection: Connection) -> None:
        """Return a connection, in whatever state it is."""
        if connection in self._broken_off:
            self._broken_off.discard(connection)
            # It may take a while until PostgreSQL has stopped the statement.
            closing = asyncio.create_task(discard(connection), context=Context())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        elif self._is_open and not self.waiting and is_usable(connection):
            self._kept.append(connection)
        elif self._pool is not None:
            await self._pool.release(connection)

    def break_off(self, connection: Connection) -> None:
        """Close a connection once it is released, because the outcome of the last call on it is unknown."""
        self._broken_off.add(connection)

    def distrust(self) -> None:
        """Test older connections before their next use, because a connection was found dead."""
        self._deaths += 1

    async def _is_alive(self, connection: Connection) -> bool:
        """Whether a connection is alive. It is tested if one was found dead since it was last known to be alive.

        A dead connection is closed.
        """
        pid, deaths = connection.get_server_pid(), self._deaths
        if self._alive_as_of.get(pid) == deaths:
            return True
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await connection.execute("SELECT 1")
        except BaseException as error:
            abandon(connection)
            if isinstance(error, TimeoutError):  # each silent one would cost this time again, so all kept ones go
                self.doubt()
                kept, self._kept = self._kept, []
                for silent in kept:
                    abandon(silent)
            elif not isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
                raise
            return False
        self._alive_as_of[pid] = deaths
        return True

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        await prepare(connection)
        pid = connection.get_server_pid()
        self._alive_as_of[pid] = self._deaths
        connection.add_termination_listener(lambda _: self._alive_as_of.pop(pid, None))

    def doubt(self) -> None:
        """After a timeout, try to connect until PostgreSQL takes a new connection."""
        if self._trial is None and self._is_open:
            self._trial = asyncio.create_task(self._try(), context=Context())

    async def _try(self) -> None:
        try:
            while await self._is_silent():
                self.breaker.fail(f"it took no connection for {CONNECT_SECONDS:g} s")
                await asyncio.sleep(TRY_AGAIN_SECONDS)
            self.breaker.succeed()
        finally:
            self._trial = None

    async def _is_silent(self) -> bool:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await asyncpg.connect(self._url, server_settings=SERVER_SETTINGS)
        except TimeoutError:
            return True
        except Exception:  # noqa: BLE001  # a refusal is an answer, and other callers get it without waiting
            return False
        await discard(connection)
        return False

    def is_whole(self, connection: Connection) -> bool:
        """Whether a connection is usable, and the outcome of every call on it is known."""
        return connection not in self._broken_off and is_usable(connection)

    async def _thin_out(self, pool: asyncpg.Pool) -> None:
        """Return connections that were not used for a while to the pool of asyncpg, until cancelled."""
        while True:
            self._least_kept = len(self._kept)
            await asyncio.sleep(self._idle_seconds)
            surplus, self._kept[: self._least_kept] = self._kept[: self._least_kept], []
            for connection in surplus:
                await pool.release(connection)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for a block. Errors of asyncpg in the block are translated."""
        connection = await self.acquire()
        try:
            yield connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise translated(error) from error
        finally:
            await self.release(connection)

    @asynccontextmanager
    async def transaction(self, connection: Connection) -> AsyncIterator[None]:
        """A transaction around a block. It commits at the end, and rolls back if the block raises."""
        transaction = connection.transaction()
        with self.call("begin", connection):
            await transaction.start()
        try:
            yield
        except BaseException:
            # If the connection is not whole, PostgreSQL rolls back by itself when it is closed.
            if self.is_whole(connection):
                with suppress(DomainError), self.call("rollback", connection):
                    async with asyncio.timeout(UNDO_SECONDS):
                        await transaction.rollback()
            raise
        with self.commit("commit", connection):
            await transaction.commit()

    async def fetch(self, statement: Statement, **values: Any) -> Sequence[asyncpg.Record]:
        """All rows of one statement on a connection of its own."""
        return await self._apart(self.fetch_on, statement, values)

    async def fetchrow(self, statement: Statement, **values: Any) -> asyncpg.Record | None:
        """The first row of one statement on a connection of its own."""
        return await self._apart(self.fetchrow_on, statement, values)

    async def look_up(self, lookup: Lookup, *key: Any) -> asyncpg.Record | None:
        """The row of one key. Concurrent calls with the same lookup share a statement."""
        (row,) = await self._look_up(lookup, [key])
        return row

    async def look_up_all(self, lookup: Lookup, keys: Sequence[tuple[Any, ...]]) -> Mapping[Any, asyncpg.Record]:
        """The rows of several keys, by key; keys without a row are left out. Calls share a statement, see `look_up`."""
        rows = await self._look_up(lookup, keys)
        return {key: row for key, row in zip(keys, rows, strict=True) if row is not None}

    async def _look_up(self, lookup: Lookup, keys: Sequence[tuple[Any, ...]]) -> Sequence[asyncpg.Record | None]:
        together = self._lookups.get(lookup)
        if together is None:
            together = Together(partial(self._find, lookup), KEYS_AT_ONCE, PATIENCE_SECONDS)
            self._lookups[lookup] = together
        with self.call(lookup.operation):
            return await together.ask(keys)

    async def _find(self, lookup: Lookup, keys: Sequence[tuple[Any, ...]]) -> Sequence[asyncpg.Record | None]:
        distinct = list(dict.fromkeys(keys))
        rows = await self._apart(self.fetch_on, lookup.shared, lookup.values(distinct))
        found = {distinct[row[-1] - 1]: row for row in rows}
        return [found.get(key) for key in keys]

    async def _apart(self, fetch: Fetch[T], statement: Statement, values: Mapping[str, Any]) -> T:
        """Run a statement on a connection of its own, and again on another one if the first was lost without effect."""
        connection = await self.acquire()
        try:
            return await fetch(connection, statement, values)
        except Interrupted as lost:
            if statement.changes and not (lost.__cause__ and is_answered(lost.__cause__)):
                raise
        finally:
            await self.release(connection)
        async with self.connection() as another:
            return await fetch(another, statement, values)

    async def fetch_on(
        self, connection: Connection, statement: Statement, values: Mapping[str, Any]
    ) -> Sequence[asyncpg.Record]:
        """All rows of one statement on this connection."""
        with self.call(statement.operation, connection):
            rows: list[asyncpg.Record] = await connection.fetch(statement.text, *statement.args(values))
            return rows

    async def fetchrow_on(
        self, connection: Connection, statement: Statement, values: Mapping[str, Any]
    ) -> asyncpg.Record | None:
        """The first row of one statement on this connection."""
        with self.call(statement.operation, connection):
            return await connection.fetchrow(statement.text, *statement.args(values))


class PostgresCall:
    """The context of one call of PostgreSQL. The observer is told of the call, however it ends.

    `commits` says whether the call may have committed something if its outcome is not known.
    """

    __slots__ = ("_began", "_connection", "_database", "_observer", "_operation", "commits")

    def __init__(self, database: Database, observer: Observer, operation: str, connection: Connection | None) -> None:
        self._database = database
        self._observer = observer
        self._operation = operation
        self._connection = connection
        self.commits = False

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        meaning = translated(error) if isinstance(error, Exception) else error
        if error is not None:
            is_unknown = not is_answered(error)
            if self._connection is not None and (is_unknown or isinstance(meaning, Interrupted)):
                self._database.break_off(self._connection)
                if is_hung_up(error):
                    self._database.distrust()
            if isinstance(error, TimeoutError):
                self._database.doubt()
            if self.commits and is_unknown:
                meaning = OutcomeUnknown()
                self._observer.happened("commit_unknown", "lost")
        # A conflict is no failure of PostgreSQL, so it is reported by its meaning.
        self._observer.called(
            "postgresql", self._operation, self._began, meaning if isinstance(meaning, Stale) else error
        )
        if meaning is not None and meaning is not error:
            raise meaning from error


async def _nothing(connection: asyncpg.Connection) -> None:
    return None
