"""What the identity context asks of the store and of cryptography."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from application.principal import Principal
from domain.identity import ACCESS_LIFETIME, Account, AccountRole, FailedLogin, Session
from domain.ids import AccountId, SessionId

# For twice as long as an access token lives it is known that its session has ended: clocks of processes may differ.
ENDS_KNOWN = 2 * ACCESS_LIFETIME


class UserView(Struct, frozen=True):
    """An account as its owner sees it."""

    id: UUID
    email: str
    display_name: str
    role: AccountRole
    created_at: datetime
    updated_at: datetime
    version: int


class SessionView(Struct, frozen=True):
    """A sign-in of one's own; `current` is the one that asks. It runs out at `expires_at` if it is not used before."""

    id: UUID
    address: str
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


class AccountRepository(Protocol):
    """Accounts inside a unit of work."""

    async def get(self, id: AccountId) -> Account:
        """The account, disabled or not; NotFound if absent."""
        ...

    async def find(self, email: str) -> Account | None:
        """The account with this normalised address, disabled or not."""
        ...

    def add(self, account: Account) -> None:
        """Keep a new account; a taken address is `EmailTaken` on leaving."""
        ...

    def save(self, account: Account) -> None:
        """Keep a changed account; `Stale` on leaving if somebody else saved it since."""
        ...

    async def page(self, after: AccountId | None, most: int) -> Sequence[Account]:
        """The next accounts behind `after`, or the first; by their ids, so about in the order of their registration."""
        ...

    def tell(self, failed: FailedLogin) -> None:
        """Write the event of a login that failed; nothing else is kept of it."""
        ...


class SessionRepository(Protocol):
    """Sessions inside a unit of work."""

    async def get(self, id: SessionId) -> Session | None:
        """The session, over or not."""
        ...

    async def get_with_time(self, id: SessionId) -> tuple[Session, datetime] | None:
        """The session, over or not, and the time by the store's clock, which is the same for every process."""
        ...

    async def live(self, account: AccountId, now: datetime) -> Sequence[Session]:
        """The account's sessions that are not over, oldest first."""
        ...

    async def surplus(self, account: AccountId, now: datetime, most: int) -> Sequence[Session]:
        """The account's sessions that are not over, oldest first, without the newest `most` of them."""
        ...

    def add(self, session: Session) -> None: ...

    def save(self, session: Session) -> None:
        """Keep a changed session; `Stale` on leaving if somebody else saved it since."""
        ...


class IdentityWork(Protocol):
    """The slice of a unit of work that the identity context sees."""

    @property
    def accounts(self) -> AccountRepository: ...

    @property
    def sessions(self) -> SessionRepository: ...


class SessionQueries(Protocol):
    """What every process has to know of sessions without asking for each request."""

    async def ended_since(self, since: datetime | None) -> tuple[Collection[SessionId], datetime]:
        """The sessions whose end was written at or after `since`, and what time it is now.

        Both are times of the store's clock, whatever the clock of the process says that ended one. None asks for
        those of the last 30 minutes.
        """
        ...


class PasswordHasher(Protocol):
    """Slow, salted hashing that never blocks the event loop.

    At most a few hashes run at once and a bounded number waits; beyond that the answer is Unavailable. `pending`
    is how many run or wait.
    """

    pending: int = 0

    async def hash(self, password: str) -> str:
        """A new encoded hash, parameters and salt included."""
        ...

    async def verify(self, password: str, encoded: str | None) -> bool:
        """Whether it is the password of `encoded`. For None it takes the same time and is False."""
        ...

    def is_outdated(self, encoded: str) -> bool:
        """Whether `encoded` was made with weaker parameters than today's."""
        ...


class AccessTokens(Protocol):
    """Short-lived signed tokens that prove who is calling."""

    def issue(self, principal: Principal, now: datetime) -> str:
        """A token for this principal, whose credential is a session, from `now` until `principal.expires_at`."""
        ...

    def read(self, token: str, now: datetime) -> Principal:
        """Whose token it is. Unauthenticated with code `token_expired`, or `token_invalid` for any other flaw."""
        ...
