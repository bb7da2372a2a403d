"""The caller that acts, and the request in which it acts."""

from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from random import getrandbits
from uuid import UUID

from application.scopes import SESSION, Scope, missing
from domain.errors import Forbidden, NotFound
from domain.identity import AccountRole
from domain.ids import AccountId


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: the account, its credential, and when the credential expires.

    If the credential is a session, `scopes` is None: it may do all that the account may do. Any other credential, such
    as a key, has the names of its scopes; so has a session that may do only some things until something is made good.
    The ids of all credentials are distinct, sessions included. A credential may be for one place only, such as a
    workspace: `within` is the stream of that place, and None means every place. It may be for callers from some
    `networks` only, in CIDR form; None means that they may come from anywhere. With `a_minute` its requests are limited
    to so many a minute by themselves; with None they count with its account's.
    """

    account_id: AccountId
    credential_id: UUID
    role: AccountRole
    expires_at: datetime
    scopes: frozenset[str] | None = None
    within: str | None = None
    networks: tuple[str, ...] | None = None
    a_minute: int | None = None

    @property
    def is_session(self) -> bool:
        return self.scopes is None

    @property
    def via(self) -> UUID | None:
        """The id of the credential, or None if it is a session."""
        return None if self.is_session else self.credential_id

    @property
    def mark(self) -> bytes:
        """Distinguishes the credentials of one account. All its sessions have the same mark."""
        return b"" if self.is_session else self.credential_id.bytes

    @property
    def is_admin(self) -> bool:
        """Whether the account is an admin of the installation."""
        return self.role is AccountRole.ADMIN

    def may_come_from(self, address: str) -> bool:
        """Whether the credential may be used from this network address. One that is not known is in no network."""
        if self.networks is None:
            return True
        try:
            coming = ip_address(address)
        except ValueError:
            return False
        return any(coming in ip_network(network) for network in self.networks)

    def require(self, scope: Scope) -> None:
        """ScopeMissing unless the credential has this scope. Every use case calls this before anything else."""
        if self.scopes is not None and scope.name not in self.scopes:
            raise missing(scope.name, self.scopes)

    @property
    def place(self) -> UUID | None:
        """The id of the one place that the credential is for, or None for every place."""
        return None if self.within is None else UUID(self.within.rpartition(":")[2])

    def require_within(self, *places: UUID | None) -> None:
        """NotFound if the credential is for one place only, and that is none of `places`.

        Every use case calls this before it shows or changes anything, with the workspace that the thing is in, and the
        thing itself if that is a place. A thing does not move, so one question is enough.
        """
        if self.within is not None and self.place not in places:
            raise NotFound

    def require_anywhere(self) -> None:
        """Forbidden if the credential is for one place only, in which the thing to be made cannot be."""
        if self.within is not None:
            raise Forbidden("This credential is for one place only.")

    def require_rights_of(self, other: "Principal") -> None:
        """ScopeMissing unless this credential has every scope of the other, Forbidden unless it has its place, too."""
        if other.within != self.within:
            self.require_anywhere()
        if self.scopes is not None:
            theirs = {SESSION.name} if other.scopes is None else other.scopes
            for name in sorted(theirs - self.scopes):
                raise missing(name, self.scopes)


# Nothing is told to a webhook at this depth, so that installations that call each other come to rest.
DEPTH_MAX = 5


@dataclass(frozen=True, slots=True)
class Correlation:
    """Ties an effect to its cause: the request id that the caller sees, and the W3C trace context.

    `via` is the id of the caller's credential, or None if it is a session. `depth` is how many webhooks in a row led
    here, at most DEPTH_MAX.
    """

    request_id: str = ""
    traceparent: str = ""
    via: UUID | None = None
    depth: int = 0


NOTHING = Correlation()


def new_correlation(request_id: str = "", traceparent: str = "") -> Correlation:
    """A correlation of these. A missing trace becomes a new one that is not recorded, a missing request id its id."""
    traceparent = traceparent or f"00-{getrandbits(128) or 1:032x}-{getrandbits(64) or 1:016x}-00"
    return Correlation(request_id or traceparent[3:35], traceparent)


# Set at each entry (HTTP request, socket command) and read when events are written. It saves every use case a parameter
# that it would only pass on.
correlation: ContextVar[Correlation] = ContextVar("correlation", default=NOTHING)


def acts(principal: Principal, depth: int = 0) -> None:
    """Record the principal's credential and this depth in this context, for the events that are written from now on.

    Of a session nothing is recorded: a person is no link of a chain of webhooks, and cannot hide from them by a depth.
    """
    if not principal.is_session:
        correlation.set(replace(correlation.get(), via=principal.credential_id, depth=min(depth, DEPTH_MAX)))
