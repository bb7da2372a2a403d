"""Answers to requests with an idempotency key, stored in the transaction of their effect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.connection import Connection
from adapters.postgres.database import Database
from adapters.postgres.failures import REFUSALS
from adapters.postgres.statement import Statement, dropping
from adapters.postgres.tables import idempotency
from adapters.postgres.unit_of_work import Enclosing, enclosing
from application.ports.events import Broker
from application.ports.idempotency import ANSWERS_KEPT, Answer, Attempt, Idempotency, KeyReused, StillRunning
from application.ports.system import Clock
from application.ports.unit_of_work import Interrupted
from domain.errors import DomainError, NotFound
from domain.ids import AccountId

WAIT_SECONDS = 2.0

# An advisory lock on the key that ends with the transaction. Unlike a row, others see it before the commit.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_FIND = Statement(
    select(idempotency.c.fingerprint, idempotency.c.answer).where(
        idempotency.c.account_id == bindparam("account"),
        idempotency.c.key == bindparam("key"),
        idempotency.c.created_at > bindparam("since"),
    )
)
# The account existed when the request was authenticated, and was deleted meanwhile.
REFUSALS["fk_idempotency_account_id"] = NotFound
_upsert = insert(idempotency).values({column.name: bindparam(column.name) for column in idempotency.c})
_KEEP = Statement(
    _upsert.on_conflict_do_update(
        index_elements=["account_id", "key"],
        set_={name: _upsert.excluded[name] for name in ("fingerprint", "answer", "created_at")},
    )
)
_FORGET = dropping(idempotency, idempotency.c.created_at < bindparam("before"), skips_locked=True)


class _Attempt(Attempt):
    def __init__(self, replay: Answer | None) -> None:
        self.replay = replay
        self.answer: Answer | None = None

    def record(self, answer: Answer) -> None:
        self.answer = answer


class _Undo(Exception):
    """Leaves the transaction without keeping its effects."""


class PostgresIdempotency(Idempotency):
    """Runs a request in one explicit transaction, together with the row that remembers its answer.

    A request with the same key waits for the running one: in the same process without a connection, in another process
    with one. It is StillRunning after 2 s.
    """

    def __init__(self, database: Database, broker: Broker, clock: Clock) -> None:
        self._database = database
        self._broker = broker
        self._clock = clock
        self._running: dict[tuple[AccountId, str], asyncio.Event] = {}

    @asynccontextmanager
    async def attempt(self, account: AccountId, key: str, fingerprint: bytes) -> AsyncIterator[Attempt]:
        name = (account, key)
        await self._wait_for_twin(name)
        done = self._running[name] = asyncio.Event()
        try:
            async with self._database.connection() as connection:
                scope = Enclosing(connection)
                attempt = None
                try:
                    async with self._database.transaction(connection):
                        await self._lock(connection, account, key)
                        attempt = _Attempt(await self._find(connection, account, key, fingerprint))
                        token = enclosing.set(scope)
                        try:
                            yield attempt
                        finally:
                            scope.is_open = False
                            enclosing.reset(token)
                        if scope.is_interrupted:
                            raise Interrupted
                        if attempt.answer is None:
                            raise _Undo
                        await self._keep(connection, account, key, fingerprint, attempt.answer)
                except _Undo:
                    return
            self._broker.publish(scope.entries)
        finally:
            del self._running[name]
            done.set()

    async def forget_old(self, most: int) -> int:
        return len(await self._database.fetch(_FORGET, before=self._clock.now() - ANSWERS_KEPT, most=most))

    async def _wait_for_twin(self, name: tuple[AccountId, str]) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while (twin := self._running.get(name)) is not None:
                    await twin.wait()
        except TimeoutError:
            raise self._still_running() from None

    async def _lock(self, connection: Connection, account: AccountId, key: str) -> None:
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while not await self._has_locked(connection, f"{account} {key}"):
            if asyncio.get_running_loop().time() > deadline:
                raise self._still_running()
            await asyncio.sleep(0.05)

    async def _has_locked(self, connection: Connection, name: str) -> bool:
        with self._database.call("lock key", connection):
            return bool(await connection.fetchval(_LOCK, name))

    async def _find(self, connection: Connection, account: AccountId, key: str, fingerprint: bytes) -> Answer | None:
        values = {"account": account, "key": key, "since": self._clock.now() - ANSWERS_KEPT}
        row = await self._database.fetchrow_on(connection, _FIND, values)
        if row is None:
            return None
        if row[0] != fingerprint:
            raise KeyReused("This idempotency key was used with another request.")
        return msgspec.msgpack.decode(row[1], type=Answer)

    async def _keep(
        self, connection: Connection, account: AccountId, key: str, fingerprint: bytes, answer: Answer
    ) -> None:
        values = {
            "account_id": account,
            "key": key,
            "fingerprint": fingerprint,
            "answer": msgspec.msgpack.encode(answer),
            "created_at": self._clock.now(),
        }
        await self._database.fetch_on(connection, _KEEP, values)

    @staticmethod
    def _still_running() -> DomainError:
        return StillRunning("The first request with this idempotency key is still running.")
