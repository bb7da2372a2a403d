"""One stream of the journal and all its followers in this process, each of which gets a batch in one write."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from uuid import UUID

from application.feeds import EVERYBODY, Channels, Everybody, Feed
from application.ports.events import Entry
from application.ports.observer import Observer
from application.realtime.audience import Audience
from application.realtime.frames import Reason
from application.realtime.pages import Pages
from application.realtime.peer import Peer
from application.realtime.piece import pieces
from application.realtime.reader import JournalReader, StartedOver
from application.realtime.shown import Shown
from domain.errors import Unavailable
from domain.ids import AccountId

RETRY_SECONDS = 0.5
PAUSE_SECONDS = 0.025

log = logging.getLogger(__name__)


class FollowingState(Enum):
    """How one connection stands with one stream."""

    HELD = auto()  # Shows nothing, because its peer was not told yet where the channels begin.
    LIVE = auto()  # Has everything up to the position of the stream, and gets each delivery.
    BEHIND = auto()  # Reads pages of the journal until it has reached the position of the stream.
    STALLED = auto()  # Is behind, and waits without a task until its peer takes something.
    ENDED = auto()


class Stream:
    """A stream of the journal that connections of this process follow.

    The entries that one read returns are encoded once and joined, and each connection gets them in one write. A
    connection that cannot keep up falls behind: it gets no delivery until it has read the missed entries from the
    journal.
    """

    def __init__(self, reader: JournalReader, pages: Pages, observer: Observer, channels: Channels) -> None:
        self.name = reader.stream
        self.reader = reader
        self.pages = pages
        self.observer = observer
        self.loser_of = channels.loser_of
        self.position = reader.position
        # Counts the delivered entries that take rights away, and each restart, because it may skip such entries.
        self.losses = 0
        # How often the stream started over, and the reason of the last time.
        self.restarts = 0
        self.restarted_because: Reason = "offset"
        self.followings: set[Following] = set()
        self._audience = Audience()
        self._fallen: list[Following] | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._due: tuple[int, float] | None = None

    async def run(self) -> None:
        """Deliver until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                entries = await self.reader.read()
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except StartedOver as restart:
                self._start_over(restart.reason)
                continue
            began = loop.time()
            self._deliver(entries)
            # Under load, writers get twice as much time of the loop as the delivery to listeners. Entries that arrive
            # meanwhile are sent together: the number of writes is expensive, their size is not.
            await asyncio.sleep(min(2 * (loop.time() - began), PAUSE_SECONDS))

    async def reaches(self, offset: int) -> None:
        """Return once everything up to `offset` has been delivered, or the stream has started over."""
        if self.position < offset:
            self.reader.learn_head(offset)
            reached = asyncio.get_running_loop().create_future()
            self._waiting.append((offset, reached))
            await reached

    def overdue(self, head: int) -> float:
        """For how many seconds it has been known that entries up to `head` exist that were not delivered yet."""
        now = time.monotonic()
        if self.position >= head:
            self._due = None
        elif self._due is None or self.position >= self._due[0]:
            self._due = (head, now)
        return 0.0 if self._due is None else now - self._due[1]

    def _start_over(self, reason: Reason) -> None:
        self.position = self.reader.position
        self.losses += 1
        self.restarts += 1
        self.restarted_because = reason
        waiting, self._waiting = self._waiting, []
        for _, reached in waiting:
            if not reached.done():
                reached.set_result(None)
        for following in list(self.followings):
            following.start_over(reason)

    def _deliver(self, entries: Sequence[Entry]) -> None:
        began = time.perf_counter()
        receivers = sent = size = 0
        for piece in pieces(entries, lambda entry: self.loser_of(entry) is not None):
            self._fallen = []
            delivered = self._audience.deliver(piece)
            receivers = max(receivers, delivered.receivers)
            sent += delivered.frames
            size += delivered.size
            self.position = piece.entries[-1].offset
            loser = self.loser_of(piece.entries[-1])
            if loser is not None:
                self.losses += 1
                for following in self.followings:
                    if following.is_live and following.is_concerned(loser):
                        following.is_doubted = True
                        self._fallen.append(following)
            fallen, self._fallen = self._fallen, None
            for following in fallen:
                self.fall_behind(following)
        if sent:
            self.observer.sent("event", sent, size)
        self.observer.delivered(entries, receivers, began)
        if self._waiting:
            for offset, reached in self._waiting:
                if offset <= self.position and not reached.done():
                    reached.set_result(None)
            self._waiting = [(offset, reached) for offset, reached in self._waiting if not reached.done()]

    def go_live(self, following: "Following") -> None:
        """Deliver to the following from now on. It must have everything up to the position."""
        following.state = FollowingState.LIVE
        self._audience.include(following.peer, following.resources())

    def fall_behind(self, following: "Following") -> None:
        """Stop delivering to the following, and let it catch up by itself."""
        if not following.is_live:
            return
        if self._fallen is not None:  # a delivery is under way, and the following still gets all of it
            self._fallen.append(following)
            return
        self.leave_out(following)
        following.fell_at(self.position)

    def drop(self, following: "Following") -> None:
        self.leave_out(following)
        self.followings.discard(following)

    def leave_out(self, following: "Following") -> None:
        """Deliver nothing to the following until it goes live again."""
        if not following.is_live:
            return
        following.state = FollowingState.HELD
        self._audience.exclude(following.peer, following.resources())


