"""Those who are in a room: what each of them has told of their player, and how many of them an item waits for."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median_low

from domain.ids import AccountId, ParticipantId, QueueItemId
from domain.rooms.playback import Playback, PlaybackStatus
from domain.rooms.rights import RoomRole, Wait

# A player that stutters for less does not matter.
BUFFERING_IGNORED = timedelta(seconds=2)
HOLDS_MAX = 3
_HOLDS_COUNTED = timedelta(minutes=5)
_READY_WITHIN_MS = 500
_ENDED_WITHIN = timedelta(seconds=2)


class Progress(StrEnum):
    """How far a participant is with the item. Nobody waits for those who are `late`, until they are ready once.

    Late are those who joined or came back since the item was loaded.
    """

    LATE = "late"
    LOADING = "loading"
    READY = "ready"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Report:
    """What a player tells: of which epoch and item, where it is, and how it does.

    `ready` means that it has loaded enough to play from its position, `buffering` that it has not and so stands still,
    `ended` that it is at the end. `duration_ms` is the length of the item, if the player knows it.
    """

    epoch: int
    item_id: QueueItemId | None
    position_ms: int
    ready: bool = False
    buffering: bool = False
    ended: bool = False
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Participant:
    """An account in a room, with all its devices. Only the methods of the room change it.

    `slot_until` is None while one of its devices is connected. Otherwise its place is kept until then. `duration_ms` is
    the length of the item by its player. `buffering_since` is None unless its player stands still and somebody may have
    to wait for it. `holds` are the times of the last three waits that it caused.
    """

    id: ParticipantId
    account_id: AccountId
    display_name: str
    role: RoomRole
    is_guest: bool
    joined_at: datetime
    slot_until: datetime | None
    muted: bool = False
    progress: Progress = Progress.LATE
    duration_ms: int | None = None
    buffering_since: datetime | None = None
    holds: tuple[datetime, ...] = ()

    @property
    def is_here(self) -> bool:
        return self.slot_until is None

    @property
    def is_awaited(self) -> bool:
        """Whether the others wait for this participant at all."""
        return self.is_here and self.progress is not Progress.LATE

    def may_hold_up(self, since: datetime) -> bool:
        """Whether the others wait for this one again, which they do three times within five minutes."""
        return sum(hold > since - _HOLDS_COUNTED for hold in self.holds) < HOLDS_MAX

    def heard(self, report: Report, playback: Playback, wait: Wait, at: datetime) -> "Participant":
        """This participant after a report on the present epoch."""
        progress = self._progress(report, playback, at)
        counts = wait is not Wait.NONE and progress is not Progress.LATE
        stands = report.buffering and counts and playback.status in {PlaybackStatus.PLAYING, PlaybackStatus.WAITING}
        duration_ms = self.duration_ms
        if duration_ms is None and progress in {Progress.READY, Progress.ENDED}:
            duration_ms = report.duration_ms
            if duration_ms is None and progress is Progress.ENDED and playback.duration_ms is None:
                duration_ms = max(1, playback.position_ms(at))
        return replace(
            self,
            progress=progress,
            duration_ms=duration_ms,
            buffering_since=(self.buffering_since or at) if stands else None,
        )

    def turned(self, playback: Playback, is_new: bool) -> "Participant":
        """This participant in a new epoch, of a new item if `is_new`: what was told of the old epoch does not count."""
        progress, buffering_since = self.progress, self.buffering_since
        if is_new:
            progress = Progress.LOADING if self.is_here else Progress.LATE
        elif progress is not Progress.LATE:
            progress = Progress.LOADING if playback.status is PlaybackStatus.LOADING else Progress.READY
        if playback.status is not PlaybackStatus.WAITING:
            buffering_since = None
        duration_ms = None if is_new else self.duration_ms
        return replace(self, progress=progress, buffering_since=buffering_since, duration_ms=duration_ms)

    def held(self, at: datetime) -> "Participant":
        """This participant after the others began to wait for it."""
        return replace(self, holds=(*self.holds, at)[-HOLDS_MAX:])

    def _progress(self, report: Report, playback: Playback, at: datetime) -> Progress:
        if report.ended and playback.status is PlaybackStatus.PLAYING:
            ends_at = playback.ends_at
            if ends_at is None or at >= ends_at - _ENDED_WITHIN:
                return Progress.ENDED
        loading = playback.status is PlaybackStatus.LOADING
        away_ms = abs(report.position_ms - playback.anchor_position_ms) if loading else 0
        if report.ready and not report.buffering and away_ms <= _READY_WITHIN_MS:
            return max(self.progress, Progress.READY, key=_FURTHER)
        return min(self.progress, Progress.LOADING, key=_FURTHER) if loading else self.progress


_FURTHER = list(Progress).index


def heir(participants: Collection[Participant]) -> Participant:
    """Who becomes the host: somebody who is here, no guest if possible, a moderator first, then the longest present."""
    return min(
        participants,
        key=lambda each: (each.is_guest, not each.is_here, not _may_moderate(each), each.joined_at, each.id),
    )


def are_ready(participants: Collection[Participant], wait: Wait) -> bool:
    """Whether as many have loaded the item as it waits for. With nobody to wait for it is not."""
    awaited = [each for each in participants if each.is_awaited]
    ready = sum(each.progress is not Progress.LOADING for each in awaited)
    return 0 < len(awaited) <= ready + _spared(awaited, wait)


def all_ended(participants: Collection[Participant]) -> bool:
    """Whether everybody who is awaited is at the end of the item, and that is somebody."""
    return {each.progress for each in participants if each.is_awaited} == {Progress.ENDED}


def holding_up(participants: Collection[Participant], wait: Wait) -> list[Participant]:
    """Those for whom the others have to wait; none if they are so few that the room goes on."""
    awaited = [each for each in participants if each.is_awaited]
    stuck = [each for each in awaited if (since := each.buffering_since) and each.may_hold_up(since)]
    return stuck if len(stuck) > _spared(awaited, wait) else []


def stalls_at(participants: Collection[Participant], wait: Wait) -> datetime | None:
    """When the room has to stop for those who stand still; None if it does not have to."""
    since = sorted(each.buffering_since for each in holding_up(participants, wait) if each.buffering_since)
    spared = _spared([each for each in participants if each.is_awaited], wait)
    return since[spared] + BUFFERING_IGNORED if since else None


def median_duration_ms(participants: Collection[Participant]) -> int | None:
    """The length of the item by those who know it, None if nobody does."""
    known = [each.duration_ms for each in participants if each.duration_ms is not None]
    return median_low(known) if known else None


def _spared(awaited: Collection[Participant], wait: Wait) -> int:
    """How many may be missing: of all none, of a quorum one in five, and everybody if it waits for none."""
    return {Wait.ALL: 0, Wait.QUORUM: len(awaited) // 5, Wait.NONE: len(awaited)}[wait]


def _may_moderate(participant: Participant) -> bool:
    return participant.role is RoomRole.MODERATOR
