"""How an error of the domain is told to a peer: its code, a sentence, and whether another try can help."""

from application.realtime.frames import CHANNELS_MAX, Error, Refused, Retry
from domain.errors import DomainError, Exhausted, Unauthenticated, Unavailable


class TooManyChannels(Exhausted):
    """The connection follows as many channels as it can."""

    code = "too_many_channels"

    def __init__(self) -> None:
        super().__init__(f"A connection follows at most {CHANNELS_MAX} channels.", retry_after_seconds=1)


def refused(error: DomainError) -> Refused:
    """The refusal that the peer is sent for an error."""
    retry: Retry
    match error:
        case Unauthenticated():
            retry = "reauthenticate"
        case Unavailable() | Exhausted():
            retry = "later"
        case _:
            retry = "no"
    return Refused(error.code, message_of(error), retry, error.extra)


def message_of(error: DomainError) -> str:
    """The detail of an error with its pointer, because a frame has no field for the pointer."""
    return f"{error.detail} (at {error.pointer})" if error.pointer else error.detail


def refusal(id: int, error: DomainError) -> Error:
    why = refused(error)
    return Error(id, why.code, why.message, why.retry, why.extra)
