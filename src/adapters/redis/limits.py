"""Limits that all processes share, at the price of one call to Redis for everybody who asks at the same time."""

import asyncio
import hashlib
from contextvars import Context
from time import perf_counter
from typing import Any

import hiredis

from adapters.breaker import Breaker
from adapters.redis.connection import Address, Link, pack
from application.ports.limits import RateLimiter, Verdict
from application.ports.observer import Observer

# Logging in takes from four counts one after the other, and shall not wait for Redis longer than 250 ms.
ANSWER_SECONDS = 0.05
CONNECT_SECONDS = 2.0

# The generic cell rate algorithm. A key holds the time, in µs, at which its count will be empty again. Every call
# moves it a step on, and may not move it further ahead of now than a whole burst. All numbers are whole and
# below 2^53, so Lua's floating point is exact. A step of 0 asks to forget the key. A time further ahead than a
# burst is left from a larger limit or from before the host's clock was set back; it is cut, or it would lock for long.
_SCRIPT = b"""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {}
for i, key in ipairs(KEYS) do
  local step, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local ahead = math.max(0, (tonumber(redis.call('GET', key)) or now) - now)
  local after = math.min(ahead, burst)
  if after + step <= burst then after = after + step end
  if step == 0 then
    redis.call('DEL', key)
  elseif after ~= ahead then
    redis.call('SET', key, string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
  end
  answer[i] = math.min(ahead, burst)
end
return answer
"""
_SHA = hashlib.sha1(_SCRIPT, usedforsecurity=False).hexdigest()


class RedisRateLimiter(RateLimiter):
    """Counts in Redis, by the clock of Redis, in one Lua script; counts with `fallback` while Redis is away.

    What is asked during one turn of the event loop, and while an answer is awaited, goes out as one call: with 32
    requests in flight a limit costs each a few µs. Nobody waits for longer than `answer_seconds`, for the connection
    (as only the very first callers do), the answer before theirs and their own together. After a failure Redis is left
    alone for a second, and connecting goes on behind the callers' backs, so an outage makes no request wait. For use on
    one event loop.

    What a call costs is a whole number of µs, rounded down.
    """

    def __init__(
        self,
        url: str,
        fallback: RateLimiter,
        observer: Observer,
        prefix: str = "signalbox:limit:",
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._address = Address(url)
        self._fallback = fallback
        self._observer = observer
        self._prefix = prefix
        self._answer_seconds = answer_seconds
        self._link: Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._first = True
        self._closed = False
        self._waiting: list[_Question] = []
        self._waiting_since = 0.0
        self._asked: list[_Question] = []
        self._flush_is_due = False
        self._deadline: asyncio.TimerHandle | None = None
        self.breaker = Breaker("Redis is away, so each process counts for itself", "limits are shared again")

    async def take(self, key: str, limit: int, window_ms: int, cost: float = 1) -> Verdict:
        interval = max(1, window_ms * 1_000 // limit)
        burst = interval * limit
        step = max(1, int(interval * min(cost, limit)))
        ahead = await self._ask(key, step, burst)
        if ahead is None:
            return await self._fallback.take(key, limit, window_ms, cost)
        after = ahead + step
        if after > burst:
            return Verdict(False, (burst - ahead) // interval, ahead / 1e6, (after - burst) / 1e6)
        return Verdict(True, (burst - after) // interval, after / 1e6, 0.0)

    async def forget(self, key: str) -> None:
        await self._fallback.forget(key)
        await self._ask(key, 0, 0)

    def close(self) -> None:
        """Let go of the connection; whoever still asks is answered by the fallback."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._give_up(None)
        self._closed = True

    async def _ask(self, key: str, step: int, burst: int) -> int | None:
        """How many µs the count of `key` was ahead before this call, or None if Redis cannot be asked."""
        began = perf_counter()
        loop = asyncio.get_running_loop()
        if self._link is None:
            self._connect(loop)
        answer: asyncio.Future[int | None] = loop.create_future()
        if not self._waiting:
            self._waiting_since = loop.time()
        # Total, since one key that cannot be encoded would spoil the call of everybody.
        self._waiting.append(((self._prefix + key).encode("utf-8", "surrogatepass"), step, burst, answer))
        if not self._flush_is_due:
            self._flush_is_due = True
            loop.call_soon(self._flush)
        ahead = await answer
        self._observer.called("redis", "limit", began, None if ahead is not None else _AWAY)
        return ahead

    def _flush(self) -> None:
        self._flush_is_due = False
        if not self._waiting or self._asked:  # the answer that is awaited will flush again
            return
        link = self._link
        if link is None:
            if not self._first:
                self._give_up(None)
            elif self._deadline is None:
                self._set_deadline()
            return
        self._asked, self._waiting = self._waiting, []
        self._set_deadline()
        self._call(link, "EVALSHA", _SHA)

    def _call(self, link: Link, command: str, script: str | bytes) -> None:
        arguments: list[str | bytes | int] = [command, script, len(self._asked)]
        arguments += [question[0] for question in self._asked]
        for _, step, burst, _ in self._asked:
            arguments += (step, burst)
        link.send(pack(tuple(arguments)))

    def _received(self, reply: Any) -> None:
        if self._link and isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            self._call(self._link, "EVAL", _SCRIPT)
            return
        if not isinstance(reply, list) or len(reply) != len(self._asked):
            self._give_up(f"it answered {str(reply)[:100]!r}")
            return
        self.breaker.succeed()
        self._clear_deadline()
        asked, self._asked = self._asked, []
        for (_, _, _, answer), ahead in zip(asked, reply, strict=True):
            if not answer.done():
                answer.set_result(ahead)
        self._flush()

    def _set_deadline(self) -> None:
        self._clear_deadline()
        deadline = self._waiting_since + self._answer_seconds
        self._deadline = asyncio.get_running_loop().call_at(deadline, self._give_up, "no answer in time")

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self, reason: str | None) -> None:
        """Answer everybody with None; with a `reason`, let Redis alone for a while."""
        self._clear_deadline()
        self._first = False
        if self._link is not None:
            self._link.abort()  # its next reply would belong to a question that nobody asks any more
            self._link = None
        if reason is not None:
            self.breaker.fail(reason)
        questions, self._asked, self._waiting = self._asked + self._waiting, [], []
        for _, _, _, answer in questions:
            if not answer.done():
                answer.set_result(None)

    def _lost(self) -> None:
        if self._asked:
            self._give_up("the connection was lost")
        else:  # as Redis does with idle connections; whoever asks next shall find one
            self._link = None
            self._connect(asyncio.get_running_loop())

    def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._connecting is None and not self._closed and self.breaker.state != "open":
            # What the connection will say is not on the account of whoever happens to need it first.
            self._connecting = loop.create_task(self._connect_now(), context=Context())

    async def _connect_now(self) -> None:
        try:
            self._link = await self._address.connect("signalbox-limits", self._received, self._lost, CONNECT_SECONDS)
        except OSError as problem:
            self._give_up(str(problem) or type(problem).__name__)
            return
        finally:
            self._connecting = None
        self._first = False
        self._clear_deadline()
        self._flush()


_AWAY = ConnectionError("Redis cannot be asked")
_Question = tuple[bytes, int, int, "asyncio.Future[int | None]"]
