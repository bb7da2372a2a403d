"""Sends commands whose callers wait for the reply: many at a time on one link, each with a short deadline."""

import asyncio
import hashlib
from collections import deque
from contextvars import Context
from typing import Any

import hiredis

from adapters.breaker import Breaker
from adapters.redis.connection import Address, Link, pack


class Script:
    """A script in Lua. `name` is its name for the observer."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Line:
    """A link that is made when needed, and replaced when lost, if the breaker permits.

    A call takes `answer_seconds` at most, including the connection. While the breaker is not closed, a call does not
    wait for a connection. If a command gets no reply in time the link is aborted, because its next reply would be
    taken for that of another command. CLIENT LIST shows `name`. For use on one event loop.
    """

    def __init__(self, url: str, name: str, answer_seconds: float, breaker: Breaker) -> None:
        self._address = Address(url)
        self._name = name
        self._answer_seconds = answer_seconds
        self._breaker = breaker
        self._link: Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._asked: deque[asyncio.Future[Any] | None] = deque()
        self._closed = False

    async def call(self, *command: str | bytes | int) -> Any:
        """The reply of Redis. OSError if Redis refuses the command or does not reply in time."""
        return self._useful(await self._ask(command, self._deadline()))

    async def run(self, script: Script, *arguments: str | bytes | int) -> Any:
        """The result of a script. OSError if Redis refuses the script or does not reply in time."""
        # `surrogatepass`, because a text that cannot be encoded would fail the whole call.
        given = [each if isinstance(each, bytes) else str(each).encode("utf-8", "surrogatepass") for each in arguments]
        deadline = self._deadline()
        reply = await self._ask(("EVALSHA", script.sha, 0, *given), deadline)
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            reply = await self._ask(("EVAL", script.text, 0, *given), deadline)
        return self._useful(reply)

    def send(self, *command: str | bytes | int) -> None:
        """Send a command and ignore its reply. Without a connection the command is dropped."""
        if self._link is not None:
            self._asked.append(None)
            self._link.send(pack(command))

    def close(self) -> None:
        """Close the connection for good. Callers that still wait get ConnectionError."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.abort()
            self._forget()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._answer_seconds

    async def _ask(self, command: tuple[str | bytes | int, ...], deadline: float) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout_at(deadline):
                link = self._link or await self._connected()
                self._asked.append(answer)
                link.send(pack(command))
                return await answer
        except TimeoutError:
            if answer in self._asked and self._link is not None:
                self._link.abort()
                self._lost("no answer in time")
            raise

    def _useful(self, reply: Any) -> Any:
        if isinstance(reply, hiredis.ReplyError):
            self._breaker.fail(f"it answered {str(reply)[:200]!r}")
            raise ConnectionError("Redis refused the command")
        self._breaker.succeed()
        return reply

    async def _connected(self) -> Link:
        if self._connecting is None and not self._closed and self._breaker.state != "open":
            # An empty context, so that the connection's log lines are not tied to the caller that needed it first.
            self._connecting = asyncio.get_running_loop().create_task(self._connect(), context=Context())
        if self._connecting is not None and self._breaker.state == "closed":
            await asyncio.wait((self._connecting,))
        if self._link is None:
            raise ConnectionError("there is no connection")
        return self._link

    async def _connect(self) -> None:
        try:
            self._link = await self._address.connect(self._name, self._received, self._lost, self._answer_seconds)
        except OSError as problem:
            self._breaker.fail(str(problem) or type(problem).__name__)
        finally:
            self._connecting = None

    def _received(self, reply: Any) -> None:
        answer = self._asked.popleft()
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def _lost(self, reason: str = "the connection was lost") -> None:
        if self._asked:  # an idle link that is lost is no failure: the next call makes another
            self._breaker.fail(reason)
        self._forget()

    def _forget(self) -> None:
        self._link = None
        asked, self._asked = self._asked, deque()
        for answer in asked:
            if answer is not None and not answer.done():
                answer.set_exception(ConnectionError("the connection was lost"))
