"""Who is in a room, who may come in, and the settings that decide about it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from domain.errors import Forbidden, Invalid, NotFound, QuotaExceeded
from domain.ids import AccountId, ParticipantId
from domain.rooms.participants import Participant, Progress
from domain.rooms.playback import LEAD_DEFAULT_MS
from domain.rooms.refusals import Banned, GuestsNotAllowed, NotInvitable, RoomFull, refuse_closed
from domain.rooms.rights import Policies, Right, RoomRole, Seat, Visibility
from domain.rooms.stage import Stage, whose
from domain.text import normal_name

ROOM_NAME_MAX = 100
PARTICIPANT_NAME_MAX = 80
PARTICIPANTS_MIN, PARTICIPANTS_MAX = 2, 10
BANNED_MAX = 500
MUTED_MAX = 500
LIFETIME = timedelta(hours=24)
LIFETIME_LONGEST = timedelta(days=7)
# Ten seconds have passed before somebody counts as gone, so a place is kept for thirty.
SLOT_KEPT = timedelta(seconds=20)
# Those who join have this long to connect for the first time.
SLOT_FIRST = timedelta(minutes=2)
WARNINGS_MINUTES = (10, 1)


@dataclass(slots=True)
class Gathering(Stage):
    """A room with the verbs of its settings and of those who are in it."""

    def change(
        self,
        by: AccountId,
        at: datetime,
        name: str | None = None,
        visibility: Visibility | None = None,
        max_participants: int | None = None,
        allow_guests: bool | None = None,
        policies: Policies | None = None,
    ) -> None:
        """Change its settings. What is None changes nothing.

        RoomFull if more are in than it would let in, Invalid if it would let in guests who can never come.
        """
        self.seat(by).require(Right.OWN)
        wanted = {
            "name": None if name is None else room_name(name),
            "visibility": None if visibility is None else checked_visibility(visibility, self.workspace_id),
            "max_participants": None if max_participants is None else checked_max(max_participants),
            "allow_guests": allow_guests,
            "policies": policies,
        }
        if max_participants is not None and max_participants < len(self.participants):
            raise RoomFull(f"{len(self.participants)} people are in the room.")
        if visibility is not None or allow_guests is not None:
            allows = self.allow_guests if allow_guests is None else allow_guests
            check_guests(visibility or self.visibility, allows, "/allow_guests" if allow_guests else "/visibility")
        changes = {k: (getattr(self, k), v) for k, v in wanted.items() if v is not None and getattr(self, k) != v}
        for key, (_, new) in changes.items():
            setattr(self, key, new)
        if changes:
            self._tell("room.updated", by, at, changes)
            self._settle(by, at, LEAD_DEFAULT_MS)

    def set_password(self, by: AccountId, at: datetime, password_hash: str | None) -> None:
        """Ask for this password from now on, or for none. Those who are in stay."""
        self.seat(by).require(Right.OWN)
        if password_hash == self.password_hash:
            return
        was_set, self.password_hash = self.password_set, password_hash
        self._tell("room.updated", by, at, {"password_set": (was_set, self.password_set)})

    def extend(self, by: AccountId, at: datetime, lifetime: timedelta = LIFETIME) -> None:
        """Let it end later by `lifetime`, but seven days after it was opened at the latest."""
        self.seat(by).require(Right.OWN)
        old, latest = self.expires_at, self.created_at + LIFETIME_LONGEST
        self.expires_at = max(old, min(old + lifetime, latest))
        if self.expires_at != old:
            self.warned_minutes = self._passed_warning(at)
            self._tell("room.extended", by, at, {"expires_at": (old, self.expires_at)})

    def close(self, by: AccountId | None, at: datetime, reason: str = "closed") -> None:
        """End it for everybody: the host may, and who opened it. `by` is None for the system."""
        if by is not None and by != self.created_by:
            self.seat(by).require(Right.OWN)
        self.refuse_closed()
        self._tell_over("room.closed", by, at, reason)

    def check_entry(self, account: AccountId | None, at: datetime) -> None:
        """RoomClosed, Banned, GuestsNotAllowed or RoomFull, if `join` would be. `account` is None for a new guest."""
        self.refuse_closed()
        if at >= self.expires_at:
            refuse_closed(self.expires_at, "expired")
        if account in self.banned:
            raise Banned("You cannot come into this room any more.")
        if account is not None and self.participant_of(account) is not None:
            return
        if account is None and not self.allow_guests:
            raise GuestsNotAllowed("This room lets in no guests. Sign in to join.")
        if len(self.participants) >= self.max_participants:
            raise RoomFull(f"At most {self.max_participants} people can be in this room.")

    def join(
        self, id: ParticipantId, account: AccountId, display_name: str, at: datetime, is_guest: bool = False
    ) -> Participant:
        """Come in. For somebody who is in, on another device, it only keeps their place.

        The first one in is the host. A guest is host only while nobody else is in. Who was muted is so again, except as
        the host. Refuses as `check_entry` does.
        """
        there = self.participant_of(account)
        self.check_entry(None if is_guest and there is None else account, at)
        if there is not None:
            if there.slot_until is not None:
                self._change(replace(there, slot_until=max(there.slot_until, at + SLOT_KEPT)), account, at)
            return self.participants[there.id]
        role = RoomRole.GUEST if is_guest else RoomRole.MEMBER
        role = role if self.participants else RoomRole.HOST
        muted, name = account in self.muted and role is not RoomRole.HOST, participant_name(display_name)
        came = Participant(id, account, name, role, is_guest, at, slot_until=at + SLOT_FIRST, muted=muted)
        self.muted = tuple(each for each in self.muted if each != account)
        self._put(came)
        told = {"display_name": name, "role": role, "is_guest": is_guest, "muted": muted}
        self._tell("participant.joined", account, at, data={**whose(came), **told})
        self._appoint(account, at)
        return self.participants[id]

    def invite(self, account: AccountId, by: AccountId, at: datetime) -> None:
        """Ask somebody to come in. Whoever is in already is not asked; NotInvitable for one who is banned."""
        self.seat(by).require(Right.MODERATE)
        if account in self.banned:
            raise NotInvitable
        if self.participant_of(account) is None:
            self._tell("room.invited", by, at, data={"account_id": account})

    def leave(self, account: AccountId, by: AccountId | None, at: datetime, reason: str = "left") -> None:
        """Go. NotFound if the account is not in. `by` is None for the system."""
        self._tell_departed(self._in(account), "participant.left", {"reason": reason}, by, at, LEAD_DEFAULT_MS)

    def attend(self, present: Collection[AccountId], at: datetime) -> None:
        """Note who is connected: exactly these. The places of the others are kept for a while, counting from now."""
        if self.closed_at is not None:
            return
        for each in list(self.participants.values()):
            if each.account_id in present and not each.is_here:
                self._change(replace(each, slot_until=None), each.account_id, at)
            elif each.account_id not in present and each.is_here:
                gone = replace(each, slot_until=at + SLOT_KEPT, progress=Progress.LATE, buffering_since=None)
                self._change(gone, None, at)
        self._settle(None, at, LEAD_DEFAULT_MS)

    def keep_places(self, at: datetime) -> None:
        """Keep the places that are over for a while longer, because nobody knows who is connected."""
        for each in list(self.participants.values()):
            if self.closed_at is None and each.slot_until is not None and each.slot_until <= at:
                self._change(replace(each, slot_until=at + SLOT_KEPT), None, at)

    def transfer(self, id: ParticipantId, by: AccountId, at: datetime) -> None:
        """Make another participant, who is no guest, the host; the host becomes a moderator."""
        self.seat(by).require(Right.OWN)
        heir = self._participant(id)
        if heir.is_guest:
            raise Invalid("A guest cannot be the host.", pointer="/participant_id")
        if heir.account_id != by:
            self._pass_on(heir, RoomRole.MODERATOR, by, at)

    def change_participant(
        self, id: ParticipantId, by: AccountId, at: datetime, role: RoomRole | None = None, muted: bool | None = None
    ) -> None:
        """Give a participant another role, which the host may, or mute one of a lower role than one's own.

        A mute lasts as long as the room, unless it is taken back.
        """
        seat, who = self.seat(by), self._participant(id)
        for asked, right in ((role, Right.OWN), (muted, Right.MODERATE)):
            if asked is not None:
                seat.require(right)
        may_be_given = not who.is_guest and {who.role, role} <= {RoomRole.MODERATOR, RoomRole.MEMBER}
        if role is not None and role is not who.role and not may_be_given:
            raise Invalid(
                "A member can become a moderator, and a moderator a member. No other role can be given.",
                pointer="/role",
            )
        if muted is not None and muted is not who.muted:
            self._require_over(seat, who)
            if muted and len(self.muted) + sum(each.muted for each in self.participants.values()) >= MUTED_MAX:
                raise QuotaExceeded("mutes_of_a_room", MUTED_MAX)
        changed = replace(who, role=role or who.role, muted=who.muted if muted is None else muted)
        self._change(changed, by, at)

    def remove(self, id: ParticipantId, by: AccountId, at: datetime, new_code: str | None = None) -> None:
        """Send out a participant of a lower role than one's own. With a `new_code`, the account is banned too."""
        who = self._participant(id)
        self._require_over(self.seat(by), who)
        if new_code is not None:
            if len(self.banned) >= BANNED_MAX:
                raise QuotaExceeded("bans_of_a_room", BANNED_MAX)
            self.join_code, self.banned = new_code, (*self.banned, who.account_id)
        told = {"reason": "removed" if new_code is None else "banned", "banned": new_code is not None}
        self._tell_departed(who, "participant.removed", told, by, at, LEAD_DEFAULT_MS)

    def _in(self, account: AccountId) -> Participant:
        """The participant of an account that has a seat; see `seat` for what it refuses."""
        return self.participants[self.seat(account).participant_id]

    def _participant(self, id: ParticipantId) -> Participant:
        who = self.participants.get(id)
        if who is None:
            raise NotFound
        return who

    def _require_over(self, seat: Seat, who: Participant) -> None:
        seat.require(Right.MODERATE)
        if not seat.role.outranks(who.role):
            raise Forbidden("You can only do this to somebody whose role is below yours.")

    def _passed_warning(self, now: datetime) -> int | None:
        """The warning that is not told any more: its time has passed already."""
        return min((m for m in WARNINGS_MINUTES if self.expires_at - timedelta(minutes=m) <= now), default=None)


def room_name(name: str) -> str:
    return normal_name(name, pointer="/name", longest=ROOM_NAME_MAX, shortest=1)


def participant_name(name: str) -> str:
    return normal_name(name, pointer="/display_name", longest=PARTICIPANT_NAME_MAX, shortest=1)


def checked_max(participants: int) -> int:
    if not PARTICIPANTS_MIN <= participants <= PARTICIPANTS_MAX:
        raise Invalid(f"A room is for {PARTICIPANTS_MIN} to {PARTICIPANTS_MAX}.", pointer="/max_participants")
    return participants


def checked_visibility(visibility: Visibility, workspace: object) -> Visibility:
    if visibility is Visibility.WORKSPACE and workspace is None:
        raise Invalid("Only a room of a workspace can be for its members.", pointer="/visibility")
    return visibility


def check_guests(visibility: Visibility, allow_guests: bool, pointer: str = "/allow_guests") -> None:
    """Invalid if guests are allowed who can never come in, because they are members of no workspace."""
    if allow_guests and visibility is Visibility.WORKSPACE:
        raise Invalid("A room for the members of a workspace lets in no guests.", pointer=pointer)
