"""One stream of the journal and everybody on this process who follows it, at the price of one write for each."""

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

    HELD = auto()  # Shows nothing: its peer is yet to be told where the channels begin.
    LIVE = auto()  # Has everything up to the position of the stream, and gets what is delivered.
    BEHIND = auto()  # Reads pages of the journal until it is level with the stream.
    STALLED = auto()  # Is behind, and its peer takes nothing: waits for that, without a task.
    ENDED = auto()


class Stream:
    """A stream of the journal that connections of this process follow.

    Entries that the reader brings in one go are encoded once and joined, and each connection gets them in one write. A
    connection that cannot keep up falls behind: it is left out until it has read what it missed from the journal.
    """

    def __init__(self, reader: JournalReader, pages: Pages, observer: Observer, channels: Channels) -> None:
        self.name = reader.stream
        self.reader = reader
        self.pages = pages
        self.observer = observer
        self.loser_of = channels.loser_of
        self.position = reader.position
        # How many entries were delivered that take rights away, or may have been among those that nobody saw.
        self.losses = 0
        # How often it started over, and why at last.
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
            # Under load those who write get twice as much of the loop as those who listen. Entries that come meanwhile
            # go out in one piece: each write to a connection costs, its size hardly does.
            await asyncio.sleep(min(2 * (loop.time() - began), PAUSE_SECONDS))

    async def reaches(self, offset: int) -> None:
        """Return once everything up to `offset` has been delivered, or the stream has started over."""
        if self.position < offset:
            self.reader.learn_head(offset)
            reached = asyncio.get_running_loop().create_future()
            self._waiting.append((offset, reached))
            await reached

    def overdue(self, head: int) -> float:
        """For how many seconds it has been known that there is an entry, up to `head`, that was not delivered yet."""
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
        """From now on the following gets what is delivered; it must have everything up to the position."""
        following.state = FollowingState.LIVE
        self._audience.include(following.peer, following.resources())

    def fall_behind(self, following: "Following") -> None:
        """Leave it out of what is delivered from here on, and let it catch up by itself."""
        if not following.is_live:
            return
        if self._fallen is not None:  # in the middle of a delivery, which it still gets
            self._fallen.append(following)
            return
        self.leave_out(following)
        following.fell_at(self.position)

    def drop(self, following: "Following") -> None:
        self.leave_out(following)
        self.followings.discard(following)

    def leave_out(self, following: "Following") -> None:
        """Deliver nothing more to it until it goes live again."""
        if not following.is_live:
            return
        following.state = FollowingState.HELD
        self._audience.exclude(following.peer, following.resources())


class Following:
    """One connection on one stream, with the channels of it that the connection follows.

    It is behind until it has everything up to the position of the stream, and live from then on. It goes live between
    two deliveries, so there is no moment at which an entry could slip through. An entry is sent once, however many
    channels show it.
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
        """`recheck` asks again for the rights, and `restarted` tells the connection that it has to read anew."""
        self.stream = stream
        self.peer = peer
        self.account = account
        self.channels: dict[str, Shown] = {}
        self.state = FollowingState.HELD
        # Whether the rights have to be asked for before anything more is shown.
        self.is_doubted = False
        # How many losses of rights the stream had seen when this one's were last asked for.
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
        """One of those that are shown, if there is any: the right to one covers every channel of the stream."""
        return next((shown.feed for shown in self.channels.values()), None)

    def doubt(self) -> None:
        """Show nothing more before the rights were asked for again."""
        self.is_doubted = True
        self.stream.fall_behind(self)
        self.go_on()

    def is_concerned(self, loser: AccountId | Everybody) -> bool:
        return loser in (EVERYBODY, self.account)

    def show(self, name: str, feed: Feed, since: int | None) -> int:
        """Show one more channel after `since`, or from now on; returns the offset that it begins after.

        Call `go_on` once the connection has been told.
        """
        position = self.stream.position
        if self.is_live:
            self.stream.leave_out(self)
            self._all_shown_to(position)
        before = self.channels.get(name)
        if before is not None and (since is None or since >= before.begins_after):
            return max(before.shown_to, since or 0)  # it shows all of that already, or is about to
        begins = position if since is None else since
        self.channels[name] = Shown(feed, begins) if before is None else before.from_further_back(begins)
        return begins

    def hide(self, name: str) -> None:
        """Show a channel no longer."""
        was_live = self.is_live
        self.stream.leave_out(self)
        del self.channels[name]
        if was_live and self.channels:
            self.stream.go_live(self)

    def fell_at(self, position: int) -> None:
        self._all_shown_to(position)
        self.go_on()

    def go_on(self) -> None:
        """Be live if nothing is missing, or else catch up."""
        if self.state not in {FollowingState.HELD, FollowingState.STALLED}:
            return
        if not self.is_doubted and not self.peer.keeps_up:
            # A crowd that reads nothing falls behind in one go, so none of it has a task.
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
        """Show what happens from the position of the stream on, to those who still may see it."""
        self.stream.leave_out(self)
        if self._catching_up is not None:
            self._catching_up.cancel()  # what it holds may be of another journal
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
                await asyncio.sleep(RETRY_SECONDS)  # until the reader knows what became of the journal
                continue
            self.stream.reader.learn_head(entries[-1].offset)
            await self.stream.reader.lease.held()
            self._send(entries, frames)

    def _send(self, entries: Sequence[Entry], frames: Sequence[bytes]) -> None:
        """Send what is shown of these, as far as the stream has come, in one write."""
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
        """Move all channels that have come right up to this entry past it; whether one shows what none has shown yet.

        One that was added meanwhile and is not yet here gets it when it comes by.
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
