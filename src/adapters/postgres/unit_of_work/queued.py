"""Group commit: changes to a busy stream share a statement, because their commits would wait for each other."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass

from adapters.postgres.connection import Connection
from adapters.postgres.database import Database
from adapters.postgres.unit_of_work.applied import apply
from adapters.postgres.unit_of_work.changed import Change
from application.journal import NEWS_MAX_BYTES
from application.ports.events import Entry
from application.ports.unit_of_work import Stale
from domain.errors import Unavailable

TOGETHER_MAX = 32


@dataclass(slots=True)
class _Waiting:
    change: Change
    applied: "asyncio.Future[Sequence[Entry]]"
    is_sent: bool = False


class Commits:
    """Commits the changes of one process.

    The row of a stream is locked until its transaction is on disk, so a stream takes one commit at a time. A change to
    an idle stream is applied at once, as one statement. Changes that arrive meanwhile wait without a connection, and
    share the next statement: under load, many changes pay for one flush of the log. If one of them cannot be applied,
    each is tried alone, so that it does not fail the others.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._draining: set[asyncio.Task[None]] = set()

    def is_busy(self, stream: str | None) -> bool:
        """Whether a change to this stream would have to wait for another change of this process."""
        return stream is not None and stream in self._waiting

    async def alone(self, change: Change, connection: Connection) -> Sequence[Entry]:
        """Apply a change at once. Changes to the same stream that come meanwhile wait for it."""
        stream = change.stream
        if stream is None or stream in self._waiting:
            return await self._applied(connection, change)
        self._waiting[stream] = deque()
        try:
            return await self._applied(connection, change)
        finally:
            if self._waiting[stream]:
                # The task works for many callers, so its context is empty. Each caller reports its own waiting time.
                task = asyncio.create_task(self._drain(stream), context=Context())
                self._draining.add(task)
                task.add_done_callback(self._draining.discard)
            else:
                del self._waiting[stream]

    async def together(self, change: Change, stream: str) -> Sequence[Entry]:
        """Apply a change to a busy stream, together with other changes that wait for it."""
        waiting = _Waiting(change, asyncio.get_running_loop().create_future())
        self._waiting[stream].append(waiting)
        call = self._database.call("commit")
        with call:
            try:
                return await waiting.applied
            finally:
                call.commits = waiting.is_sent

    async def _drain(self, stream: str) -> None:
        queue = self._waiting[stream]
        try:
            while queue:
                taken = [queue.popleft()]
                size = taken[0].change.size
                while queue and len(taken) < TOGETHER_MAX and (size := size + queue[0].change.size) <= NEWS_MAX_BYTES:
                    taken.append(queue.popleft())
                if batch := [waiting for waiting in taken if not waiting.applied.done()]:
                    await self._apply(batch)
        finally:
            del self._waiting[stream]
            _fail(queue, Unavailable("The store does not answer."))  # the queue is empty unless this task was cancelled

    async def _apply(self, batch: Sequence[_Waiting]) -> None:
        try:
            connection = await self._database.acquire()
        except Exception as error:  # noqa: BLE001  # every waiting caller gets it
            _fail(batch, error)
            return
        try:
            for waiting in batch:
                waiting.is_sent = True
            with self._database.commit("group commit", connection):
                entries = await apply(connection, [waiting.change for waiting in batch])
        except Unavailable as error:
            # The batch may be committed, so it must not be tried again. Or a lock timed out, and would for each alone.
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001
            if len(batch) == 1:
                _fail(batch, error)
            else:
                await self._one_by_one(connection, batch)
        else:
            for waiting, applied in zip(batch, entries, strict=True):
                if not waiting.applied.done():
                    waiting.applied.set_result(applied)
        finally:
            await self._database.release(connection)

    async def _one_by_one(self, connection: Connection, batch: Sequence[_Waiting]) -> None:
        for waiting in batch:
            if waiting.applied.done():
                continue
            try:
                with self._database.commit("group commit", connection):
                    (entries,) = await apply(connection, [waiting.change])
            except Exception as error:  # noqa: BLE001
                _fail([waiting], error)
            else:
                if not waiting.applied.done():
                    waiting.applied.set_result(entries)

    async def _applied(self, connection: Connection, change: Change) -> Sequence[Entry]:
        with self._database.commit("commit", connection):
            (entries,) = await apply(connection, [change])
            return entries


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.applied.done():
            # Each caller gets its own copy, because a raised exception carries the traceback of its caller.
            copy = Stale() if isinstance(error, Stale) else error
            waiting.applied.set_exception(copy)
