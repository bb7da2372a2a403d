"""Connects what this process follows with the broker, and sees to it that lost hints are noticed."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from application.ports.events import Broker, Entry, JournalQueries, Signal
from application.realtime.pages import Pages
from application.realtime.reader import Reader
from application.realtime.stream import Stream
from application.realtime.topic import Topic
from domain.channels import Channel
from domain.errors import DomainError

HEAD_CHECK_SECONDS = 0.5
RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


class Hub:
    """The readers, streams and topics of this process.

    Every stream that connections follow is read once, whoever they are; an event stream over HTTP has a reader of its
    own. The heads of all of them are checked twice a second, and whenever hints may have been lost: that is what finds
    a lost last hint, also of the entry that takes somebody's rights away.
    """

    def __init__(self, journal: JournalQueries, broker: Broker) -> None:
        self._journal = journal
        self._broker = broker
        self._pages = Pages(journal)
        self._readers: dict[str, set[Reader]] = {}
        self._streams: dict[str, asyncio.Task[tuple[Stream, asyncio.Task[None]]]] = {}
        self._topics: dict[str, Topic] = {}
        self._check = asyncio.Event()
        broker.listen(self._take, self._check.set)

    @asynccontextmanager
    async def reader(self, stream: str, since: int | None) -> AsyncIterator[Reader]:
        """A reader of `stream` that starts behind offset `since`, or at the present head without one.

        A `since` beyond the head belongs to another lineage of the journal; then, too, it starts at the head, and the
        caller sees by `position` that nothing could be resumed.
        """
        # Following begins before the head is read, so nothing falls between the two.
        reader = Reader(self._journal, stream, since or 0)
        followers = self._readers.setdefault(stream, set())
        if not followers:
            self._broker.follow(stream)
        followers.add(reader)
        try:
            head = (await self._journal.heads([stream]))[stream]
            if since is None or since > head:
                reader.start_at(head)
            reader.learn_head(head)
            yield reader
        finally:
            followers.discard(reader)
            if not followers and self._readers.get(stream) is followers:
                del self._readers[stream]
                self._broker.unfollow(stream)

    async def stream(self, name: str) -> Stream:
        """The stream of this name, which connections of this process share; Unavailable if it cannot be opened now.

        Give it back with `release` when nothing on it is followed any more.
        """
        while True:
            opening = self._streams.get(name)
            if opening is None:
                opening = self._streams[name] = asyncio.create_task(self._open(name))
            try:
                stream, _ = await asyncio.shield(opening)
            except BaseException:
                # Whoever is cancelled may have been the only one who wanted it.
                opening.add_done_callback(lambda opened: self._opened_for_nobody(name, opened))
                raise
            if self._streams.get(name) is opening:  # and was not closed while this waited for its turn
                return stream

    def release(self, stream: Stream) -> None:
        """Read a stream no longer if nobody follows it."""
        opening = self._streams.get(stream.name)
        if not stream.followings and opening is not None and opening.done() and opening.result()[0] is stream:
            del self._streams[stream.name]
            opening.result()[1].cancel()

    def _opened_for_nobody(self, name: str, opening: "asyncio.Task[tuple[Stream, asyncio.Task[None]]]") -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.release(opening.result()[0])
        elif self._streams.get(name) is opening:
            self._streams.pop(name, None)

    async def _open(self, name: str) -> tuple[Stream, asyncio.Task[None]]:
        opened = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(self._run(name, opened))
        return await opened, running

    async def _run(self, name: str, opened: asyncio.Future[Stream]) -> None:
        try:
            async with self.reader(name, None) as reader:
                stream = Stream(reader, self._pages)
                opened.set_result(stream)
                await stream.run()
        except Exception as error:
            if not opened.done():
                opened.set_exception(error)
                return
            log.exception("following %s failed", name)
            self._streams.pop(name, None)
            for following in list(opened.result().followings):
                following.peer.fail()

    def topic(self, channel: Channel) -> Topic:
        """What passes by on a channel that is not durable; give it back with `forget`."""
        name = str(channel)
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(channel)
            self._broker.follow(name)
        return topic

    def forget(self, topic: Topic) -> None:
        """Listen to a topic no longer if nobody follows it."""
        if not topic.followers and self._topics.get(topic.name) is topic:
            del self._topics[topic.name]
            self._broker.unfollow(topic.name)

    def topics(self) -> list[Topic]:
        return list(self._topics.values())

    async def head(self, stream: str) -> int:
        """How far a stream has come, by the journal itself."""
        return (await self._journal.heads([stream]))[stream]

    def _take(self, item: Entry | Signal) -> None:
        if isinstance(item, Entry):
            for reader in self._readers.get(item.stream, ()):
                reader.offer(item)
        elif topic := self._topics.get(item.channel):
            topic.take(item)

    async def check_heads(self) -> None:
        """Tell every reader how far its stream has come."""
        if not self._readers:
            return
        for stream, head in (await self._journal.heads(list(self._readers))).items():
            for reader in self._readers.get(stream, ()):
                reader.learn_head(head)

    async def run(self) -> None:
        """Check the heads until cancelled; while the journal is away, keep trying."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEAD_CHECK_SECONDS):
                    await self._check.wait()
            self._check.clear()
            try:
                await self.check_heads()
            except DomainError as problem:
                log.warning("cannot check the heads of the followed streams: %s", problem)
                await asyncio.sleep(RETRY_SECONDS)
                self._check.set()
