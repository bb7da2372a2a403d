"""Combines questions that are asked at the same time into one call."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeAlias, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

_Waiting: TypeAlias = tuple[Sequence[Q], "asyncio.Future[Sequence[A]]"]


class Together(Generic[Q, A]):
    """Sends the questions of one turn of the event loop in one call, and those that come meanwhile in the next.

    `send` gets questions in the order in which they were asked, and returns an answer for each. It gets `at_once` at
    most, or all questions of one caller who asks more. No answer is older than its question. Cancelled questions are
    not sent. If a call takes longer than `patience_seconds`, the next caller starts a second call beside it, for all
    that wait. For use on one event loop.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        at_once: int,
        patience_seconds: float = math.inf,
    ) -> None:
        self._send = send
        self._at_once = at_once
        self._patience_seconds = patience_seconds
        self._waiting: deque[_Waiting[Q, A]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._sent_at = 0.0

    def ask(self, questions: Sequence[Q]) -> "asyncio.Future[Sequence[A]]":
        """A future of the answers, or of the exception that `send` raised. Cancelling it affects no other caller."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Future[Sequence[A]] = loop.create_future()
        self._waiting.append((questions, answers))
        if self._sending is None or loop.time() > self._sent_at + self._patience_seconds:
            self._sent_at = loop.time()
            # The task starts after all callers of this turn have asked. It works for many, so its context is empty.
            self._sending = loop.create_task(self._run(), context=Context())
        return answers

    async def _run(self) -> None:
        try:
            while self._waiting:
                self._sent_at = asyncio.get_running_loop().time()
                if taken := self._taken():
                    await self._answer(taken)
        finally:
            if self._sending is asyncio.current_task():
                self._sending = None

    def _taken(self) -> "list[_Waiting[Q, A]]":
        """The questions that wait longest, as many as fit into a call."""
        taken: list[_Waiting[Q, A]] = []
        room = self._at_once
        while self._waiting and (not taken or len(self._waiting[0][0]) <= room):
            questions, answers = self._waiting.popleft()
            if not answers.done():
                taken.append((questions, answers))
                room -= len(questions)
        return taken

    async def _answer(self, taken: "Sequence[_Waiting[Q, A]]") -> None:
        asked = [question for questions, _ in taken for question in questions]
        try:
            found = await self._send(asked) if asked else ()
        except Exception as error:  # noqa: BLE001  # any error goes to all callers of this call
            for _, answers in taken:
                if not answers.done():
                    answers.set_exception(error)
        else:
            start = 0
            for questions, answers in taken:
                end = start + len(questions)
                if not answers.done():
                    answers.set_result(found[start:end])
                start = end
