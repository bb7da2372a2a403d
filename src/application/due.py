"""Runs what is due at a deadline. Deadlines wait in the store and not in a process, so none is lost with a process."""

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import Context
from datetime import datetime, timedelta

from cachetools import TTLCache

from application.ports.due import DUE, LOOK, Ahead, Due, Late, alarm_of
from application.ports.events import Broker, Entry, Signal
from application.ports.observer import Observer
from application.ports.system import Clock
from application.ports.unit_of_work import Stale
from application.principal import correlation, new_correlation
from domain.errors import DomainError, NotFound

# Of the WINDOW things of one kind that are longest due, BATCH are taken at a time.
WINDOW = 200
BATCH = 50
# The pause after each look, even if more is due.
PAUSE_SECONDS = 0.02
# The pause after a look that found all due things skipped, because other processes were changing them.
PASSED_OVER_SECONDS = 0.1
# How long things that run may take to end when this process ends.
GRACE_SECONDS = 5.0
RETRY_FIRST = timedelta(seconds=1)
RETRY_LONGEST = timedelta(minutes=5)
FAILING_MAX = 1_000
COUNTED_MAX = 10_000

log = logging.getLogger(__name__)


class Later:
    """Runs what is due, each kind separately. Any number of processes may do so at once.

    A kind is looked at when its next deadline comes, and after a second at the latest. A deadline that is written and
    comes before that is looked at in time. Fifty things are taken at a time, of which as many run together as their
    kind says; when one ends, the next one begins. If one fails, or does not end within the time that its kind gives
    it, it waits for 1 s, and twice as long after each further failure, up to five minutes. All others go on.
    Everything but these waits is in the store. So a killed process leaves nothing behind, and the other processes go
    on at once.
    """

    def __init__(self, due: Sequence[Due], broker: Broker, clock: Clock, observer: Observer) -> None:
        self._watches = {kind.name: _Watch(kind, clock, observer) for kind in due}
        self._broker = broker
        broker.listen(self._take, self._wake)

    async def run(self) -> None:
        """Run what is due until cancelled."""
        self._broker.follow(DUE)
        try:
            async with asyncio.TaskGroup() as watching:
                for watch in self._watches.values():
                    watching.create_task(watch.run())
                await asyncio.Event().wait()
        finally:
            self._broker.unfollow(DUE)

    async def turn(self) -> int:
        """Run at most fifty things of each kind that are due now. Returns their number."""
        return sum([await watch.turn() for watch in self._watches.values()])

    def lag(self) -> Mapping[str, tuple[int, int, float]]:
        """How late each kind was at the last look, by name.

        The figures are the number of things that are due, the number of those that fail in this process, and for how
        many seconds the one that is longest due has waited.
        """
        return {name: watch.lag for name, watch in self._watches.items()}

    def _take(self, item: Entry | Signal) -> None:
        if isinstance(item, Signal) and item.channel == DUE:
            at = alarm_of(item)
            for watch in self._watches.values():
                watch.look_at(at)

    def _wake(self) -> None:
        for watch in self._watches.values():
            watch.look_in(0)


