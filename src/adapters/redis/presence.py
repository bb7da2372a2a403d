"""Presence on all instances, in Redis. The entries of an instance end with its lease, which a dead one cannot renew."""

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

from adapters.breaker import Breaker
from adapters.redis.line import Line, Script
from adapters.together import Together
from application.ports.observer import Observer
from application.ports.presence import Attendance, Presence, Present
from domain.errors import Unavailable
from domain.ids import AccountId

LEASE_SECONDS = 13.0
ANSWER_SECONDS = 0.25
AT_ONCE = 500
# By then every process has renewed its lease, and has found that its entries were lost.
SETTLED_SECONDS = 5.0

# Keys under the prefix. For each channel: the hash `connections` (connection to account), the hash `accounts` (account
# to number of connections) and the counter `version`. For each instance: the set `entered` (channel, NUL, connection)
# and the number `turn`. For all: the sorted set `instances` by the end of their leases, and the time `since` which
# nothing was lost. Times are µs on Redis's clock.
#
# A `version` starts at the current time. So a counter that was lost starts above its old value, unless its channel
# changed more than once per µs. The counter of an empty channel is kept for a day. All numbers are whole and below
# 2^53, so Lua's floating point is exact.
_COMMON = """
local prefix, instance = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local instances = prefix .. 'instances'
local function key(kind, name) return prefix .. kind .. ':' .. name end

local function holds_lease()
  local lease_end = redis.call('ZSCORE', instances, instance)
  return lease_end and tonumber(lease_end) > now
end

local function version_of(channel)
  return tonumber(redis.call('GET', key('version', channel)) or now)
end

local function next_version(channel)
  local version = key('version', channel)
  redis.call('SET', version, now, 'NX')
  local number = redis.call('INCR', version)
  if redis.call('EXISTS', key('accounts', channel)) == 1 then
    redis.call('PERSIST', version)
  else
    redis.call('EXPIRE', version, 86400)
  end
  return number
end

local function enter(channel, connection, account)
  if redis.call('HSETNX', key('connections', channel), connection, account) == 0 then return nil end
  redis.call('SADD', key('entered', instance), channel .. '\\0' .. connection)
  redis.call('HINCRBY', key('accounts', channel), account, 1)
  return next_version(channel)
end

local function leave(who, channel, connection)
  redis.call('SREM', key('entered', who), channel .. '\\0' .. connection)
  local account = redis.call('HGET', key('connections', channel), connection)
  if not account then return nil end
  redis.call('HDEL', key('connections', channel), connection)
  local left = redis.call('HINCRBY', key('accounts', channel), account, -1)
  if left <= 0 then redis.call('HDEL', key('accounts', channel), account) end
  return next_version(channel), account, math.max(left, 0)
end
"""


def _script(name: str, text: str) -> Script:
    """A script that begins with the functions that all scripts share."""
    return Script(f"presence {name}", _COMMON + text)


# Returns whether the instance still held its lease.
_KEEP = _script(
    "lease",
    """
local held = holds_lease()
redis.call('SET', prefix .. 'since', now, 'NX')
redis.call('ZADD', instances, now + ARGV[3], instance)
return held and 1 or 0
""",
)

# Returns nil if the instance holds no lease, because other entries may be lost with it. Refuses a turn that was
# overtaken: a command that timed out may still arrive, and would enter a connection that has left since.
_CHANGE = _script(
    "batch",
    """
if not holds_lease() then return false end
local turn = tonumber(ARGV[3])
if turn < tonumber(redis.call('GET', key('turn', instance)) or 0) then
  return redis.error_reply('OVERTAKEN by a later turn of this instance')
end
redis.call('SET', key('turn', instance), turn, 'EX', 86400)
local outcomes = {}
for i = 4, #ARGV, 4 do
  local channel, connection, account = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local changed
  if ARGV[i + 3] == '1' then
    changed = enter(channel, connection, account)
  else
    changed = leave(instance, channel, connection)
  end
  local connections = tonumber(redis.call('HGET', key('accounts', channel), account) or 0)
  outcomes[#outcomes + 1] = {changed and 1 or 0, connections, changed or version_of(channel)}
end
return outcomes
""",
)

