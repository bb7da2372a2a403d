"""Connects the readers, streams and topics of this process with the broker, and finds out which hints were lost."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from contextvars import Context

from application.feeds import Channels
from application.lease import Lease
from application.ports.events import Broker, Entry, JournalQueries, Signal, Survey
from application.ports.observer import Observer
from application.realtime.pages import Pages
from application.realtime.reader import JournalReader
from application.realtime.stream import Following, Stream
from application.realtime.topic import Topic
from domain.channels import Channel, ChannelClass
from domain.errors import DomainError, Unavailable

HEAD_CHECK_SECONDS = 0.5
RENEW_SECONDS = 5.0

log = logging.getLogger(__name__)


class Hub:
    """The readers, streams and topics of this process.

    Each stream is read once for all connections that follow it; an event stream over HTTP has a reader of its own.

    The heads of all followed streams are checked twice a second, and whenever hints may have been lost. Without that
    check, a lost hint would stay unnoticed if it was the last of its stream. It may be the one of an entry that takes a
    right away.
    """

    def __init__(
        self, journal: JournalQueries, broker: Broker, observer: Observer, lease: Lease, channels: Channels
    ) -> None:
        """Nothing is delivered without the `lease`; `channels` are those that can be followed."""
        self.channels = channels
        self._journal = journal
        self._observer = observer
        self._broker = broker
        self._pages = Pages(journal)
        self.lease = lease
        self._readers: dict[str, set[JournalReader]] = {}
        self._streams: dict[str, tuple[asyncio.Future[Stream], asyncio.Task[None]]] = {}
        self._topics: dict[str, Topic] = {}
        self._watched: dict[str, Callable[[Signal], None]] = {}
        self._check = asyncio.Event()
        # At the last check of the heads: how many committed entries were not delivered yet, and for how many seconds.
        self.lag = (0, 0.0)
        # The lineage of the journal as of half a second ago at most; empty before the journal was first asked.
        self.epoch = ""
        broker.listen(self._take, self._check.set)

    @property
    def followed(self) -> int:
        """How many streams are followed in this process."""
        return len(self._readers)

    @asynccontextmanager
    async def reader(self, stream: str, since: int | None) -> AsyncIterator[JournalReader]:
        """A reader of `stream` that starts after offset `since`, or at the present head without one.

        It starts over at the head if `since` is beyond the head, which belongs to another lineage of the journal, or
        before the tail, because the entries that follow are not kept any more.
        """
        # The broker is followed before the head is read, so no entry is missed between the two.
        reader = JournalReader(self._pages, stream, since or 0, self._observer, self.lease)
        followers = self._readers.setdefault(stream, set())
        if not followers:
            self._broker.follow(stream)
        followers.add(reader)
        try:
            survey = await self._survey([stream])
            span = survey.spans[stream]
            if since is None:
                reader.start_at(span.head)
            reader.learn(survey.epoch, span, reader.position)
            if since is not None:
                self._observer.happened("resume", reader.started_over or "recovered")
            yield reader
        finally:
            followers.discard(reader)
            if not followers and self._readers.get(stream) is followers:
                del self._readers[stream]
                self._broker.unfollow(stream)

    async def stream(self, name: str) -> Stream:
        """The stream of this name, shared by the connections of this process; Unavailable if it cannot be opened now.

        Call `release` when a following of it has ended.
        """
        while True:
            if name not in self._streams:
                opening = asyncio.get_running_loop().create_future()
                # It outlives the command that opens it, so it must not run in the context of that command.
                self._streams[name] = opening, asyncio.create_task(self._run(name, opening), context=Context())
            opened, _ = self._streams[name]
            try:
                stream = await asyncio.shield(opened)
            except asyncio.CancelledError:
                opened.add_done_callback(self._opened_perhaps_for_nobody)
                raise
            if self._is_open(stream):  # it was not closed before this task continued
                return stream

    def release(self, stream: Stream) -> None:
        """Stop reading a stream if it has no followers."""
        if not stream.followings and self._is_open(stream):
            _, running = self._streams.pop(stream.name)
            running.cancel()

    def _is_open(self, stream: Stream) -> bool:
        opened, _ = self._streams.get(stream.name, (None, None))
        return opened is not None and opened.done() and opened.exception() is None and opened.result() is stream

    def _opened_perhaps_for_nobody(self, opened: asyncio.Future[Stream]) -> None:
        if opened.exception() is None:
            self.release(opened.result())

    async def _run(self, name: str, opened: asyncio.Future[Stream]) -> None:
        try:
            async with self.reader(name, None) as reader:
                stream = Stream(reader, self._pages, self._observer, self.channels)
                opened.set_result(stream)
                await stream.run()
        except Exception as error:
            self._streams.pop(name, None)
            if not opened.done():
                opened.set_exception(error)
                return
            log.exception("following %s failed", name)
            for following in list(opened.result().followings):
                following.peer.fail()

    def followings(self) -> list[Following]:
        """All followings of streams in this process."""
        streams = [opened.result() for opened, _ in self._streams.values() if opened.done() and not opened.exception()]
        return [following for stream in streams for following in stream.followings]

    def topic(self, channel: Channel) -> Topic:
        """The topic of a channel that is not durable; call `forget` when a follower has left it."""
        name = str(channel)
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(channel, self._observer)
            self._broker.follow(name)
        return topic

    async def know(self, topic: Topic) -> None:
        """Return once a topic has the values that its context keeps; Unavailable if the context cannot answer now.

        Concurrent calls share one question.
        """
        if not topic.is_known:
            async with topic.asking:
                if not topic.is_known:
                    topic.begin(await self.channels.newest([topic.channel]))

    async def renew_topics(self) -> None:
        """Read the kept values of all keyed topics again, because the broker may have lost the newest of a key."""
        known = [topic for topic in self._topics.values() if topic.is_known]
        keyed = [topic.channel for topic in known if topic.channel.promises is ChannelClass.KEYED]
        try:
            values = await self.channels.newest(keyed)
        except Unavailable as problem:
            log.debug("newest values are not to be had: %s", problem)
            return
        for signal in values:
            if topic := self._topics.get(signal.channel):
                topic.take(signal)

    def forget(self, topic: Topic) -> None:
        """Stop listening to a topic if it has no followers."""
        if not topic.followers and self._topics.get(topic.name) is topic:
            topic.end()
            del self._topics[topic.name]
            self._broker.unfollow(topic.name)

    def watch(self, name: str, take: Callable[[Signal], None]) -> None:
        """Call `take` with every signal that processes send each other under this name, which is not a channel."""
        self._watched[name] = take
        self._broker.follow(name)

    def topics(self) -> list[Topic]:
        return list(self._topics.values())

    async def know_epoch(self) -> None:
        """Return once `epoch` is known; Unavailable if the journal cannot be asked now."""
        if not self.epoch:
            await self._survey([])

    async def head(self, stream: str) -> int:
        """The offset of the last entry of a stream, asked of the journal itself."""
        return (await self._journal.heads([stream]))[stream]

    def _take(self, item: Entry | Signal) -> None:
        if isinstance(item, Entry):
            for reader in self._readers.get(item.stream, ()):
                reader.offer(item)
        elif topic := self._topics.get(item.channel):
            topic.take(item)
        elif take := self._watched.get(item.channel):
            take(item)

    async def check_heads(self) -> None:
        """Tell every reader the lineage of the journal, and the head and tail of its stream."""
        # A reader that has not begun asks by itself: this answer may be older than its own, and arrive later.
        begun = [reader for followers in self._readers.values() for reader in followers if reader.has_begun]
        positions = [(reader, reader.position) for reader in begun]
        survey = await self._survey(list(self._readers))
        for reader, position in positions:
            reader.learn(survey.epoch, survey.spans[reader.stream], position)
        entries, seconds = 0, 0.0
        for opened, _ in self._streams.values():
            if opened.done() and opened.exception() is None:
                stream = opened.result()
                span = survey.spans.get(stream.name)
                head = span.head if span else 0
                entries += max(0, head - stream.position)
                seconds = max(seconds, stream.overdue(head))
        self.lag = (entries, seconds)
        self._observer.happened("position_check", "behind" if entries else "level")

    async def _survey(self, streams: Collection[str]) -> Survey:
        survey = await self._journal.survey(streams)
        if survey.epoch != self.epoch:
            if self.epoch:
                log.warning("the journal is another one: epoch %s, and not %s any more", survey.epoch, self.epoch)
                self._pages.forget()
                self._check.set()
            self.epoch = survey.epoch
        return survey

    async def run(self) -> None:
        """Check the heads until cancelled; while the journal is away, keep trying."""
        is_away = False
        renewed_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEAD_CHECK_SECONDS):
                    await self._check.wait()
            may_have_lost = self._check.is_set()
            self._check.clear()
            try:
                await self.check_heads()
                if may_have_lost or time.monotonic() - renewed_at > RENEW_SECONDS:
                    await self.renew_topics()
                    renewed_at = time.monotonic()
                is_away = False
            except DomainError as problem:
                self._observer.happened("position_check", "unavailable")
                if not is_away:
                    log.warning("cannot check the heads of the followed streams: %s", problem)
                is_away = True
