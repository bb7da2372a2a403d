"""Runs consumers of the journal, which cause further changes after an event and must not miss one."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from typing import Generic, TypeVar

from application.ports.consumers import NEWS, Backlog, Consumer, ConsumerWork, Cursor, Cursors
from application.ports.events import Broker, Entry, EventView, Signal
from application.ports.observer import Observer
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Correlation, correlation
from domain.errors import DomainError

SWEEP_SECONDS = 2.0
BACKLOG_SECONDS = 5.0
AT_ONCE = 4
# The pause after a look that found nothing. It keeps many hints from causing as many looks.
PAUSE_SECONDS = 0.02
# A stream is worked on for this time before the next has its turn. Another process may take it after five times this.
TURN_SECONDS = 1.0
LEASE = timedelta(seconds=5)
RETRY_FIRST = timedelta(seconds=1)
RETRY_LONGEST = timedelta(minutes=5)

W = TypeVar("W", bound=ConsumerWork)

log = logging.getLogger(__name__)


class Consumers(Generic[W]):
    """Runs the consumers over all streams that have news for them. Any number of processes may do so at once.

    A stream belongs to one process at a time, for a turn of one second. A process works on up to four streams at once.
    If an effect fails, its stream waits for 1 s, and twice as long after each further failure, up to five minutes. The
    other streams go on. A killed process delays its streams by five seconds at most.
    """

    def __init__(
        self,
        consumers: Sequence[Consumer[W]],
        work: UnitOfWork[W],
        cursors: Cursors,
        broker: Broker,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._consumers = {consumer.name: consumer for consumer in consumers}
        self._work = work
        self._cursors = cursors
        self._broker = broker
        self._clock = clock
        self._observer = observer
        self._news = asyncio.Event()
        self._backlog: Sequence[Backlog] = ()
        self._looks_back_at = 0.0
        self._busy = 0
        broker.listen(self._take, self._news.set)

    async def run(self) -> None:
        """Work on due streams until cancelled: at once after a hint of news, and otherwise every two seconds."""
        self._broker.follow(NEWS)
        try:
            async with asyncio.TaskGroup() as turns:
                while True:
                    self._news.clear()
                    if not await self._has_begun(turns):
                        await asyncio.sleep(PAUSE_SECONDS)
                        with suppress(TimeoutError):
                            async with asyncio.timeout(SWEEP_SECONDS):
                                await self._news.wait()
        finally:
            self._broker.unfollow(NEWS)

    async def turn(self) -> int:
        """Work on at most four due streams, for about a second each. Returns the number of streams."""
        async with asyncio.TaskGroup() as turns:
            return await self._begin(turns)

    async def _has_begun(self, turns: asyncio.TaskGroup) -> bool:
        try:
            await self._look_back()
            return await self._begin(turns) > 0
        except DomainError as problem:
            log.warning("cannot see which streams have news for consumers: %s", problem)
            return False

    async def _begin(self, turns: asyncio.TaskGroup) -> int:
        """Begin the turns of due streams. Returns the number of streams."""
        if self._busy == AT_ONCE:
            return 0
        now = self._clock.now()
        claimed = await self._cursors.claim(list(self._consumers), now, now + LEASE, AT_ONCE - self._busy)
        for cursor in claimed:
            self._busy += 1
            turn = turns.create_task(self._serve(self._consumers[cursor.consumer], cursor), context=Context())
            turn.add_done_callback(self._has_ended)
        return len(claimed)

    def _has_ended(self, turn: asyncio.Task[None]) -> None:
        self._busy -= 1
        self._news.set()

    def lag(self) -> Mapping[str, tuple[int, int, float]]:
        """How far each consumer is behind, by name; the figures are five seconds old at most.

        They are the number of streams in which it is behind, the number of those in which it fails, and for how many
        seconds the oldest event has waited for it.
        """
        now = self._clock.now()
        level = dict.fromkeys(self._consumers, (0, 0, 0.0))
        return level | {
            of.consumer: (of.streams, of.failing, max(0.0, (now - of.oldest_at).total_seconds()))
            for of in self._backlog
        }

    async def _look_back(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._looks_back_at:
            self._backlog = await self._cursors.backlog()
            self._looks_back_at = now + BACKLOG_SECONDS

    async def _serve(self, consumer: Consumer[W], cursor: Cursor) -> None:
        """Give a stream one turn. If the turn fails, the stream waits while others go on."""
        try:
            try:
                await self._turn_of(consumer, cursor)
            except _Failed as failed:
                await self._give_way(consumer, failed)
        except DomainError as problem:
            log.warning("%s left %s, as the store is away: %s", consumer.name, cursor.stream, problem)

    async def _turn_of(self, consumer: Consumer[W], cursor: Cursor) -> None:
        """Apply event after event, until there is none or the time of this turn is over."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + TURN_SECONDS
        while (began := loop.time()) < ends:
            try:
                event, head = await self._cursors.next(cursor, consumer.wants)
                if event is not None:
                    before, cursor = cursor, await self._step(consumer, cursor, event)
            except Exception as problem:
                raise _Failed(cursor, problem) from problem
            if event is None:
                if await self._cursors.settle(cursor, consumer.wants, head):
                    return
            elif cursor.position > before.position:
                self._observer.happened("consumed", "done")
            else:
                self._observer.happened("consumed", "piece")
                # The event needs further pieces. Pausing as long as each takes leaves half of the time to others.
                await asyncio.sleep(loop.time() - began)
        await self._cursors.postpone(cursor, self._clock.now(), has_failed=False)

    async def _give_way(self, consumer: Consumer[W], failed: "_Failed") -> None:
        cursor, problem = failed.cursor, failed.problem
        pause = min(RETRY_FIRST * 2 ** min(cursor.failures, 16), RETRY_LONGEST)
        self._observer.happened("consumed", "failed")
        log.warning(
            "%s failed in %s behind offset %d, and tries again in %g s: %s",
            *(
                consumer.name,
                cursor.stream,
                cursor.position,
                pause.total_seconds(),
                str(problem) or type(problem).__name__,
            ),
            exc_info=None if isinstance(problem, DomainError) else problem,
        )
        await self._cursors.postpone(cursor, self._clock.now() + pause, has_failed=True)

    @retried
    async def _step(self, consumer: Consumer[W], cursor: Cursor, event: EventView) -> Cursor:
        """Apply the effect, or a piece of it, and move the cursor, all in one unit of work."""
        correlation.set(Correlation(event.request_id, event.traceparent, depth=event.depth or 0))
        async with self._work() as work:
            is_done = await consumer.effect(work, event, self._clock.now())
            return work.cursors.move(cursor, event.offset if is_done else cursor.position, event.at)

    def _take(self, item: Entry | Signal) -> None:
        if isinstance(item, Signal) and item.channel == NEWS:
            self._news.set()


class _Failed(Exception):
    """A consumer failed at the event after a cursor."""

    def __init__(self, cursor: Cursor, problem: Exception) -> None:
        super().__init__(str(problem))
        self.cursor = cursor
        self.problem = problem
