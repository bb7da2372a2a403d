"""Who may do what in a room: the roles, the policies, and the one table of rights."""

from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Forbidden
from domain.ids import AccountId, ParticipantId
from domain.rooms.refusals import Muted


class RoomRole(StrEnum):
    """The roles in a room, from the most to the least powerful. There is one host while anybody is in."""

    HOST = "host"
    MODERATOR = "moderator"
    MEMBER = "member"
    GUEST = "guest"

    def outranks(self, other: "RoomRole") -> bool:
        return _RANK[self] > _RANK[other]


class Visibility(StrEnum):
    """Who may come in.

    Into a `private` room, those who have its code; with `link` also accounts that have its id; with `workspace` members
    of that only.
    """

    PRIVATE = "private"
    LINK = "link"
    WORKSPACE = "workspace"


class Control(StrEnum):
    """Who may play, pause and seek: the host alone, moderators too, or everyone but guests."""

    HOST = "host"
    MODERATORS = "moderators"
    EVERYONE = "everyone"


class Wait(StrEnum):
    """For how many of those who are here an item waits: for all, for 80 of 100, or for nobody."""

    ALL = "all"
    QUORUM = "quorum"
    NONE = "none"


class HostLeave(StrEnum):
    """What happens to the playback when the host leaves. Another host is found in both cases."""

    TRANSFER = "transfer"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Policies:
    """What the host has decided about the room."""

    control: Control = Control.EVERYONE
    wait: Wait = Wait.ALL
    host_leave: HostLeave = HostLeave.TRANSFER


class Right(StrEnum):
    """A right in a room. A caller who lacks it is told its value."""

    CONTROL = "room:control"
    ADD = "room:queue"
    ARRANGE = "room:arrange"
    SPEAK = "room:speak"
    VOTE = "room:vote"
    MODERATE = "room:moderate"
    OWN = "room:own"


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of one account in a room, and what it may do there."""

    account_id: AccountId
    participant_id: ParticipantId
    display_name: str
    role: RoomRole
    control: Control
    muted: bool = False

    def allows(self, right: Right) -> bool:
        if right is Right.CONTROL:
            return self.role in _CONTROLLING[self.control]
        if right is Right.ADD and self.control is Control.EVERYONE:
            return True
        return right in _TABLE[self.role]

    def require(self, right: Right) -> None:
        """Forbidden, naming the right, unless this seat has it. Muted, if it may not speak now."""
        if not self.allows(right):
            raise Forbidden(
                f"Your role in this room is {self.role.value}, which does not allow this.",
                extra={"required_permission": right.value},
            )
        if self.muted and right is Right.SPEAK:
            raise Muted("You are muted in this room.")


_RANK = {RoomRole.GUEST: 0, RoomRole.MEMBER: 1, RoomRole.MODERATOR: 2, RoomRole.HOST: 3}
_HOST = frozenset({RoomRole.HOST})
_MODERATORS = _HOST | {RoomRole.MODERATOR}
_CONTROLLING = {
    Control.HOST: _HOST,
    Control.MODERATORS: _MODERATORS,
    Control.EVERYONE: _MODERATORS | {RoomRole.MEMBER},
}
_OF_GUESTS = frozenset({Right.SPEAK, Right.VOTE})
_OF_MEMBERS = _OF_GUESTS | {Right.ADD}
_OF_MODERATORS = _OF_MEMBERS | {Right.ARRANGE, Right.MODERATE}
_TABLE = {
    RoomRole.GUEST: _OF_GUESTS,
    RoomRole.MEMBER: _OF_MEMBERS,
    RoomRole.MODERATOR: _OF_MODERATORS,
    RoomRole.HOST: _OF_MODERATORS | {Right.OWN},
}