class _Watch:
    """Runs the things of one kind."""

    def __init__(self, kind: Due, clock: Clock, observer: Observer) -> None:
        self._kind = kind
        self._clock = clock
        self._observer = observer
        self._waking = asyncio.Event()
        self._alarm: asyncio.Handle | None = None
        self._alarm_at = math.inf
        # How often each thing has failed, and when it is tried again.
        self._failing: TTLCache[Late, tuple[int, datetime]] = TTLCache(
            FAILING_MAX, 2 * RETRY_LONGEST.total_seconds(), lambda: clock.now().timestamp()
        )
        # What was taken and has not begun, what runs, and what has ended well since things were taken.
        self._taken: deque[Late] = deque()
        self._running: dict[Late, asyncio.Task[None]] = {}
        self._seen_to: set[Late] = set()
        self.lag = (0, 0, 0.0)

    async def run(self) -> None:
        try:
            while True:
                self._waking.clear()
                self._silence()
                self.look_in(LOOK.total_seconds())
                try:
                    await self._look()
                except Exception as problem:
                    # A failure of one kind must not stop the others.
                    log.warning(
                        "cannot see which %s are due: %s",
                        self._kind.name,
                        str(problem) or type(problem).__name__,
                        exc_info=None if isinstance(problem, DomainError) else problem,
                    )
                await asyncio.sleep(PAUSE_SECONDS)
                await self._waking.wait()
        finally:
            self._taken.clear()
            try:
                if self._running:
                    await asyncio.wait(self._running.values(), timeout=GRACE_SECONDS)
            finally:
                await self._stop()

    async def turn(self) -> int:
        """Run at most fifty things that are due now, and wait until they have ended. Returns their number."""
        try:
            taken = await self._look()
            while self._running:
                await asyncio.wait(self._running.values())
            return taken
        finally:
            await self._stop()

    def look_at(self, at: datetime) -> None:
        """Look at this time, unless a look is planned before it."""
        self.look_in((at - self._clock.now()).total_seconds())

    def look_in(self, seconds: float) -> None:
        """Look after this time, unless a look is planned before it."""
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if at < self._alarm_at:
            self._silence()
            # Its `when()` is of no use: uvloop gives a handle without one if the time is nearly now.
            self._alarm, self._alarm_at = loop.call_later(seconds, self._waking.set), at

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm, self._alarm_at = None, math.inf

    async def _stop(self) -> None:
        self._taken.clear()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._running.clear()  # one that had not begun could not take itself out

    async def _look(self) -> int:
        """Take at most fifty things that are due now, unless some wait already. Returns their number."""
        now = self._clock.now()
        ahead = await self._kind.deadlines.look(now, COUNTED_MAX)
        self._measure(now, ahead)
        if ahead.next_at is not None:
            self.look_at(ahead.next_at)
        if self._taken or len(self._running) >= self._kind.at_once:
            return 0  # whatever ends looks again
        before, self._seen_to = self._seen_to, set()
        if not ahead.late:
            return 0
        waiting = {late: until for late, (_, until) in self._failing.items() if until > now}
        besides = {*waiting, *self._running}
        found = await self._kind.deadlines.late(now, WINDOW, besides)
        if waiting:
            self.look_at(min(waiting.values()))
        if not found and ahead.late > len(besides):
            self.look_in(PASSED_OVER_SECONDS)
        # Other processes may have found the same things. Each takes a random sample, so that few run twice.
        taken = random.sample(found, min(len(found), BATCH))
        for late in taken:
            if late in before:
                self._give_way(late, "it is still due after it was seen to", None)
            else:
                self._taken.append(late)
        self._fill()
        return len(taken)

    def _fill(self) -> None:
        """Begin what was taken, as far as there is room for it. If nothing is left of it, look for more."""
        while self._taken and len(self._running) < self._kind.at_once:
            late = self._taken.popleft()
            # Its context is empty: what it does belongs to no request, and to none of the others.
            self._running[late] = asyncio.create_task(self._see_to(late), context=Context())
        if not self._taken and self._seen_to:
            self.look_in(0)  # if nothing has ended well, everything taken failed, and there is no hurry

    async def _see_to(self, late: Late) -> None:
        correlation.set(new_correlation())
        try:
            async with asyncio.timeout(self._kind.deadline_seconds):
                await self._kind.elapse(late.id, self._clock.now())
        except (Stale, NotFound):
            self._note(late, "overtaken")
        except Exception as problem:  # noqa: BLE001  # a failure of any kind concerns this thing alone
            self._give_way(late, str(problem) or type(problem).__name__, problem)
        else:
            self._note(late, "done")
        finally:
            self._running.pop(late, None)
            self._fill()

    def _note(self, late: Late, outcome: str) -> None:
        self._failing.pop(late, None)
        self._seen_to.add(late)
        self._observer.happened("elapsed", outcome)

    def _give_way(self, late: Late, reason: str, problem: Exception | None) -> None:
        times, _ = self._failing.get(late, (0, None))
        pause = min(RETRY_FIRST * 2 ** min(times, 16), RETRY_LONGEST)
        self._failing[late] = times + 1, self._clock.now() + pause
        self._observer.happened("elapsed", "failed")
        log.warning(
            "%s %s was due at %s and failed, and is tried again in %g s: %s",
            *(self._kind.name, late.id, late.due_at.isoformat(), pause.total_seconds(), reason),
            exc_info=None if isinstance(problem, DomainError) else problem,
        )

    def _measure(self, now: datetime, ahead: Ahead) -> None:
        self._failing.expire()
        if not ahead.late:
            self._failing.clear()
        age = (now - ahead.first_at).total_seconds() if ahead.first_at else 0.0
        self.lag = ahead.late, len(self._failing), max(0.0, age)
