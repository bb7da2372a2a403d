"""What one connection follows: streams, of which each entry comes once, and topics beside them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from application.feeds import Feed
from application.principal import Principal
from application.realtime.conversation import Conversation
from application.realtime.frames import (
    Reason,
    Resync,
    ServerFrame,
    Subscribed,
    Unsubscribed,
)
from application.realtime.peer import Peer
from application.realtime.stream import Following
from application.realtime.surroundings import Surroundings
from application.realtime.topic import Listener, Topic, value_of
from application.scopes import ScopeMissing
from domain.channels import PRESENCE
from domain.errors import DomainError, NotFound, Unavailable
from domain.ids import AccountId


class _Beginning(NamedTuple):
    """After which offset a stream is shown, if not from now on, and why that is not what was asked for.

    `restarts` is how often the stream had started over when this was found out.
    """

    since: int | None
    lost: Reason | None
    restarts: int


REPEAT_SECONDS = 0.5


class Follower(Peer, Listener, Protocol):
    """A connection as what it follows sees it."""


class Subscriptions:
    """The channels of one connection: durable ones through a following of their stream, the others through a topic."""

    __slots__ = ("_conversation", "_followings", "_id", "_peer", "_present", "_say", "_shared", "_topics", "epoch")

    def __init__(
        self,
        id: str,
        conversation: Conversation,
        shared: Surroundings,
        peer: Follower,
        say: Callable[[ServerFrame], None],
    ) -> None:
        """`id` names the connection in the lobby, and `say` sends it a frame."""
        self._id = id
        self._conversation = conversation
        self._shared = shared
        self._peer = peer
        self._say = say
        self._followings: dict[str, Following] = {}
        self._topics: dict[str, Topic] = {}
        self._present: set[str] = set()
        # The lineage of the journal that the peer was told last; empty before it was told one.
        self.epoch = ""

    @property
    def _actor(self) -> Principal:
        """Whose connection it is, which is known before anything is followed."""
        assert self._conversation.principal
        return self._conversation.principal

    @property
    def _account(self) -> AccountId:
        return self._actor.account_id

    def go_on(self) -> None:
        """Send what the channels show, now that the peer has been told of them."""
        for following in self._followings.values():
            following.go_on()

    def fall_behind(self) -> None:
        """The peer cannot keep up: it reads the journal at its own pace from here on."""
        for following in self._followings.values():
            following.stream.fall_behind(following)

    def relieved(self) -> None:
        """The peer keeps up again."""
        for following in self._followings.values():
            following.relieved()

    def offsets(self) -> dict[str, int]:
        """Up to where the peer was sent each stream that it follows."""
        return {
            name: following.stream.position
            if following.is_live
            else min(s.shown_to for s in following.channels.values())
            for name, following in self._followings.items()
            if following.channels
        }

    def end(self, *, is_leaving: bool) -> None:
        """Follow nothing any more; who `is_leaving` is not expected back."""
        for stream in list(self._followings):
            self._end(stream)
        for topic in list(self._topics.values()):
            self._forget(topic)
        go = self._shared.lobby.leave if is_leaving else self._shared.lobby.linger
        for channel in self._present:
            go(channel, self._id)
        self._present.clear()

    async def follow(
        self,
        names: Sequence[str],
        since_of: Callable[[Feed], int | None],
        *,
        lineage: str | None = None,
        be_present: bool = False,
    ) -> dict[str, Subscribed | DomainError]:
        """Show more channels, each after an offset of its stream or from now on; Unavailable if none can be.

        The offsets belong to this `lineage` of the journal, or to the present one.
        """
        channels: dict[str, Subscribed | DomainError] = dict.fromkeys(names, NotFound())
        for name in names:
            if (refusal := self._shared.hub.channels.refusal(self._actor, name)) is not None:
                channels[name] = refusal
        names = [name for name in names if not isinstance(channels[name], ScopeMissing)]
        begins: dict[str, _Beginning] = {}
        shown: dict[str, int] = {}
        try:
            feeds = await self._shared.hub.channels.feeds(self._account, names, self._entitled())
            for name, feed in feeds.items():
                if feed.stream is not None:
                    since = since_of(feed) if feed.shows_any else None
                    begins[name] = await self._hear(feed.stream, since, lineage)
            feeds = await self._confirm(feeds)
            for name, feed in feeds.items():
                if feed.stream is not None:
                    shown[name] = self._followings[feed.stream].show(name, feed, begins[name].since)
        finally:
            for stream, following in list(self._followings.items()):
                if not following.channels:
                    self._end(stream)
        for name, feed in feeds.items():
            if not feed.shows_any:
                channels[name] = await self._attend(name, feed, be_present=be_present)
        channels.update(self._standing(feeds, shown, begins))
        return channels

    def _standing(
        self, feeds: Mapping[str, Feed], shown: Mapping[str, int], begins: Mapping[str, _Beginning]
    ) -> Mapping[str, Subscribed]:
        """Where the durable channels stand; the peer is told of the streams on which it has to read anew."""
        channels: dict[str, Subscribed] = {}
        resyncs: dict[str, Reason] = {}
        for name, feed in feeds.items():
            if feed.stream is None or not feed.shows_any:
                continue
            offset, lost = shown[name], begins[name].lost
            following = self._followings.get(feed.stream)
            if following is not None and following.stream.restarts != begins[name].restarts:
                # Before the peer could be told where it stands.
                offset, lost = following.stream.position, following.stream.restarted_because
            channels[name] = Subscribed(feed.stream, offset, lost is None)
            if lost is not None:
                resyncs[feed.stream] = lost
            if begins[name].since is not None or lost is not None:
                self._shared.observer.happened("resume", lost or "recovered")
        for stream, reason in resyncs.items():
            self._resync(stream, reason)
        return channels

    def _resync(self, stream: str, reason: Reason, offset: int | None = None) -> None:
        """Tell the peer that its position means nothing, and of the lineage of the journal if that is news to it."""
        known, epoch = self.epoch, self._shared.hub.epoch
        self.epoch = known and epoch
        self._say(Resync(stream, reason, offset, None if known in {"", epoch} else epoch))

    async def _hear(self, stream_name: str, since: int | None, lineage: str | None) -> _Beginning:
        """Follow a stream, of which nothing is shown yet; returns where it can begin, and why not at `since`."""
        following = self._followings.get(stream_name)
        if following is None:
            stream = await self._shared.hub.stream(stream_name)
            following = Following(stream, self._peer, self._account, self._recheck, self._restarted)
            self._followings[stream_name] = following
        stream, restarts = following.stream, following.stream.restarts
        lost: Reason | None = None
        if since is not None:
            if lineage not in {None, self._shared.hub.epoch}:
                lost = "epoch"
            elif since < stream.reader.tail:
                lost = "pruned"
            elif since > stream.position:
                if since > await self._shared.hub.head(stream_name):
                    lost = "offset"
                else:
                    await stream.reaches(since)
        return _Beginning(since if lost is None else None, lost, restarts)

    async def _confirm(self, feeds: dict[str, Feed]) -> dict[str, Feed]:
        """Ask again now that the streams are heard: a right that was lost before, or meanwhile, was lost unnoticed."""
        confirmed = dict(feeds)
        while unsure := {n: f.stream for n, f in confirmed.items() if f.stream and f.stream not in self._entitled()}:
            losses = {name: following.stream.losses for name, following in self._followings.items()}
            found = await self._shared.hub.channels.feeds(self._account, unsure)
            for name, stream in unsure.items():
                if name in found and stream in self._followings:
                    self._followings[stream].entitled_as_of = losses[stream]
                else:
                    del confirmed[name]
        return confirmed

    async def _attend(self, name: str, feed: Feed, *, be_present: bool) -> Subscribed | DomainError:
        """Pass on what is said on a channel that is not durable."""
        topic = self._topics[name] = self._shared.hub.topic(feed.channel)
        topic.followers.add(self._peer.format, self._peer)
        try:
            if feed.channel.kind is not PRESENCE:
                await self._shared.hub.know(topic)
            else:
                if be_present:
                    self._present.add(name)
                    await self._shared.lobby.enter(topic, self._account, self._id)
                await self._shared.lobby.correct(topic)
        except BaseException as error:
            if name not in self._conversation.channels:
                self.leave(name)
            if isinstance(error, DomainError):
                return error
            raise
        if self._topics.get(name) is not topic:  # the right to it was lost meanwhile
            if be_present:
                self._shared.lobby.leave(name, self._id)
            return NotFound()
        if feed.channel.kind is PRESENCE:
            return Subscribed(present=list(topic.present()))
        for signal in topic.newest():
            if data := self._peer.format.frame(value_of(signal)):
                self._peer.pass_on(name, signal.key, data)
        return Subscribed()

    def _entitled(self) -> set[str]:
        """The streams that are followed and that nobody lost since: the right to one covers every channel of it."""
        return {
            name for name, following in self._followings.items() if following.entitled_as_of == following.stream.losses
        }

    def leave(self, name: str) -> None:
        """Follow a channel no longer, and be present there no longer."""
        for stream, following in list(self._followings.items()):
            if name in following.channels:
                following.hide(name)
                if not following.channels:
                    self._end(stream)
        topic = self._topics.get(name)
        if topic is not None:
            self._forget(topic)
        if name in self._present:
            self._present.discard(name)
            self._shared.lobby.leave(name, self._id)

    def _forget(self, topic: Topic) -> None:
        self._topics.pop(topic.name, None)
        topic.followers.discard(self._peer.format, self._peer)
        self._shared.hub.forget(topic)

    def _end(self, stream: str) -> None:
        following = self._followings.pop(stream, None)
        if following is not None:
            following.end()
            self._shared.hub.release(following.stream)

    def _restarted(self, following: Following, reason: Reason) -> None:
        """Nothing leads from what was shown of a stream to what is shown from now on."""
        self._shared.observer.happened("resume", reason)
        self._resync(following.stream.name, reason, following.stream.position)

    async def _recheck(self, following: Following) -> None:
        """Ask again for the right to every channel of a stream; a replay passes by losses of long ago."""
        while True:
            names = list(following.channels)
            try:
                kept = await self._shared.hub.channels.feeds(self._account, names)
                break
            except Unavailable:
                await asyncio.sleep(REPEAT_SECONDS)  # nothing more is shown until this is known
        for name in names:
            if name not in kept and name in following.channels:
                self._say(Unsubscribed(name, NotFound.code))
                self._conversation.lost(name)
                self.leave(name)
