"""Brokers that keep their contract as badly as it allows, and a journal that can be stopped and fail at every call."""

import asyncio
import itertools
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from application.paging import Page
from application.ports.events import Broker, Entry, EventFilter, EventView, JournalQueries, Signal, Survey


class Fate(Enum):
    """What becomes of one hint or signal."""

    ARRIVES = "arrives"
    IS_LOST = "is lost"
    IS_DOUBLED = "is doubled"
    IS_LATE = "is late"
    """It is held back, and passes on behind a later one, or when `release` is called."""


def dealing(fates: Sequence[Fate]) -> Callable[[Entry | Signal], Fate]:
    """Deals out these fates, one a hint or signal, again and again."""
    dealt = itertools.cycle(fates)
    return lambda _: next(dealt)


@dataclass(slots=True)
class _Held:
    item: Entry | Signal
    behind: int
    """How many more go first."""


class FaultyBroker(Broker):
    """Loses, doubles, delays and reorders what is published, and carries the rest by an `inner` broker.

    `fate` decides about each hint and signal. The late ones overtake each other: the newest of them is the first to
    pass on.
    """

    def __init__(self, inner: Broker, fate: Callable[[Entry | Signal], Fate]) -> None:
        self._inner = inner
        self._fate = fate
        self._held: list[_Held] = []
        self._reconnected: Callable[[], None] = lambda: None
        self.followed: list[str] = []

    def publish(self, items: Sequence[Entry | Signal]) -> None:
        for item in items:
            fate = self._fate(item)
            if fate is Fate.IS_LATE:
                self._held.append(_Held(item, 1 + len(self._held) % 3))
                continue
            if fate is not Fate.IS_LOST:
                self._inner.publish([item])
            if fate is Fate.IS_DOUBLED:
                self._inner.publish([item])
            self._let_pass()

    def release(self) -> None:
        """Let everything that is held back pass, the newest first."""
        held, self._held = self._held, []
        self._inner.publish([each.item for each in reversed(held)])

    def forget(self) -> None:
        """Lose everything that is held back, and tell the listener, as a broker does whose connection broke."""
        self._held.clear()
        self._reconnected()

    def listen(self, take: Callable[[Entry | Signal], None], reconnected: Callable[[], None]) -> None:
        self._reconnected = reconnected
        self._inner.listen(take, reconnected)

    def follow(self, topic: str) -> None:
        self.followed.append(topic)
        self._inner.follow(topic)

    def unfollow(self, topic: str) -> None:
        self.followed.remove(topic)
        self._inner.unfollow(topic)

    async def check(self) -> None:
        await self._inner.check()

    async def run(self) -> None:
        await self._inner.run()

    def _let_pass(self) -> None:
        for each in self._held:
            each.behind -= 1
        due = [each.item for each in self._held if each.behind <= 0]
        self._held = [each for each in self._held if each.behind > 0]
        self._inner.publish(due[::-1])


class FatalBroker(Broker):
    """Ends the whole process, as kill -9 does, in the moment between a commit and its first hint."""

    def publish(self, items: Sequence[Entry | Signal]) -> None:
        if any(isinstance(item, Entry) for item in items):
            os.kill(os.getpid(), signal.SIGKILL)

    def listen(self, take: Callable[[Entry | Signal], None], reconnected: Callable[[], None]) -> None: ...

    def follow(self, topic: str) -> None: ...

    def unfollow(self, topic: str) -> None: ...

    async def check(self) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()


class WatchedJournal(JournalQueries):
    """Another journal, with `at` awaited around each call: a place to let others come in, or to raise Unavailable.

    It is given `before read`, `after read`, `before heads` or `after heads`; `after` means that the answer is there.
    """

    def __init__(self, inner: JournalQueries, at: Callable[[str], Awaitable[None]]) -> None:
        self._inner = inner
        self._at = at

    async def read(self, stream: str, after: int, limit: int) -> Sequence[Entry]:
        await self._at("before read")
        entries = await self._inner.read(stream, after, limit)
        await self._at("after read")
        return entries

    async def heads(self, streams: Collection[str]) -> Mapping[str, int]:
        await self._at("before heads")
        heads = await self._inner.heads(streams)
        await self._at("after heads")
        return heads

    async def page(
        self, stream: str, wanted: EventFilter, newest_first: bool, cursor: str | None, limit: int
    ) -> Page[EventView]:
        return await self._inner.page(stream, wanted, newest_first, cursor, limit)

    async def within(self, streams: Collection[str]) -> Mapping[str, str]:
        return await self._inner.within(streams)

    async def survey(self, streams: Collection[str]) -> Survey:
        await self._at("before heads")
        survey = await self._inner.survey(streams)
        await self._at("after heads")
        return survey
