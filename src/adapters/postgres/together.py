"""One statement for all who have the same question at the same time."""

import asyncio
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
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = 0.0

    async def get(self, key: K) -> V | None:
        """The answer for `key`, None if there is none, or what asking raised."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[V | None] = loop.create_future()
        self._waiting.append((key, answer))
        if self._asking is None or loop.time() > self._asked_at + PATIENCE_SECONDS:
            self._asked_at = loop.time()
            # It begins when everybody of this turn has come, and belongs to none of them.
            self._asking = loop.create_task(self._run(), context=Context())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                self._asked_at = asyncio.get_running_loop().time()
                await self._answer(waiting)
        finally:
            if self._asking is asyncio.current_task():
                self._asking = None

    async def _answer(self, waiting: Sequence[tuple[K, "asyncio.Future[V | None]"]]) -> None:
        try:
            answers = await self._ask(list({key: None for key, _ in waiting}))
        except Exception as error:  # noqa: BLE001  # whoever waits is told, whatever it is
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for key, answer in waiting:
                if not answer.done():
                    answer.set_result(answers.get(key))
