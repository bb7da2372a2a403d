"""The newest values that all processes share, in Redis."""

import time
from collections.abc import Collection, Sequence
from time import perf_counter
from typing import Any, NamedTuple

from msgspec import Raw
from msgspec.structs import replace

from adapters.breaker import Breaker
from adapters.redis.line import Line, Script
from adapters.redis.seal import Seal
from adapters.together import Together
from adapters.values import Values
from application.ports.events import GONE, Broker, Signal
from application.ports.newest import Newest
from application.ports.observer import Observer
from domain.channels import Channel

ANSWER_SECONDS = 0.25
AT_ONCE = 500
CHANNELS_AT_ONCE = 100

# Keys under the prefix, for each channel: the hash `values` (key to version, end and sealed data) and the sorted set
# `ends` of the keys by their end. Both end with the value that lasts longest. Times are µs on Redis's clock, and a
# version is the time of its value, or one more than the version before. All numbers are whole and below 2^53.
_COMMON = """
local prefix = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function key(kind, channel) return prefix .. kind .. ':' .. channel end
local function whole(number) return string.format('%.0f', number) end
"""

# Returns the time, and for each value its version and the one before. Empty data means that the value is gone.
_TELL = Script(
    "newest tell",
    _COMMON
    + """
local outcomes = {now}
for i = 2, #ARGV, 4 do
  local channel, name, data, lasts = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local values, ends = key('values', channel), key('ends', channel)
  for _, ended in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('HDEL', values, ended)
    redis.call('ZREM', ends, ended)
  end
  local version, before = now, false
  local kept = redis.call('HGET', values, name)
  if kept then
    local known, ended, value = string.match(kept, '^(%d+) (%d+) (.*)$')
    version = math.max(now, tonumber(known) + 1)
    before = tonumber(ended) > now and value
  end
  if data == '' then
    redis.call('HDEL', values, name)
    redis.call('ZREM', ends, name)
  else
    redis.call('HSET', values, name, whole(version) .. ' ' .. whole(now + lasts) .. ' ' .. data)
    redis.call('ZADD', ends, whole(now + lasts), name)
    local milliseconds = math.ceil(lasts / 1000) + 1
    if redis.call('PTTL', values) < milliseconds then redis.call('PEXPIRE', values, milliseconds) end
    if redis.call('PTTL', ends) < milliseconds then redis.call('PEXPIRE', ends, milliseconds) end
  end
  outcomes[#outcomes + 1] = {version, before}
end
return outcomes
""",
)

# Returns the index of its channel, the key, the version, how long it still has, and the data of each value.
_OF = Script(
    "newest read",
    _COMMON
    + """
local found = {}
for i = 2, #ARGV do
  local kept = redis.call('HGETALL', key('values', ARGV[i]))
  for j = 1, #kept, 2 do
    local version, ends, value = string.match(kept[j + 1], '^(%d+) (%d+) (.*)$')
    local left = tonumber(ends) - now
    if left > 0 then found[#found + 1] = {i - 2, kept[j], tonumber(version), left, value} end
  end
end
return found
""",
)


class _Told(NamedTuple):
    channel: str
    key: str
    data: Raw | None
    seconds: float


class _Outcome(NamedTuple):
    """The version of a value, and the data before. `is_shared` is false if Redis was not asked in time."""

    version: int
    before: Raw | None
    is_shared: bool


class RedisNewest(Newest):
    """Every value is one step of a Lua script. The values of one turn of the loop go out in one call.

    Data carries the `seal` of this installation for its channel and key; without it a value counts as missing. This
    process also remembers what it was told itself, for while Redis is away. Versions then go on by an estimate of
    Redis's clock. Keys begin with `prefix`. For use on one event loop.
    """

    def __init__(
        self,
        url: str,
        seal: Seal,
        broker: Broker,
        observer: Observer,
        prefix: str = "signalbox:newest:",
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._seal = seal
        self._broker = broker
        self._observer = observer
        self._prefix = prefix
        self.breaker = Breaker("Redis is away, so newest values are kept by each process", "newest values are shared")
        self._line = Line(url, "signalbox-newest", answer_seconds, self.breaker)
        self._telling: Together[_Told, _Outcome] = Together(self._tell, AT_ONCE)
        self._own = Values()
        # How far the clock of Redis is ahead of the monotonic one here.
        self._ahead_us = time.time_ns() // 1_000 - _now_us()

    async def tell(self, channel: Channel, key: str, data: Raw | None, seconds: float) -> Raw | None:
        name = str(channel)
        (outcome,) = await self._telling.ask([_Told(name, key, data, seconds)])
        signal = Signal(name, key, outcome.version, GONE if data is None else data, seconds)
        now = time.monotonic()
        own = self._own.put(signal, now if data is None else now + seconds, now)
        self._broker.publish([signal])
        if outcome.is_shared:
            return outcome.before
        return None if own is None else own.data

    async def of(self, channels: Collection[Channel]) -> Sequence[Signal]:
        names = [str(channel) for channel in channels]
        found: list[Signal] = []
        try:
            for start in range(0, len(names), CHANNELS_AT_ONCE):
                found += await self._read(names[start : start + CHANNELS_AT_ONCE])
        except OSError:
            now = time.monotonic()
            own = [each for name in names for each in self._own.of(name, now)]
            return [replace(signal, seconds=seconds) for signal, seconds in own]
        return found

    def close(self) -> None:
        """Close the connection. From now on Redis counts as away."""
        self._line.close()

    async def _tell(self, told: Sequence[_Told]) -> Sequence[_Outcome]:
        arguments: list[str | bytes | int] = []
        for name, key, data, seconds in told:
            sealed = b"" if data is None else self._seal.sealed(_place(name, key), bytes(data))
            arguments += (name, key, sealed, round(seconds * 1_000_000))
        try:
            now, *outcomes = await self._call(_TELL, *arguments)
        except OSError:  # includes TimeoutError
            version = _now_us() + self._ahead_us
            return [_Outcome(version + i, None, is_shared=False) for i in range(len(told))]
        self._ahead_us = now - _now_us()
        return [
            _Outcome(version, self._opened(name, key, before), is_shared=True)
            for (name, key, _, _), (version, before) in zip(told, outcomes, strict=True)
        ]

    async def _read(self, names: Sequence[str]) -> Sequence[Signal]:
        found = []
        for index, encoded, version, left, sealed in await self._call(_OF, *names):
            key = encoded.decode("utf-8", "surrogatepass")
            if (data := self._opened(names[index], key, sealed)) is not None:
                found.append(Signal(names[index], key, version, data, left / 1_000_000))
        return found

    def _opened(self, name: str, key: str, sealed: bytes | None) -> Raw | None:
        if sealed is None:
            return None
        data = self._seal.opened(_place(name, key), sealed)
        if data is None:
            self._observer.happened("hint_refused", "forged")
            return None
        return Raw(data)

    async def _call(self, script: Script, *arguments: str | bytes | int) -> Any:
        began = perf_counter()
        try:
            reply = await self._line.run(script, self._prefix, *arguments)
        except OSError as problem:
            self._observer.called("redis", script.name, began, problem)
            raise
        self._observer.called("redis", script.name, began)
        return reply


def _now_us() -> int:
    return time.monotonic_ns() // 1_000


def _place(channel: str, key: str) -> bytes:
    return f"{channel} {key}".encode("utf-8", "surrogatepass")
