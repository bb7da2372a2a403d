"""What one connection follows: streams, whose entries it gets once each, and topics, which are not durable."""

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
from application.realtime.topic import Listener, Topic
from application.scopes import ScopeMissing
from domain.channels import PRESENCE
from domain.errors import DomainError, NotFound, Unavailable
from domain.ids import AccountId


class _Beginning(NamedTuple):
    """Where a channel begins on its stream.

    Entries are shown after offset `since`, or from now on if that is None. `lost` tells why the position that was asked
    for cannot be resumed. `restarts` is how often the stream had started over at this moment.
    """

    since: int | None
    lost: Reason | None
    restarts: int


REPEAT_SECONDS = 0.5


class Follower(Peer, Listener, Protocol):
    """A connection as its streams and topics see it."""


class Subscriptions:
    """The channels of one connection: a durable one through a following of its stream, any other through a topic."""

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
        # The last lineage of the journal that the peer was told; empty before the first.
        self.epoch = ""

    @property
    def _actor(self) -> Principal:
        """The principal of the connection, which is authenticated before it follows anything."""
        assert self._conversation.principal
        return self._conversation.principal

    @property
    def _account(self) -> AccountId:
        return self._actor.account_id

    def go_on(self) -> None:
        """Begin to send entries, because the peer has now been told where its channels begin."""
        for following in self._followings.values():
            following.go_on()

    def fall_behind(self) -> None:
        """Serve the peer from the journal at its own pace, because it cannot keep up."""
        for following in self._followings.values():
            following.stream.fall_behind(following)

    def relieved(self) -> None:
        """The peer keeps up again."""
        for following in self._followings.values():
            following.relieved()

    def offsets(self) -> dict[str, int]:
        """The offset up to which the peer was sent each stream that it follows."""
        return {
            name: following.stream.position
            if following.is_live
            else min(s.shown_to for s in following.channels.values())
            for name, following in self._followings.items()
            if following.channels
        }

    def end(self, *, is_leaving: bool) -> None:
        """Follow nothing any more. With `is_leaving` the peer is not expected to come back."""
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
        """Follow more channels, each after the offset that `since_of` returns, or from now on if that is None.

        The offsets belong to this `lineage` of the journal; None means the present one. Returns, by name, where each
        channel stands or why it was refused. Unavailable if none can be followed now.
        """
        channels: dict[str, Subscribed | DomainError] = dict.fromkeys(names, NotFound())
        for name in names:
            if (refusal := self._shared.hub.channels.refusal(self._actor, name)) is not None:
                channels[name] = refusal
        names = [name for name in names if not isinstance(channels[name], ScopeMissing)]
        begins: dict[str, _Beginning] = {}
        shown: dict[str, int] = {}
        try:
            feeds = await self._shared.hub.channels.feeds(self._actor, names, self._entitled())
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

    async def hold(self, name: str) -> None:
        """NotFound unless this channel is followed and the account may follow it now.

        That is asked of the store only if somebody has lost the right to the stream since it was confirmed. Unavailable
        without the lease, because a loss might not be heard then.
        """
        if name not in self._conversation.channels:
            raise NotFound
        if not self._shared.hub.lease.is_held:
            raise Unavailable("It cannot be told now who may do this.")
        for following in self._followings.values():
            if name in following.channels:
                if not await self._confirm({name: following.channels[name].feed}):
                    raise NotFound
                return

    def _standing(
        self, feeds: Mapping[str, Feed], shown: Mapping[str, int], begins: Mapping[str, _Beginning]
    ) -> Mapping[str, Subscribed]:
        """Where the durable channels stand. Sends a resync for each stream whose state the peer has to read anew."""
        channels: dict[str, Subscribed] = {}
        resyncs: dict[str, Reason] = {}
        for name, feed in feeds.items():
            if feed.stream is None or not feed.shows_any:
                continue
            offset, lost = shown[name], begins[name].lost
            following = self._followings.get(feed.stream)
            if following is not None and following.stream.restarts != begins[name].restarts:
                # The stream started over before the peer could be told where it stands.
                offset, lost = following.stream.position, following.stream.restarted_because
            channels[name] = Subscribed(feed.stream, offset, lost is None, resource=feed.resource_id)
            if lost is not None:
                resyncs[feed.stream] = lost
            if begins[name].since is not None or lost is not None:
                self._shared.observer.happened("resume", lost or "recovered")
        for stream, reason in resyncs.items():
            self._resync(stream, reason)
        return channels

    def _resync(self, stream: str, reason: Reason, offset: int | None = None) -> None:
        """Tell the peer that its position is void, and the lineage of the journal if that has changed."""
        known, epoch = self.epoch, self._shared.hub.epoch
        self.epoch = known and epoch
        self._say(Resync(stream, reason, offset, None if known in {"", epoch} else epoch))

    async def _hear(self, stream_name: str, since: int | None, lineage: str | None) -> _Beginning:
        """Follow a stream without showing anything of it yet; returns where a channel can begin on it."""
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
        """Ask for the rights again, now that the streams are followed.

        A right that was lost before a stream was followed, or during the first question, would stay unnoticed.
        """
        confirmed = dict(feeds)
        while unsure := {n: f.stream for n, f in confirmed.items() if f.stream and f.stream not in self._entitled()}:
            losses = {name: following.stream.losses for name, following in self._followings.items()}
            found = await self._shared.hub.channels.feeds(self._actor, unsure)
            for name, stream in unsure.items():
                if name in found and stream in self._followings:
                    self._followings[stream].entitled_as_of = losses[stream]
                else:
                    del confirmed[name]
        return confirmed

    async def _attend(self, name: str, feed: Feed, *, be_present: bool) -> Subscribed | DomainError:
        """Follow a channel that is not durable."""
        topic = self._topics[name] = self._shared.hub.topic(feed.channel)
        topic.deliver()
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
        if self._topics.get(name) is not topic:  # the account lost the right to it meanwhile
            if be_present:
                self._shared.lobby.leave(name, self._id)
            return NotFound()
        topic.deliver()
        if feed.channel.kind is PRESENCE:
            return Subscribed(present=list(topic.present()))
        topic.tell(self._peer)
        return Subscribed()

    def _entitled(self) -> set[str]:
        """The followed streams on which no right was lost since this account's right was confirmed.

        The right to a stream covers each of its channels.
        """
        return {
            name for name, following in self._followings.items() if following.entitled_as_of == following.stream.losses
        }

    def leave(self, name: str) -> None:
        """Stop following a channel and being present there."""
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
        """Send a resync: entries may be missing between what was shown of a stream and what will be shown."""
        self._shared.observer.happened("resume", reason)
        self._resync(following.stream.name, reason, following.stream.position)

    async def _recheck(self, following: Following) -> None:
        """Ask again for the right to every channel of a stream, and unsubscribe those that were lost.

        The answer counts rather than the entry that led here, because a replay also contains losses of long ago.
        """
        while True:
            names = list(following.channels)
            try:
                kept = await self._shared.hub.channels.feeds(self._actor, names)
                break
            except Unavailable:
                await asyncio.sleep(REPEAT_SECONDS)  # nothing more is shown before there is an answer
        for name in names:
            if name not in kept and name in following.channels:
                self._say(Unsubscribed(name, NotFound.code))
                self._conversation.lost(name)
                self.leave(name)
