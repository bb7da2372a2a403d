"""Who is acting, and in the course of which request."""

from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from random import getrandbits
from uuid import UUID

from domain.identity import AccountRole
from domain.ids import AccountId


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: the account, the credential that it came with, and when that runs out.

    The credential is a session, or something else that was handed out, such as a key; its id is one of neither else.
    """

    account_id: AccountId
    credential_id: UUID
    role: AccountRole
    expires_at: datetime
    is_session: bool = True

    @property
    def via(self) -> UUID | None:
        """The credential if it is no session."""
        return None if self.is_session else self.credential_id

    @property
    def is_admin(self) -> bool:
        """Whether the account is an admin of the installation."""
        return self.role is AccountRole.ADMIN


@dataclass(frozen=True, slots=True)
class Correlation:
    """What ties an effect to its cause: the request id that the caller saw, and the W3C trace context.

    `via` is the credential by which the caller acts, if it is no session.
    """

    request_id: str = ""
    traceparent: str = ""
    via: UUID | None = None


NOTHING = Correlation()


def new_correlation(request_id: str = "", traceparent: str = "") -> Correlation:
    """What is not given is made: a trace that nobody records, and a request id that is the trace's."""
    traceparent = traceparent or f"00-{getrandbits(128) or 1:032x}-{getrandbits(64) or 1:016x}-00"
    return Correlation(request_id or traceparent[3:35], traceparent)


# Set once at each entry (HTTP request, socket command), read when events are written: it saves every use case a
# parameter that it would only pass on.
correlation: ContextVar[Correlation] = ContextVar("correlation", default=NOTHING)


def acts(principal: Principal) -> None:
    """What is written in this context from now on is the doing of this principal, by whatever credential."""
    if not principal.is_session:
        correlation.set(replace(correlation.get(), via=principal.credential_id))
