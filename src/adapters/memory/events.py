"""The journal in memory, and the broker of a single process."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import accumulate

import msgspec

from adapters.memory.database import MemoryDatabase
from adapters.memory.pages import page_of
from application.journal import event_view
from application.paging import PAGE_BYTES, Page, decode_cursor
from application.ports.events import (
    Broker,
    Entry,
    EventFilter,
    EventView,
    HistoryGone,
    JournalQueries,
    Signal,
    Span,
    Survey,
)

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder(order="deterministic").encode


class MemoryJournalQueries(JournalQueries):
    """The journal for reading only. Each process has its own epoch, because the journal ends with the process."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def read(self, stream: str, after: int, limit: int) -> Sequence[Entry]:
        begin = max(after - self._database.committed.tail(stream), 0)
        entries = self._stream(stream)[begin : begin + limit]
        sizes = accumulate(len(entry.body) for entry in entries)
        return entries[: max(1, sum(size <= PAGE_BYTES for size in sizes))]

    async def heads(self, streams: Collection[str]) -> Mapping[str, int]:
        return {stream: self._database.committed.head(stream) for stream in streams}

    async def within(self, streams: Collection[str]) -> Mapping[str, str]:
        kept = self._database.committed.within
        return {stream: kept[stream] for stream in streams if stream in kept}

    async def survey(self, streams: Collection[str]) -> Survey:
        kept = self._database.committed
        return Survey(self._database.epoch, {name: Span(kept.tail(name), kept.head(name)) for name in streams})

    async def page(
        self, stream: str, wanted: EventFilter, newest_first: bool, cursor: str | None, limit: int
    ) -> Page[EventView]:
        query = f"events {stream} {newest_first} {_encode(wanted).decode()}"
        after = decode_cursor(cursor, query, int) if cursor is not None else None
        if after is not None and not newest_first and self._database.committed.tail(stream) > after[0]:
            raise HistoryGone("Events that come next here are kept no longer.", pointer="?cursor")
        found = [view for entry in self._stream(stream) if _meets(view := _view(entry), wanted)]
        return page_of(found, lambda view: view, lambda view: (view.offset,), query, after, limit, newest_first)

    def _stream(self, stream: str) -> Sequence[Entry]:
        return self._database.committed.streams.get(stream, ())


class MemoryBroker(Broker):
    """Passes every item to the listeners of this process at once, inside `publish`."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Entry | Signal], None]] = []
        # How many follow each topic.
        self._followed: dict[str, int] = {}

    def publish(self, items: Sequence[Entry | Signal]) -> None:
        for item in items:
            topic = item.stream if isinstance(item, Entry) else item.channel
            if topic in self._followed:
                for take in self._listeners:
                    try:
                        take(item)
                    except Exception:
                        log.exception("a follower of %s failed", topic)

    def listen(self, take: Callable[[Entry | Signal], None], reconnected: Callable[[], None]) -> None:
        self._listeners.append(take)

    def follow(self, topic: str) -> None:
        self._followed[topic] = self._followed.get(topic, 0) + 1

    def unfollow(self, topic: str) -> None:
        left = self._followed.pop(topic, 0) - 1
        if left > 0:
            self._followed[topic] = left

    async def check(self) -> None:
        return None

    async def run(self) -> None:
        await asyncio.Event().wait()


def _view(entry: Entry) -> EventView:
    return event_view(entry.stream, entry.offset, bytes(entry.body).decode())


def _meets(view: EventView, wanted: EventFilter) -> bool:
    if wanted.type is not None and not (
        view.type.startswith(wanted.type[:-1]) if wanted.type.endswith("*") else view.type == wanted.type
    ):
        return False
    if wanted.resource_id and view.resource.id != wanted.resource_id:
        return False
    if wanted.actor and view.actor != wanted.actor:
        return False
    if wanted.after and view.at < wanted.after:
        return False
    return not (wanted.before and view.at >= wanted.before)