_PRESENT = _script(
    "read",
    """
local since = tonumber(redis.call('GET', prefix .. 'since') or now)
local is_complete = now - since >= tonumber(ARGV[4])
return {version_of(ARGV[3]), redis.call('HKEYS', key('accounts', ARGV[3])), is_complete and 1 or 0}
""",
)

_REAP = _script(
    "reap",
    """
local gone, budget = {}, tonumber(ARGV[3])
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', instances, '-inf', now, 'LIMIT', 0, 100)) do
  if dead ~= instance and budget > 0 then
    local taken = redis.call('SPOP', key('entered', dead), budget)
    budget = budget - #taken
    for _, place in ipairs(taken) do
      local channel, connection = string.match(place, '^(%Z*)%z(.*)$')
      local version, account, left = leave(dead, channel, connection)
      if left == 0 then gone[#gone + 1] = {channel, account, version} end
    end
    if redis.call('EXISTS', key('entered', dead)) == 0 then
      redis.call('ZREM', instances, dead)
      redis.call('DEL', key('turn', dead))
    end
  end
end
return gone
""",
)


class _Place(NamedTuple):
    channel: str
    connection: str


class _Outcome(NamedTuple):
    """The result of a change. `connections` is the number of the account in the channel as of `version`."""

    changed: bool
    connections: int
    version: int


class _Change(NamedTuple):
    """A connection that is to be in a place (`is_here`) or out of it."""

    place: _Place
    account: AccountId
    is_here: bool


