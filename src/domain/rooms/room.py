"""The aggregate of a room: what plays where, and what time does to it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar

from domain.ids import AccountId, ParticipantId, QueueItemId, RoomId, WorkspaceId
from domain.kernel import EventType
from domain.rooms.events import ROOM_EVENTS
from domain.rooms.gathering import (
    LIFETIME,
    LIFETIME_LONGEST,
    PARTICIPANTS_MAX,
    SLOT_FIRST,
    WARNINGS_MINUTES,
    Gathering,
    check_guests,
    checked_max,
    checked_visibility,
    participant_name,
    room_name,
)
from domain.rooms.participants import Participant, Report, holding_up, stalls_at
from domain.rooms.playback import LEAD_DEFAULT_MS, Playback, PlaybackStatus, checked_position, checked_rate
from domain.rooms.queue import Queue, QueueItem
from domain.rooms.refusals import NothingLoaded, StaleEpoch
from domain.rooms.rights import Policies, Right, RoomRole, Visibility, Wait
from domain.rooms.stage import ahead, whose

END_GRACE = timedelta(seconds=3)
_POLICIES = Policies()
_TOLD_OF_NEW = (
    "name",
    "workspace_id",
    "visibility",
    "password_set",
    "max_participants",
    "allow_guests",
    "policies",
    "expires_at",
)


@dataclass(slots=True)
class Room(Gathering):
    """A room. Its verbs for people and settings are those of a `Gathering`, its fields those of a `Stage`.

    A command on the timeline may say for which `epoch` it is; it is StaleEpoch if the timeline has changed since. What
    plays starts `lead_ms` ahead, so that everybody has heard of it by then.
    """

    resource_type: ClassVar[str] = "room"
    announces: ClassVar[Mapping[str, EventType]] = ROOM_EVENTS

    @classmethod
    def open(
        cls,
        id: RoomId,
        participant_id: ParticipantId,
        name: str,
        join_code: str,
        by: AccountId,
        display_name: str,
        at: datetime,
        *,
        workspace_id: WorkspaceId | None = None,
        visibility: Visibility = Visibility.PRIVATE,
        password_hash: str | None = None,
        max_participants: int = PARTICIPANTS_MAX,
        allow_guests: bool = False,
        policies: Policies = _POLICIES,
        lifetime: timedelta = LIFETIME,
    ) -> "Room":
        """A new room, with `by` as its host. `join_code` is a secret that nobody can guess."""
        check_guests(visibility, allow_guests)
        host = Participant(
            participant_id, by, participant_name(display_name), RoomRole.HOST, False, at, slot_until=at + SLOT_FIRST
        )
        room = cls(
            id=id,
            workspace_id=workspace_id,
            name=room_name(name),
            join_code=join_code,
            visibility=checked_visibility(visibility, workspace_id),
            password_hash=password_hash,
            max_participants=checked_max(max_participants),
            allow_guests=allow_guests,
            policies=policies,
            playback=Playback(PlaybackStatus.IDLE, None, 0, 0, at),
            participants={participant_id: host},
            banned=(),
            muted=(),
            created_by=by,
            created_at=at,
            updated_at=at,
            expires_at=at + min(lifetime, LIFETIME_LONGEST),
        )
        room.warned_minutes = room._passed_warning(at)
        told = {name: getattr(room, name) for name in _TOLD_OF_NEW}
        room._tell("room.created", by, at, data={**told, **whose(host), "display_name": host.display_name})
        return room

    @property
    def due_at(self) -> datetime | None:
        """When time next does something to it, None if it is closed."""
        return min((at for at, _ in self._deadlines()), default=None)

    def play(
        self, by: AccountId, at: datetime, lead_ms: int, epoch: int | None = None, position_ms: int | None = None
    ) -> None:
        """Play for everybody, without waiting for anybody any more; from the start if it ended."""
        before = self._controlled(by, at, epoch)
        if before.status is PlaybackStatus.PLAYING and position_ms is None:
            return
        here = 0 if before.status is PlaybackStatus.ENDED else before.position_ms(at)
        position_ms = here if position_ms is None else checked_position(position_ms)
        self._turn("play", by, at, before.turned(PlaybackStatus.PLAYING, position_ms, ahead(at, lead_ms)))

    def pause(self, by: AccountId, at: datetime, epoch: int | None = None) -> None:
        """Stand still where it is now."""
        self._controlled(by, at, epoch)
        self._pause("pause", by, at)

    def seek(self, by: AccountId, at: datetime, lead_ms: int, position_ms: int, epoch: int | None = None) -> None:
        """Go elsewhere. If it plays, it does so from there; if it ended, it is paused there."""
        before = self._controlled(by, at, epoch)
        ended = before.status is PlaybackStatus.ENDED
        plays = before.status is PlaybackStatus.PLAYING
        to = PlaybackStatus.PAUSED if ended else before.status
        anchor_at = ahead(at, lead_ms) if plays else at
        self._turn("seek", by, at, before.turned(to, checked_position(position_ms), anchor_at))

    def set_rate(self, by: AccountId, at: datetime, rate: float, epoch: int | None = None) -> None:
        """Go on from where it is at another rate."""
        before, rate = self._controlled(by, at, epoch), checked_rate(rate)
        if rate != before.rate:
            plays = before.status is PlaybackStatus.PLAYING
            after = before.turned(before.status, before.position_ms(at), max(at, before.anchor_at) if plays else at)
            self._turn("rate", by, at, replace(after, rate=rate))

    def load(
        self,
        queue: Queue,
        item_id: QueueItemId,
        by: AccountId,
        at: datetime,
        lead_ms: int,
        epoch: int | None = None,
        position_ms: int = 0,
    ) -> None:
        """Play this item of the queue, once those who are here have loaded it."""
        self._controlled(by, at, epoch, is_empty_allowed=True)
        position_ms = checked_position(position_ms)
        self._begin(queue.take(item_id, by, at), "load", by, at, lead_ms, position_ms)

    def next(
        self,
        queue: Queue,
        by: AccountId,
        at: datetime,
        lead_ms: int,
        epoch: int | None = None,
        item_id: QueueItemId | None = None,
    ) -> None:
        """Play the next item; with an `item_id` only if that one plays, so that ten callers go on by one item."""
        before = self._controlled(by, at, epoch, is_empty_allowed=True)
        if item_id is None or item_id == before.item_id:
            self._go_on(queue, "next", by, at, lead_ms)

    def skip(self, queue: Queue, by: AccountId, at: datetime, lead_ms: int, epoch: int | None = None) -> None:
        """Vote for the end of the item, which ends if at least half of those who are here have."""
        seat = self.seat(by)
        self._refuse_stale(epoch, at)
        if queue.vote_skip(seat, self.here, at):
            self._go_on(queue, "skipped", by, at, lead_ms)

    def recount(self, queue: Queue, at: datetime, lead_ms: int) -> None:
        """End the item if at least half of those who are here now have voted for it: others may have gone since."""
        if self.closed_at is None and queue.is_skipped_by(self.here):
            self._go_on(queue, "skipped", None, at, lead_ms)

    def advance(self, queue: Queue, epoch: int, at: datetime, lead_ms: int) -> None:
        """Play what comes after the item that ended with this epoch; at another epoch, or with nobody in, nothing."""
        ended = self.playback.status is PlaybackStatus.ENDED and self.playback.epoch == epoch
        if ended and self.participants and self.closed_at is None:
            self._go_on(queue, "next", None, at, lead_ms)

    def state_duration(self, item: QueueItem, by: AccountId, at: datetime) -> None:
        """Take the duration that was stated of this item for certain, if it is the one that plays."""
        if item.id == self.playback.item_id and item.duration_stated:
            self.duration_stated = True
            self._measure(item.duration_ms, by, at)

    def report(self, account: AccountId, report: Report, at: datetime, lead_ms: int) -> None:
        """Hear how the player of a participant does. A report on another epoch or item changes nothing."""
        who, now = self._in(account), self.playback
        if (report.epoch, report.item_id) == (now.epoch, now.item_id) and now.item_id is not None:
            self._change(who.heard(report, now, self.policies.wait, at), account, at)
            self._settle(account, at, lead_ms)

    def elapse(self, now: datetime, lead_ms: int = LEAD_DEFAULT_MS) -> None:
        """Do all that is due at `now`, in its order. Done twice it changes nothing more."""
        while True:
            due, happen = min(self._deadlines(), key=lambda each: each[0], default=(None, None))
            if due is None or happen is None or due > now:
                return
            happen(now, lead_ms)

    def _deadlines(self) -> Iterator[tuple[datetime, Callable[[datetime, int], None]]]:
        if self.closed_at is not None:
            return
        if self.starts_by is not None:
            yield self.starts_by, partial(self._start, "overdue", None)
        if self.playback.status is PlaybackStatus.PLAYING:
            stalls = stalls_at(self.participants.values(), self.policies.wait)
            if stalls is not None:
                yield stalls, self._stall
            if self.playback.ends_at is not None:
                yield self.playback.ends_at + END_GRACE, self._end
        for each in self.participants.values():
            if each.slot_until is not None:
                yield each.slot_until, partial(self._lose, each)
        minutes = next((m for m in WARNINGS_MINUTES if self.warned_minutes is None or m < self.warned_minutes), None)
        if minutes is not None:
            yield self.expires_at - timedelta(minutes=minutes), partial(self._warn, minutes)
        yield self.expires_at, self._expire

    def _stall(self, at: datetime, lead_ms: int) -> None:
        for each in holding_up(self.participants.values(), self.policies.wait):
            self._put(each.held(at))
        before = self.playback
        self._turn("buffering", None, at, before.turned(PlaybackStatus.WAITING, before.position_ms(at), at))

    def _end(self, at: datetime, lead_ms: int) -> None:
        self._finish(None, at)

    def _lose(self, who: Participant, at: datetime, lead_ms: int) -> None:
        self._tell_departed(who, "participant.left", {"reason": "lost"}, None, at, lead_ms)

    def _warn(self, minutes: int, at: datetime, lead_ms: int) -> None:
        self.warned_minutes = minutes
        self._tell("room.expiring", None, at, data={"minutes": minutes, "expires_at": self.expires_at})

    def _expire(self, at: datetime, lead_ms: int) -> None:
        self._tell_over("room.expired", None, at, reason="expired")

    def _controlled(self, by: AccountId, at: datetime, epoch: int | None, is_empty_allowed: bool = False) -> Playback:
        """The timeline that a command is for, if the caller may change it and it is the one that they know."""
        self.seat(by).require(Right.CONTROL)
        self._refuse_stale(epoch, at)
        if self.playback.item_id is None and not is_empty_allowed:
            raise NothingLoaded("The room plays nothing yet. Load an item of its queue.")
        return self.playback

    def _refuse_stale(self, epoch: int | None, at: datetime) -> None:
        if epoch is not None and epoch != self.playback.epoch:
            raise StaleEpoch(self.playback.snapshot(), at)

    def _begin(
        self, item: QueueItem, reason: str, by: AccountId | None, at: datetime, lead_ms: int, position_ms: int = 0
    ) -> None:
        """Load an item, or play it at once if nobody is waited for."""
        self.duration_stated = item.duration_stated
        before = replace(self.playback, item_id=item.id, duration_ms=item.duration_ms)
        if self.policies.wait is Wait.NONE:
            after = before.turned(PlaybackStatus.PLAYING, position_ms, ahead(at, lead_ms))
        else:
            after = before.turned(PlaybackStatus.LOADING, position_ms, at)
        self._turn(reason, by, at, after, is_new=True)

    def _go_on(self, queue: Queue, reason: str, by: AccountId | None, at: datetime, lead_ms: int) -> None:
        """Play the next item of the queue, or end if there is none."""
        item = queue.next(by, at)
        if item is not None:
            self._begin(item, reason, by, at, lead_ms)
        elif self.playback.item_id is None:
            raise NothingLoaded("The queue is empty.")
        elif self.playback.status is not PlaybackStatus.ENDED:
            self._finish(by, at)
