"""The ports of the identity context, to the store and to cryptography."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from application.principal import Principal
from domain.identity import (
    ACCESS_LIFETIME,
    Account,
    AccountKind,
    AccountRole,
    AddressRequest,
    FailedLogin,
    GuestPass,
    MailedLink,
    SecondFactors,
    Session,
)
from domain.ids import AccountId, AddressRequestId, GuestPassId, SessionId

# An ended session is remembered for twice the lifetime of an access token, because clocks of processes may differ.
ENDS_KNOWN = 2 * ACCESS_LIFETIME


class UserView(Struct, frozen=True):
    """An account as its owner sees it. The e-mail address of a guest is null.

    `email_verified_at` is when the owner has shown that they read the mail of that address.
    At `deletion_due_at` it is deleted; null if its owner does not want that.
    """

    id: UUID
    kind: AccountKind
    email: str | None
    email_verified_at: datetime | None
    display_name: str
    time_zone: str
    locale: str
    role: AccountRole
    created_at: datetime
    updated_at: datetime
    deletion_due_at: datetime | None
    version: int


class SessionView(Struct, frozen=True):
    """A session of the caller. `current` marks the one that asks. Without a refresh it expires at `expires_at`."""

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

    async def get_many(self, ids: Collection[AccountId]) -> Mapping[AccountId, Account]:
        """Like `get`, for several accounts at once. Those that are absent are missing from the mapping."""
        ...

    async def find(self, email: str) -> Account | None:
        """The account with this normalised address, disabled or not; None if absent."""
        ...

    def add(self, account: Account) -> None:
        """Store a new account; a taken address is `EmailTaken` on leaving."""
        ...

    def save(self, account: Account) -> None:
        """Store a changed account; `Stale` on leaving if another unit of work has saved it since it was read."""
        ...

    async def page(self, after: AccountId | None, most: int) -> Sequence[Account]:
        """The next accounts after `after`, or the first, ordered by id: roughly the order of registration."""
        ...

    def tell(self, failed: FailedLogin) -> None:
        """Write the event of a failed login, of which nothing else is stored."""
        ...


class SessionRepository(Protocol):
    """Sessions inside a unit of work."""

    async def get(self, id: SessionId) -> Session | None:
        """The session, over or not; None if absent."""
        ...

    async def get_with_time(self, id: SessionId) -> tuple[Session, datetime] | None:
        """The session, over or not, and the time by the store's clock, which all processes share; None if absent."""
        ...

    async def live(self, account: AccountId, now: datetime) -> Sequence[Session]:
        """The account's sessions that are not over, oldest first."""
        ...

    async def surplus(self, account: AccountId, now: datetime, most: int) -> Sequence[Session]:
        """The account's sessions that are not over, oldest first, without the newest `most` of them."""
        ...

    async def used_from(self, account: AccountId, address: str, user_agent: str, since: datetime) -> bool:
        """Whether the account has a session, over or not, of this address and client that was used after `since`.

        Sessions that are no longer kept do not count.
        """
        ...

    def add(self, session: Session) -> None: ...

    def save(self, session: Session) -> None:
        """Store a changed session; `Stale` on leaving if another unit of work has saved it since it was read."""
        ...


class GuestPassRepository(Protocol):
    """Passes of guests inside a unit of work."""

    async def live(self, accounts: Collection[AccountId], now: datetime) -> Sequence[GuestPass]:
        """The passes of these accounts that are not over. An account of a person has none."""
        ...

    def add(self, guest_pass: GuestPass) -> None: ...

    def save(self, guest_pass: GuestPass) -> None:
        """Store a changed pass; `Stale` on leaving if another unit of work has saved it since it was read."""
        ...


class FactorRepository(Protocol):
    """Second factors of accounts inside a unit of work."""

    async def get(self, account: AccountId) -> SecondFactors:
        """The factors of this account. If none were ever saved, there are none in them."""
        ...

    async def with_secret(self, after: AccountId | None, most: int) -> Sequence[AccountId]:
        """The next accounts after `after`, or the first, ordered by id, that have the secret of an app."""
        ...

    def save(self, factors: SecondFactors) -> None:
        """Store changed factors; `Stale` on leaving if another unit of work has saved them since they were read.

        A passkey that another account has is `FactorOn` on leaving.
        """
        ...


class AddressRepository(Protocol):
    """Links that were mailed, and what was asked for under addresses, inside a unit of work. Nobody is told of them."""

    async def link(self, digest: bytes) -> MailedLink | None:
        """The link whose secret has this digest, used and expired ones too; None if absent or replaced."""
        ...

    def put_link(self, link: MailedLink) -> None:
        """Store a new link, in the place of an earlier one of its account and purpose."""
        ...

    def use_link(self, link: MailedLink) -> None:
        """Store that a link was used; `Stale` on leaving if it has been used or replaced since it was read."""
        ...

    async def request(self, id: AddressRequestId) -> AddressRequest:
        """What was asked for; NotFound if it is done."""
        ...

    def add_request(self, request: AddressRequest) -> None: ...

    def remove_request(self, request: AddressRequest) -> None:
        """Drop what is done; `Stale` on leaving if another unit of work has dropped it."""
        ...


