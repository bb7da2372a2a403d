"""Who is acting, and in the course of which request."""

from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from random import getrandbits
from uuid import UUID

from application.scopes import SESSION, Scope, ScopeMissing
from domain.identity import AccountRole
from domain.ids import AccountId


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: the account, the credential that it came with, and when that runs out.

    The credential is a session, which may do whatever the account may, so that its `scopes` are None; or something else
    that was handed out, such as a key, with the names of its scopes. Its id is one of neither else.
    """

    account_id: AccountId
    credential_id: UUID
    role: AccountRole
    expires_at: datetime
    scopes: frozenset[str] | None = None

    @property
    def is_session(self) -> bool:
        return self.scopes is None

    @property
    def via(self) -> UUID | None:
        """The credential if it is no session."""
        return None if self.is_session else self.credential_id

    @property
    def mark(self) -> bytes:
        """Tells apart what one account does by different credentials; all sessions are one."""
        return b"" if self.is_session else self.credential_id.bytes

    @property
    def is_admin(self) -> bool:
        """Whether the account is an admin of the installation."""
        return self.role is AccountRole.ADMIN

    def require(self, scope: Scope) -> None:
        """ScopeMissing unless the credential has this scope. Every use case asks for one before anything else."""
        if self.scopes is not None and scope.name not in self.scopes:
            raise ScopeMissing(scope.name)

    def require_scopes_of(self, other: "Principal") -> None:
        """ScopeMissing unless this credential may do whatever that one may."""
        if self.scopes is not None:
            theirs = {SESSION.name} if other.scopes is None else other.scopes
            for name in sorted(theirs - self.scopes):
                raise ScopeMissing(name)


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
