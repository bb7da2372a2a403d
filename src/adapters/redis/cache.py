"""A cache in Redis that processes share, behind the cache in the memory of each."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from adapters.breaker import Breaker
from adapters.redis.line import Line
from adapters.redis.seal import Seal
from application.ports.cache import Cache
from application.ports.observer import Observer

KEPT_SECONDS = 60
# Comes on top of the 50 ms that the rate limit of the request may take.
ANSWER_SECONDS = 0.05
# A larger entry would delay the answers behind it on the connection.
LARGEST_BYTES = 262_144


class RedisCache(Cache):
    """Asks Redis for entries that `near` lacks. Stores loaded entries in both, in Redis for a minute.

    An entry holds its own key and state, so it is never returned for another key. An entry without the `seal` of this
    installation counts as missing. A call waits for Redis for `answer_seconds` at most. Redis may not evict keys here,
    so each process stores at most `max_bytes` a minute, and Redis holds less than twice that per process. For use on
    one event loop.
    """

    def __init__(
        self,
        url: str,
        near: Cache,
        max_bytes: int,
        seal: Seal,
        observer: Observer,
        prefix: str = "signalbox:cache:",
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._near = near
        self._max_bytes = max_bytes
        self._seal = seal
        self._observer = observer
        self._prefix = prefix
        self.breaker = Breaker("Redis is away, so lists are kept by each process", "lists are kept in Redis again")
        self._line = Line(url, "signalbox-cache", answer_seconds, self.breaker)
        self._put_bytes = 0
        self._put_since = 0.0

    async def through(self, key: str, state: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        return await self._near.through(key, state, partial(self._load, key, state, load))

    def close(self) -> None:
        """Close the connection. From now on Redis counts as empty."""
        self._line.close()

    async def _load(self, key: str, state: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        head = f"{key}\n{state}\n".encode()
        sealed = await self._get(key)
        entry = None if sealed is None else self._seal.opened(key.encode(), sealed)
        if sealed is not None and entry is None:
            self._observer.happened("cache", "forged")
        if entry is not None and entry.startswith(head):
            self._observer.happened("cache", "shared")
            return entry[len(head) :]
        value = await load()
        if value is not None:
            self._put(key, self._seal.sealed(key.encode(), head + value))
        return value

    async def _get(self, key: str) -> bytes | None:
        began = time.perf_counter()
        try:
            entry: bytes | None = await self._line.call("GET", self._prefix + key)
        except OSError as problem:  # includes TimeoutError
            self._observer.called("redis", "get", began, problem)
            self._observer.happened("cache", "unavailable")
            return None
        self._observer.called("redis", "get", began)
        return entry

    def _put(self, key: str, entry: bytes) -> None:
        now = time.monotonic()
        if now >= self._put_since + KEPT_SECONDS:
            self._put_since, self._put_bytes = now, 0
        if len(entry) <= min(LARGEST_BYTES, self._max_bytes - self._put_bytes):
            self._put_bytes += len(entry)
            self._line.send("SET", self._prefix + key, entry, "EX", KEPT_SECONDS)