class Following:
    """One connection on one stream, with the channels of the stream that the connection follows.

    It is behind until it has everything up to the position of the stream, and live from then on. It goes live between
    two deliveries, so it cannot miss an entry. An entry is sent once, however many channels show it.
    """

    __slots__ = (
        "_catching_up",
        "_recheck",
        "_restarted",
        "account",
        "channels",
        "entitled_as_of",
        "is_doubted",
        "peer",
        "state",
        "stream",
    )

    def __init__(
        self,
        stream: Stream,
        peer: Peer,
        account: AccountId,
        recheck: Callable[["Following"], Awaitable[None]],
        restarted: Callable[["Following", Reason], None],
    ) -> None:
        """`recheck` asks for the rights again; `restarted` tells the connection that it has to read the state anew."""
        self.stream = stream
        self.peer = peer
        self.account = account
        self.channels: dict[str, Shown] = {}
        self.state = FollowingState.HELD
        # Whether the rights have to be confirmed before anything more is shown.
        self.is_doubted = False
        # The `losses` of the stream when the rights of this following were last confirmed.
        self.entitled_as_of = -1
        self._catching_up: asyncio.Task[None] | None = None
        self._recheck = recheck
        self._restarted = restarted
        stream.followings.add(self)

    @property
    def is_live(self) -> bool:
        return self.state is FollowingState.LIVE

    def resources(self) -> set[UUID] | None:
        """The resources whose entries are shown; None if all are."""
        found = set()
        for shown in self.channels.values():
            if shown.feed.shows_all:
                return None
            if shown.feed.resource_id is not None:
                found.add(shown.feed.resource_id)
        return found

    def feed(self) -> Feed | None:
        """The feed of any channel, if there is one: the right to one feed covers every channel of the stream."""
        return next((shown.feed for shown in self.channels.values()), None)

    def doubt(self) -> None:
        """Show nothing more until the rights are confirmed."""
        self.is_doubted = True
        self.stream.fall_behind(self)
        self.go_on()

    def is_concerned(self, loser: AccountId | Everybody) -> bool:
        return loser in (EVERYBODY, self.account)

    def show(self, name: str, feed: Feed, since: int | None) -> int:
        """Show one more channel after offset `since`, or from now on; returns the offset that it begins after.

        Call `go_on` when the peer has been told that offset.
        """
        position = self.stream.position
        if self.is_live:
            self.stream.leave_out(self)
            self._all_shown_to(position)
        before = self.channels.get(name)
        if before is not None and (since is None or since >= before.begins_after):
            return max(before.shown_to, since or 0)  # it has shown all of these entries, or will
        begins = position if since is None else since
        self.channels[name] = Shown(feed, begins) if before is None else before.from_further_back(begins)
        return begins

    def hide(self, name: str) -> None:
        """Stop showing a channel."""
        was_live = self.is_live
        self.stream.leave_out(self)
        del self.channels[name]
        if was_live and self.channels:
            self.stream.go_live(self)

    def fell_at(self, position: int) -> None:
        self._all_shown_to(position)
        self.go_on()

    def go_on(self) -> None:
        """Go live if no entry is missing, or else catch up."""
        if self.state not in {FollowingState.HELD, FollowingState.STALLED}:
            return
        if not self.is_doubted and not self.peer.keeps_up:
            # Thousands of peers may stop reading at the same time, so a stalled following must not need a task.
            self.state = FollowingState.STALLED
        elif not self.is_doubted and self._is_level():
            self.stream.go_live(self)
        else:
            self.state = FollowingState.BEHIND
            self._catching_up = asyncio.create_task(self._catch_up())
            self._catching_up.add_done_callback(self._caught_up)

    def relieved(self) -> None:
        """The peer keeps up again."""
        if self.state is FollowingState.STALLED:
            self.go_on()

    def start_over(self, reason: Reason) -> None:
        """Go on from the position of the stream, after the rights are confirmed."""
        self.stream.leave_out(self)
        if self._catching_up is not None:
            self._catching_up.cancel()  # the page that it holds may belong to an earlier lineage
            self._catching_up = None
        self.state = FollowingState.HELD
        if self.channels:
            self._all_shown_to(self.stream.position)
            self.is_doubted = True
            self._restarted(self, reason)
            self.go_on()

    def end(self) -> None:
        self.stream.drop(self)
        self.state = FollowingState.ENDED
        if self._catching_up is not None and self._catching_up is not asyncio.current_task():
            self._catching_up.cancel()

    def _all_shown_to(self, position: int) -> None:
        for shown in self.channels.values():
            shown.has_all_to(position)

    def _is_level(self) -> bool:
        return all(shown.shown_to >= self.stream.position for shown in self.channels.values())

    def _caught_up(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("catching up on %s failed", self.stream.name, exc_info=error)
            self.peer.fail()

    async def _catch_up(self) -> None:
        while self.channels:
            if self.is_doubted:
                self.is_doubted = False
                await self._recheck(self)
                continue
            await self.peer.caught_up()
            if self._is_level():
                self._catching_up = None
                self.stream.go_live(self)
                return
            cursor = min(shown.shown_to for shown in self.channels.values())
            try:
                entries, frames = await self.stream.pages.framed_after(self.stream.name, cursor, self.peer.format)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if not entries or entries[0].offset > cursor + 1:
                if entries or cursor < self.stream.reader.tail:
                    self._catching_up = None
                    self.start_over("pruned")
                    return
                await asyncio.sleep(RETRY_SECONDS)  # the reader will find out why these entries are missing
                continue
            self.stream.reader.learn_head(entries[-1].offset)
            await self.stream.reader.lease.held()
            self._send(entries, frames)

    def _send(self, entries: Sequence[Entry], frames: Sequence[bytes]) -> None:
        """Send in one write those entries that a channel shows, up to the position of the stream."""
        unsent: list[bytes] = []
        for entry, frame in zip(entries, frames, strict=True):
            if entry.offset > self.stream.position or self.is_doubted or not self.channels:
                break
            if self._comes_by(entry) and frame:
                unsent.append(frame)
            loser = self.stream.loser_of(entry)
            if loser is not None and self.is_concerned(loser):
                self.is_doubted = True
        if unsent:
            data = b"".join(unsent)
            self.peer.write(data)
            self.stream.observer.sent("event", len(unsent), len(data))

    def _comes_by(self, entry: Entry) -> bool:
        """Move each channel that has reached this entry past it. Returns whether the entry has to be sent.

        It has to be sent if one of these channels shows it and no channel has shown it before. A channel that is still
        further back gets the entry when it reaches it.
        """
        is_wanted, was_shown, before = False, False, entry.offset - 1
        for shown in self.channels.values():
            is_next = shown.shown_to == before
            if shown.feed.shows(entry):
                if shown.has_shown(entry.offset):
                    was_shown = True
                elif is_next:
                    is_wanted = True
            if is_next:
                shown.shown_to = entry.offset
        return is_wanted and not was_shown
