"""Rate limits that all processes share. Concurrent requests share one call to Redis."""

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

# A login takes from four counts one after the other, and must not wait for Redis longer than 250 ms in all.
ANSWER_SECONDS = 0.05
CONNECT_SECONDS = 2.0

# The generic cell rate algorithm. A key holds the time, in µs, at which its count will be empty again. Every call
# moves that time on by a step, and may not move it further ahead of now than a burst. A negative step takes
# a call back, and a step of 0 deletes the key.
# A time more than a burst ahead comes from a larger limit, or from before the host's clock was set back. It is cut,
# because it would lock for long. All numbers are whole and below 2^53, so Lua's floating point is exact.
_SCRIPT = b"""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {}
for i, key in ipairs(KEYS) do
  local step, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local ahead = math.max(0, (tonumber(redis.call('GET', key)) or now) - now)
  local after = math.min(ahead, burst)
  if after + step <= burst then after = math.max(0, after + step) end
  if step == 0 or after == 0 then
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
    """Counts in Redis, by the clock of Redis, in one Lua script. Counts with `fallback` while Redis is unavailable.

    Questions of one turn of the event loop, and those that come while an answer is awaited, go out as one call: with 32
    requests in flight a limit costs each a few µs. A caller waits `answer_seconds` at most. That includes the answer to
    the call before, and for the very first callers the connection. After a failure Redis is not asked for a second, and
    a background task connects again, so an outage delays no request. For use on one event loop.

    The cost of a call is a whole number of µs, rounded down.
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
        interval = _interval(limit, window_ms)
        burst = interval * limit
        step = max(1, int(interval * min(cost, limit)))
        ahead = await self._ask(key, step, burst)
        if ahead is None:
            return await self._fallback.take(key, limit, window_ms, cost)
        after = ahead + step
        if after > burst:
            return Verdict(False, (burst - ahead) // interval, ahead / 1e6, (after - burst) / 1e6)
        return Verdict(True, (burst - after) // interval, after / 1e6, 0.0)

    async def give_back(self, key: str, limit: int, window_ms: int) -> None:
        interval = _interval(limit, window_ms)
        if await self._ask(key, -interval, interval * limit) is None:
            await self._fallback.give_back(key, limit, window_ms)

    async def forget(self, key: str) -> None:
        await self._fallback.forget(key)
        await self._ask(key, 0, 0)

    def close(self) -> None:
        """Close the connection. The fallback answers callers that still wait, and later ones."""
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
        # `surrogatepass`, because a key that cannot be encoded would fail the whole call.
        self._waiting.append(((self._prefix + key).encode("utf-8", "surrogatepass"), step, burst, answer))
        if not self._flush_is_due:
            self._flush_is_due = True
            loop.call_soon(self._flush)
        ahead = await answer
        self._observer.called("redis", "limit", began, None if ahead is not None else _AWAY)
        return ahead

    def _flush(self) -> None:
        self._flush_is_due = False
        if not self._waiting or self._asked:  # the next answer flushes again
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
        """Answer all waiting callers with None. With a `reason`, also open the breaker."""
        self._clear_deadline()
        self._first = False
        if self._link is not None:
            self._link.abort()  # its next reply would belong to an abandoned call
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
        else:  # Redis closes idle connections: have one ready for the next caller
            self._link = None
            self._connect(asyncio.get_running_loop())

    def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._connecting is None and not self._closed and self.breaker.state != "open":
            # An empty context, so that the connection's log lines are not tied to the request that needed it first.
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


def _interval(limit: int, window_ms: int) -> int:
    """The µs in which a call of cost 1 drains."""
    return max(1, window_ms * 1_000 // limit)


_AWAY = ConnectionError("Redis cannot be asked")
_Question = tuple[bytes, int, int, "asyncio.Future[int | None]"]
