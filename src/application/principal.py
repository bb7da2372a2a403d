"""Who is acting, and in the course of which request."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from random import getrandbits

from domain.identity import AccountRole
from domain.ids import AccountId, SessionId


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: the account, the session that its token belongs to, and when that token runs out."""

    account_id: AccountId
    session_id: SessionId
    role: AccountRole
    expires_at: datetime

    @property
    def is_admin(self) -> bool:
        """Whether the account is an admin of the installation."""
        return self.role is AccountRole.ADMIN


@dataclass(frozen=True, slots=True)
class Correlation:
    """What ties an effect to its cause: the request id that the caller saw, and the W3C trace context."""

    request_id: str = ""
    traceparent: str = ""


NOTHING = Correlation()


def new_correlation(request_id: str = "", traceparent: str = "") -> Correlation:
    """What is not given is made: a trace that nobody records, and a request id that is the trace's."""
    traceparent = traceparent or f"00-{getrandbits(128) or 1:032x}-{getrandbits(64) or 1:016x}-00"
    return Correlation(request_id or traceparent[3:35], traceparent)


# Set once at each entry (HTTP request, socket command), read when events are written: it saves every use case a
# parameter that it would only pass on.
correlation: ContextVar[Correlation] = ContextVar("correlation", default=NOTHING)