class IdentityWork(Protocol):
    """The slice of a unit of work that the identity context sees."""

    @property
    def accounts(self) -> AccountRepository: ...

    @property
    def sessions(self) -> SessionRepository: ...

    @property
    def guest_passes(self) -> GuestPassRepository: ...

    @property
    def factors(self) -> FactorRepository: ...

    @property
    def addresses(self) -> AddressRepository: ...


class SessionQueries(Protocol):
    """The ended sessions, which every process has to know without a query for each request."""

    async def ended_since(self, since: datetime | None) -> tuple[Collection[SessionId], datetime]:
        """The sessions whose end was written at or after `since`, and the present time.

        Both times are of the store's clock, not of the process that ended a session. None asks for the sessions that
        ended in the last 30 minutes.
        """
        ...


class GuestPassStore(Protocol):
    """Passes of guests outside of a unit of work."""

    async def find(self, token_digest: bytes) -> GuestPass | None:
        """The pass whose token has this digest, over or not; None if absent."""
        ...

    async def ended_since(self, since: datetime | None) -> tuple[Collection[GuestPassId], datetime]:
        """The passes that were ended, exactly as in `SessionQueries.ended_since`."""
        ...

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop passes that expired longer than `kept` before `now`, at most `most`. Returns their number.

        The accounts stay, because others may refer to them, with the name `NAMELESS`.
        """
        ...


class AddressUpkeep(Protocol):
    """Drops what is left of links and requests. Other processes may do so at the same time."""

    async def forget_links(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop links that expired longer than `kept` before `now`, at most `most`. Returns their number."""
        ...

    async def forget_requests(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop requests that were made longer than `kept` before `now`: what was not done by then never is."""
        ...


class PasswordHasher(Protocol):
    """Slow, salted hashing that never blocks the event loop.

    A few hashes run at once and a bounded number waits; a call beyond that is Unavailable. `pending` is the number of
    hashes that run or wait.
    """

    pending: int = 0

    async def hash(self, password: str) -> str:
        """A new encoded hash, parameters and salt included."""
        ...

    async def verify(self, password: str, encoded: str | None) -> bool:
        """Whether `password` is the one of the hash `encoded`. For None it takes the same time and is False."""
        ...

    def is_outdated(self, encoded: str) -> bool:
        """Whether `encoded` was made with weaker parameters than today's."""
        ...


class AccessTokens(Protocol):
    """Short-lived signed tokens that prove who is calling."""

    def issue(self, principal: Principal, now: datetime) -> str:
        """A token for this principal, whose credential is a session, from `now` until `principal.expires_at`.

        Its scopes are kept, and no limit to a place or to networks.
        """
        ...

    def read(self, token: str, now: datetime) -> Principal:
        """The principal of a token. Unauthenticated, as `token_expired`, or as `token_invalid` for any other flaw."""
        ...


class OneTimeCodes(Protocol):
    """Codes that an authenticator app makes of a secret and the time (TOTP)."""

    def new_secret(self) -> str:
        """A new secret, as it is typed into an app."""
        ...

    def address(self, secret: str, name: str) -> str:
        """The `otpauth:` URI of a secret, which an app reads as a QR code. `name` is shown in the app."""
        ...

    def step(self, secret: str, code: str, at: datetime) -> int | None:
        """The number of the step of time that this is the code of: of the present one or a neighbour. None if of none.

        Steps are numbered in the order of time.
        """
        ...


class AttestedPasskey(Struct, frozen=True):
    """A new passkey, as its authenticator describes it."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


class Authenticators(Protocol):
    """Asks authenticators by way of a browser, and verifies their answers (WebAuthn).

    Questions and answers are the JSON that browsers know. An answer that does not prove what it has to is
    `PasskeyRefused`: it was made for another site or origin, for another challenge, without the user, or with another
    key. What is refused and why is the same for every answer that means the same.
    """

    def creation(
        self, challenge: str, account: AccountId, name: str, display_name: str, known: Collection[bytes]
    ) -> Mapping[str, object]:
        """A question to make a passkey that can be found without a name, on none of the `known` authenticators."""
        ...

    def request(self, challenge: str, known: Collection[bytes], *, is_verifying: bool) -> Mapping[str, object]:
        """A question to prove one of the `known` passkeys, or any of this site if none is named.

        With `is_verifying` the authenticator has to verify its user, by a finger or a PIN.
        """
        ...

    def challenge_of(self, client_data: str) -> str:
        """The challenge that an answer with this `clientDataJSON` says to be about. Nothing is verified."""
        ...

    async def attested(self, client_data: str, attestation: str, challenge: str) -> AttestedPasskey:
        """The passkey that an answer to `creation` is about."""
        ...

    async def asserted(
        self,
        client_data: str,
        authenticator_data: str,
        signature: str,
        challenge: str,
        public_key: bytes,
        *,
        is_verifying: bool,
    ) -> int:
        """The count of signatures in an answer to `request` that was signed with this key."""
        ...
