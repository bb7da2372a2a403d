"""What a room is, and the steps from which its verbs are made: each changes it and tells what it changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from domain.channels import workspace_stream
from domain.errors import NotFound
from domain.ids import AccountId, ParticipantId, RoomId, WorkspaceId
from domain.kernel import Aggregate, Changes
from domain.rooms.channels import room_stream
from domain.rooms.participants import Participant, all_ended, are_ready, heir, holding_up, median_duration_ms
from domain.rooms.playback import RUNNING, Playback, PlaybackStatus
from domain.rooms.refusals import refuse_closed
from domain.rooms.rights import HostLeave, Policies, RoomRole, Seat, Visibility

# After these it plays whoever is ready.
CEILINGS = {PlaybackStatus.LOADING: timedelta(seconds=8), PlaybackStatus.WAITING: timedelta(seconds=10)}
_TOLD = ("role", "muted", "slot_until", "progress", "buffering_since", "duration_ms")


@dataclass(slots=True)
class Stage(Aggregate):
    """A room with its timeline and those who are in it. One of them is the host while anybody is in.

    `starts_by` is when a `loading` or `waiting` room plays for those who are ready, None in any other.
    `duration_stated` means that players do not know the duration of the item better. `warned_minutes` is the last
    warning that was told, None before the first. `banned` are accounts that cannot come in, `muted` those that were
    muted when they went, and are again if they come back. A closed room keeps those who were in it last.
    """

    id: RoomId
    workspace_id: WorkspaceId | None
    name: str
    join_code: str
    visibility: Visibility
    password_hash: str | None
    max_participants: int
    allow_guests: bool
    policies: Policies
    playback: Playback
    participants: dict[ParticipantId, Participant]
    banned: tuple[AccountId, ...]
    muted: tuple[AccountId, ...]
    created_by: AccountId
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    starts_by: datetime | None = None
    duration_stated: bool = False
    warned_minutes: int | None = None
    closed_at: datetime | None = None
    close_reason: str | None = None

    @property
    def password_set(self) -> bool:
        return self.password_hash is not None

    @property
    def host(self) -> Participant | None:
        return next((each for each in self.participants.values() if each.role is RoomRole.HOST), None)

    @property
    def here(self) -> frozenset[AccountId]:
        """The accounts that are connected."""
        return frozenset(each.account_id for each in self.participants.values() if each.is_here)

    def participant_of(self, account: AccountId) -> Participant | None:
        return next((each for each in self.participants.values() if each.account_id == account), None)

    def seat(self, account: AccountId) -> Seat:
        """The seat of a participant; NotFound for any other account. RoomClosed if it is over."""
        who = self.participant_of(account)
        if who is None:
            raise NotFound
        self.refuse_closed()
        return Seat(account, who.id, who.display_name, who.role, self.policies.control, who.muted)

    def refuse_closed(self) -> None:
        """RoomExpired or RoomClosed, if it is."""
        refuse_closed(self.closed_at, self.close_reason)

    # ------------------------------------------------------------------------------------------------ of the timeline

    def _turn(self, reason: str, by: AccountId | None, at: datetime, after: Playback, is_new: bool = False) -> None:
        """Begin a new epoch, of a new item if `is_new`."""
        self.playback = after
        ceiling = CEILINGS.get(after.status)
        self.starts_by = None if ceiling is None else at + ceiling
        self.participants = {id: each.turned(after, is_new) for id, each in self.participants.items()}
        self._show(reason, by, at)

    def _start(self, reason: str, by: AccountId | None, at: datetime, lead_ms: int) -> None:
        before = self.playback
        self._turn(reason, by, at, before.turned(PlaybackStatus.PLAYING, before.anchor_position_ms, ahead(at, lead_ms)))

    def _pause(self, reason: str, by: AccountId | None, at: datetime) -> None:
        """Stand still where it is, if it does not already."""
        before = self.playback
        if before.status in RUNNING:
            self._turn(reason, by, at, before.turned(PlaybackStatus.PAUSED, before.position_ms(at), at))

    def _finish(self, by: AccountId | None, at: datetime) -> None:
        before = self.playback
        at_end = before.position_ms(at) if before.duration_ms is None else before.duration_ms
        self._turn("ended", by, at, before.turned(PlaybackStatus.ENDED, at_end, at))

    def _measure(self, duration_ms: int | None, by: AccountId | None, at: datetime) -> None:
        """Take this for the duration, if it is known. The epoch stays, because nobody has to go anywhere."""
        if duration_ms is not None and duration_ms != self.playback.duration_ms:
            self.playback = replace(self.playback, duration_ms=duration_ms)
            self._show("duration", by, at)

    def _settle(self, by: AccountId | None, at: datetime, lead_ms: int) -> None:
        """Do what somebody's news may have made possible: start, go on, or end."""
        present = self.participants.values()
        if not self.duration_stated:
            self._measure(median_duration_ms(present), by, at)
        match self.playback.status:
            case PlaybackStatus.LOADING if are_ready(present, self.policies.wait):
                self._start("ready", by, at, lead_ms)
            case PlaybackStatus.WAITING if not holding_up(present, self.policies.wait):
                self._start("ready", by, at, lead_ms)
            case PlaybackStatus.PLAYING if all_ended(present):
                self._finish(by, at)

    # ------------------------------------------------------------------------------------------------------- of people

    def _put(self, who: Participant) -> None:
        self.participants = {**self.participants, who.id: who}

    def _change(self, who: Participant, by: AccountId | None, at: datetime) -> None:
        """Keep a changed participant, and tell it if anything that is told has changed."""
        old = self.participants[who.id]
        changes = {k: (getattr(old, k), getattr(who, k)) for k in _TOLD if getattr(old, k) != getattr(who, k)}
        if changes:
            self._put(who)
            self._tell("participant.changed", by, at, changes, whose(who))

    def _tell_departed(
        self, who: Participant, type: str, told: Mapping[str, object], by: AccountId | None, at: datetime, lead_ms: int
    ) -> None:
        """Let somebody go, with all that follows: another host, a pause, or that nobody waits for them any more."""
        self.participants = {id: each for id, each in self.participants.items() if id != who.id}
        if who.muted and not who.is_guest:
            self.muted = (*self.muted, who.account_id)
        self._tell(type, by, at, data={**whose(who), **told})
        if not self.participants:
            self._pause("empty", by, at)
            return
        self._appoint(by, at)
        if who.role is RoomRole.HOST and self.policies.host_leave is HostLeave.PAUSE:
            self._pause("host_left", by, at)
        self._settle(by, at, lead_ms)

    def _appoint(self, by: AccountId | None, at: datetime) -> None:
        """Find a host if there is none, or a better one than a guest."""
        host = self.host
        if host is None or (host.is_guest and not all(each.is_guest for each in self.participants.values())):
            self._pass_on(heir(self.participants.values()), RoomRole.GUEST, by, at)

    def _pass_on(self, to: Participant, role: RoomRole, by: AccountId | None, at: datetime) -> None:
        """Make somebody the host. The one that is the host gets `role`."""
        host = self.host
        if host is not None:
            self._put(replace(host, role=role))
        self._put(replace(to, role=RoomRole.HOST, muted=False))
        self._tell("host.passed", by, at, data={"from": host and host.account_id, "to": to.account_id})

    # ------------------------------------------------------------------------------------------------------ of the room

    def _tell_over(self, type: str, by: AccountId | None, at: datetime, reason: str) -> None:
        self._pause("closed", by, at)
        self.closed_at, self.close_reason = at, reason
        self._tell(type, by, at, data={"reason": reason})

    def _show(self, reason: str, by: AccountId | None, at: datetime) -> None:
        self._tell("room.state", by, at, data={**self.playback.snapshot(), "reason": reason})

    def _tell(
        self,
        type: str,
        by: AccountId | None,
        at: datetime,
        changes: Changes | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        self.updated_at = at
        within = workspace_stream(self.workspace_id) if self.workspace_id else None
        self._announce(type, room_stream(self.id), self.id, at, by, changes, data, within)


def whose(who: Participant) -> Mapping[str, object]:
    return {"participant_id": who.id, "account_id": who.account_id}


def ahead(at: datetime, lead_ms: int) -> datetime:
    return at + timedelta(milliseconds=lead_ms)
