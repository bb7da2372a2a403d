"""Idempotency keys in memory: the answer and the effect of a request are committed together, or neither is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from adapters.memory.database import MemoryDatabase, Table, Tables
from application.ports.events import Entry
from application.ports.idempotency import ANSWERS_KEPT, Answer, Attempt, Idempotency, KeyReused, StillRunning
from application.ports.system import Clock
from domain.ids import AccountId

WAIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answer to a request with an idempotency key, and the fingerprint of that request."""

    fingerprint: bytes
    answer: Answer
    at: datetime


ANSWERS: Table[tuple[AccountId, str], Remembered] = Table("answers")


class MemoryAttempt(Attempt):
    """One request that carries a key."""

    def __init__(self, replay: Answer | None) -> None:
        self.replay = replay
        self.answer: Answer | None = None

    def record(self, answer: Answer) -> None:
        self.answer = answer


class MemoryIdempotency(Idempotency):
    """Remembers answers for 24 hours. A request waits up to 2 seconds for a running request with the same key."""

    def __init__(self, database: MemoryDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._running: dict[tuple[AccountId, str], asyncio.Event] = {}

    @asynccontextmanager
    async def attempt(self, account: AccountId, key: str, fingerprint: bytes) -> AsyncIterator[MemoryAttempt]:
        place = account, key
        replay = await self._replay_or_turn(place, fingerprint)
        if replay:
            yield MemoryAttempt(replay)
            return
        attempt = MemoryAttempt(None)
        try:
            async with self._database.transaction() as transaction:
                yield attempt
                if attempt.answer:
                    answer = Remembered(fingerprint, attempt.answer, self._clock.now())
                    await self._database.apply(lambda tables: self._remember(tables, place, answer), lambda _: None)
                    transaction.keep()
        finally:
            self._running.pop(place).set()

    async def forget_old(self, most: int) -> int:
        dropped = [0]

        def change(tables: Tables) -> Sequence[Entry]:
            dropped[0] = self._drop_old(tables, most)
            return ()

        await self._database.apply(change, lambda _: None)
        return dropped[0]

    async def _replay_or_turn(self, place: tuple[AccountId, str], fingerprint: bytes) -> Answer | None:
        """The answer that was given before, or None if this request has to run now."""
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            known = self._database.committed[ANSWERS].get(place)
            if known and self._clock.now() - known.at < ANSWERS_KEPT:
                if known.fingerprint != fingerprint:
                    raise KeyReused("This idempotency key was used with another request.")
                return known.answer
            twin = self._running.get(place)
            if twin is None:
                self._running[place] = asyncio.Event()
                return None
            try:
                async with asyncio.timeout_at(deadline):
                    await twin.wait()
            except TimeoutError:
                raise StillRunning("The first request with this idempotency key is still running.") from None

    def _remember(self, tables: Tables, place: tuple[AccountId, str], answer: Remembered) -> Sequence[Entry]:
        tables[ANSWERS][place] = answer
        return ()

    def _drop_old(self, tables: Tables, most: int) -> int:
        now = self._clock.now()
        old = [place for place, known in tables[ANSWERS].items() if now - known.at >= ANSWERS_KEPT][:most]
        for place in old:
            del tables[ANSWERS][place]
        return len(old)
