"""What a conversation asks its connection to do: plain values, so that decisions can be tested without a socket."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Raw

from application.principal import Principal
from application.realtime.frames import Call, CloseCode, Opening, ServerFrame


@dataclass(frozen=True, slots=True)
class Send:
    """Send this frame."""

    frame: ServerFrame


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection."""

    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class Identify:
    """Find the principal of a credential, then call `identified` or `unidentified`.

    With an `opening` the connection begins with it; without one the credential replaces the present one.
    """

    id: int
    credential: str
    opening: Opening | None


@dataclass(frozen=True, slots=True)
class Enter:
    """The peer is authenticated: count the connection, follow the opening's channels, then call `entered`."""

    id: int
    principal: Principal
    opening: Opening


@dataclass(frozen=True, slots=True)
class Join:
    """Follow a channel, then call `joined` or `refused`."""

    id: int
    channel: str
    since: int | None
    be_present: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Follow a channel no longer."""

    channel: str


@dataclass(frozen=True, slots=True)
class Say:
    """Publish `data` to the followers of an ephemeral channel, then call `carried_out` or `refused`."""

    id: int
    channel: str
    data: Raw


@dataclass(frozen=True, slots=True)
class CarryOut:
    """Carry out a command, then call `carried_out` or `refused`."""

    call: Call


Effect = Send | Close | Identify | Enter | Join | Leave | Say | CarryOut
Effects = Sequence[Effect]


def asked_by(effect: Effect) -> int | None:
    """The id of the command that asked for this effect, if its answer depends on it."""
    match effect:
        case Identify(id=id) | Enter(id=id) | Join(id=id) | Say(id=id):
            return id
        case CarryOut(call):
            return call.id
        case _:
            return None
