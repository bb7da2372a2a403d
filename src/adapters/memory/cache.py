"""A cache in the memory of the process: the only cache of a single process, and the first of several otherwise."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from cachetools import TTLCache

from application.ports.cache import Cache
from application.ports.observer import Observer
from application.ports.system import Clock

KEPT_SECONDS = 60.0
# The memory that an entry takes besides its bytes: its key, its state and its places in the cache's own tables.
ENTRY_BYTES = 1_000
# An entry may take this fraction of the cache at most. Otherwise a single large entry could replace all others.
LARGEST_SHARE = 16


class MemoryCache(Cache):
    """Keeps `max_bytes` at most, each entry for a minute. The least recently used entries are dropped first.

    For use on one event loop.
    """

    def __init__(self, max_bytes: int, clock: Clock, observer: Observer) -> None:
        self._largest = max_bytes // LARGEST_SHARE
        self._observer = observer
        self._kept: TTLCache[str, _Kept] = TTLCache(max_bytes, KEPT_SECONDS, lambda: clock.now().timestamp(), _size)
        self._loading: dict[tuple[str, str], asyncio.Task[bytes | None]] = {}

    @property
    def size(self) -> int:
        """The size of all entries, in bytes."""
        return int(self._kept.currsize)

    async def through(self, key: str, state: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        try:
            kept = self._kept[key]
        except KeyError:
            self._observer.happened("cache", "miss")
        else:
            if kept.state == state:
                self._observer.happened("cache", "hit")
                return kept.value
            self._observer.happened("cache", "stale")
        loading = self._loading.get((key, state))
        if loading is None:
            # A separate task, because the first caller may be cancelled while others wait for the same entry.
            loading = self._loading[key, state] = asyncio.create_task(self._load(key, state, load))
        return await asyncio.shield(loading)

    async def _load(self, key: str, state: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        try:
            value = await load()
        finally:
            del self._loading[key, state]
        if value is not None and len(value) + ENTRY_BYTES <= self._largest:
            self._kept[key] = _Kept(state, value)
        return value


class _Kept(NamedTuple):
    state: str
    value: bytes


def _size(kept: _Kept) -> int:
    return len(kept.value) + ENTRY_BYTES
