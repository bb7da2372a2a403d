"""What a room refuses, each with a code of its own."""

from collections.abc import Mapping
from datetime import datetime

from domain.errors import Conflict, Forbidden, Gone, Invalid


class RoomClosed(Gone):
    """The room was closed, and stays closed. `extra` says why, and when that was."""

    code = "room_closed"


class RoomExpired(RoomClosed):
    """The room's time is over, and nobody extended it."""

    code = "room_expired"


def refuse_closed(closed_at: datetime | None, reason: str | None) -> None:
    """RoomExpired or RoomClosed, if a room was closed."""
    if closed_at is not None:
        kind, how = (RoomExpired, "expired") if reason == "expired" else (RoomClosed, "was closed")
        raise kind(f"The room {how}.", extra={"reason": reason, "closed_at": closed_at})


class RoomFull(Conflict):
    """As many people are in the room as it lets in."""

    code = "room_full"


class Banned(Forbidden):
    """The account may not come into this room any more."""

    code = "banned"


class WrongRoomPassword(Forbidden):
    """The room has a password, and this is not it."""

    code = "wrong_password"


class NotInvitable(Invalid):
    """The account is not asked in.

    There is none, it is banned, the room is for a workspace that it is not in, or it shares no workspace with who asks.
    """

    code = "not_invitable"

    def __init__(self) -> None:
        super().__init__("This account could not come in, or is in no workspace with you.", pointer="/account_id")


class GuestsNotAllowed(Forbidden):
    """The room lets in accounts only."""

    code = "guests_not_allowed"


class Muted(Forbidden):
    """The participant may listen, but not speak."""

    code = "muted"


class NothingLoaded(Conflict):
    """The room plays nothing, so there is no position to change."""

    code = "nothing_loaded"


class StaleEpoch(Conflict):
    """The timeline has changed since the epoch that the command is for. `extra` has the state of now."""

    code = "stale_epoch"

    def __init__(self, state: Mapping[str, object], now: datetime) -> None:
        super().__init__(
            f"The room is at epoch {state['epoch']} now.",
            extra={"state": state, "server_time": now},
        )
