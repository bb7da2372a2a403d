"""One statement for all who have the same question at the same time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from typing import Generic, TypeVar

AT_ONCE = 500
PATIENCE_SECONDS = 0.1

K = TypeVar("K")
V = TypeVar("V")


class Together(Generic[K, V]):
    """Asks for one answer a key, once for all keys that are wanted during one turn of the event loop.

    What is wanted while an answer is awaited goes with the next question, so no answer is older than its question. Once
    one is awaited for 100 ms, the next who comes asks beside it, for all who wait. For use on one event loop.
    """

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._ask = ask
        self._waiting: deque[tuple[Sequence[K], asyncio.Future[Mapping[K, V]]]] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = 0.0

    async def get(self, keys: Sequence[K]) -> Mapping[K, V]:
        """The answers for `keys`, and perhaps for others; none for a key that has none. Or what asking raised."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Future[Mapping[K, V]] = loop.create_future()
        self._waiting.append((keys, answers))
        if self._asking is None or loop.time() > self._asked_at + PATIENCE_SECONDS:
            self._asked_at = loop.time()
            # It begins when everybody of this turn has come, and belongs to none of them.
            self._asking = loop.create_task(self._run(), context=Context())
        return await answers

    async def _run(self) -> None:
        try:
            while self._waiting:
                self._asked_at = asyncio.get_running_loop().time()
                await self._answer(*self._taken())
        finally:
            if self._asking is asyncio.current_task():
                self._asking = None

    def _taken(self) -> tuple[Sequence[K], Sequence["asyncio.Future[Mapping[K, V]]"]]:
        """The keys of those who wait longest, about as many as fit into a question, and whom to answer."""
        keys: dict[K, None] = {}
        waiting = []
        while self._waiting and len(keys) < AT_ONCE:
            wanted, answers = self._waiting.popleft()
            keys.update(dict.fromkeys(wanted))
            waiting.append(answers)
        return list(keys), waiting

    async def _answer(self, keys: Sequence[K], waiting: Sequence["asyncio.Future[Mapping[K, V]]"]) -> None:
        try:
            found = await self._ask(keys)
        except Exception as error:  # noqa: BLE001  # whoever waits is told, whatever it is
            for answers in waiting:
                if not answers.done():
                    answers.set_exception(error)
        else:
            for answers in waiting:
                if not answers.done():
                    answers.set_result(found)