class RedisPresence(Presence):
    """Every change is one step of a Lua script. The changes of this process go out in order, at most 500 in one call.

    This process also notes its own entries. `refresh` enters again those that Redis lost, and takes out those that
    could not be taken out before. `instance` names this process and differs with every start. Its lease lasts
    `lease_seconds` on the clock of Redis. Two installations can share a Redis with different databases or prefixes.
    For use on one event loop.
    """

    def __init__(
        self,
        url: str,
        observer: Observer,
        instance: str = "",
        prefix: str = "signalbox:presence:",
        lease_seconds: float = LEASE_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        settled_seconds: float = SETTLED_SECONDS,
    ) -> None:
        self._observer = observer
        self._instance = instance or secrets.token_hex(8)
        self._prefix = prefix
        self._lease_us = round(lease_seconds * 1_000_000)
        self._settled_us = round(settled_seconds * 1_000_000)
        self.breaker = Breaker("Redis is away, so nobody knows who is present", "Redis knows again who is present")
        self._answer_seconds = answer_seconds
        self._line = Line(url, "signalbox-presence", answer_seconds, self.breaker)
        self._turns = itertools.count(1)

        self._here: dict[_Place, AccountId] = {}
        self._unsettled: dict[_Place, AccountId] = {}
        """Places of which the store may know something else than `_here`; the refresh settles them."""
        self._store_may_have_lost_us = True

        # Calls go out one after the other, so Redis gets the changes in the order of `ask`.
        self._changes: Together[_Change, _Outcome] = Together(self._make, AT_ONCE)

    async def enter(self, channel: str, account: AccountId, connection: str) -> Attendance:
        place = _Place(channel, connection)
        self._here[place] = account
        ((_, connections, version),) = await self._outcomes([self._wanted(place, account)])
        return Attendance(channel, account, connections, version)

    async def leave(self, channel: str, connection: str) -> Attendance | None:
        place = _Place(channel, connection)
        account = self._here.pop(place, None) or self._unsettled.get(place)
        if account is None:
            return None
        ((changed, connections, version),) = await self._outcomes([self._wanted(place, account)])
        return Attendance(channel, account, connections, version) if changed else None

    async def present(self, channel: str) -> Present:
        version, accounts, is_complete = await self._call(_PRESENT, channel, self._settled_us)
        return Present(version, [_account(account) for account in accounts], bool(is_complete))

    async def refresh(self) -> Sequence[Attendance]:
        await self._extend_lease()
        came: list[Attendance] = []
        everything, self._store_may_have_lost_us = self._store_may_have_lost_us, False
        places = list({**self._unsettled, **self._here} if everything else self._unsettled)
        try:
            for i in range(0, len(places), AT_ONCE):
                changes = [
                    self._wanted(place, account)
                    for place in places[i : i + AT_ONCE]
                    if (account := self._here.get(place) or self._unsettled.get(place)) is not None
                ]
                for change, (changed, connections, version) in zip(changes, await self._outcomes(changes), strict=True):
                    if change.is_here and changed and connections == 1:
                        came.append(Attendance(change.place.channel, change.account, connections, version))
        except BaseException:
            self._store_may_have_lost_us |= everything
            raise
        return came

    async def reap(self) -> Sequence[Attendance]:
        gone = await self._call(_REAP, AT_ONCE)
        return [Attendance(_text(channel), _account(account), 0, version) for channel, account, version in gone]

    def close(self) -> None:
        """Close the connection. Callers that still wait get Unavailable. Remaining entries end with the lease."""
        self._line.close()

    def _wanted(self, place: _Place, account: AccountId) -> _Change:
        """The change that makes Redis agree with `_here` on a place."""
        return _Change(place, account, place in self._here)

    async def _outcomes(self, changes: Sequence[_Change]) -> Sequence[_Outcome]:
        """The outcomes of the changes. Unavailable if one is not known in time; then `refresh` settles them all."""
        began = perf_counter()
        asked = self._changes.ask(changes)
        try:
            async with asyncio.timeout(self._answer_seconds):
                outcomes = await asked
        except BaseException as problem:
            self._unsettled.update((change.place, change.account) for change in changes)
            self._observer.called("redis", "presence change", began, problem)
            if isinstance(problem, TimeoutError | Unavailable):
                raise _unavailable() from problem
            raise
        for change in changes:
            self._note(change)
        self._observer.called("redis", "presence change", began)
        return outcomes

    def _note(self, change: _Change) -> None:
        """Note that Redis made a change. It settles the place unless a later call wants the opposite."""
        if change.is_here == (change.place in self._here):
            self._unsettled.pop(change.place, None)
        else:  # the later call may have been given up before it was sent
            self._unsettled[change.place] = change.account

    async def _make(self, changes: Sequence[_Change]) -> Sequence[_Outcome]:
        arguments: list[str] = []
        for change in changes:
            arguments += (*change.place, str(change.account), "1" if change.is_here else "0")
        outcomes = await self._call(_CHANGE, next(self._turns), *arguments)
        if outcomes is None:
            await self._extend_lease()
            outcomes = await self._call(_CHANGE, next(self._turns), *arguments)
        if outcomes is None:
            raise _unavailable()
        return [_Outcome(bool(changed), connections, version) for changed, connections, version in outcomes]

    async def _extend_lease(self) -> None:
        held = 0
        try:
            held = await self._call(_KEEP, self._lease_us)
        finally:
            if not held:  # a lost answer counts too, because it may have said so
                self._store_may_have_lost_us = True

    async def _call(self, script: Script, *arguments: str | int) -> Any:
        began = perf_counter()
        try:
            reply = await self._line.run(script, self._prefix, self._instance, *arguments)
        except OSError as problem:  # includes TimeoutError
            self._observer.called("redis", script.name, began, problem)
            raise _unavailable() from problem
        self._observer.called("redis", script.name, began)
        return reply


def _unavailable() -> Unavailable:
    return Unavailable("Who is present is not known now.")


def _text(encoded: bytes) -> str:
    return encoded.decode("utf-8", "surrogatepass")


def _account(encoded: bytes) -> AccountId:
    return AccountId(UUID(_text(encoded)))
