"""The last step of every way to sign in, in which a session begins."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from application.accounts import LEAVING
from application.authentication import Authentication
from application.identity.measures import FAILURES_TOLD_PER_ACCOUNT
from application.identity.messages import Device, EmailVerification, SignedIn
from application.identity.requests import AddressRequests
from application.limits import Limits
from application.ports.identity import AccessTokens, IdentityWork, UserView
from application.ports.secrets import Secrets
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import Stale, UnitOfWork, retried
from application.principal import Principal
from application.refresh_tokens import RefreshTokens
from application.scopes import MFA_SETUP
from domain.errors import DomainError
from domain.identity import (
    ACCESS_LIFETIME,
    PLACES_KNOWN,
    USER_AGENT_MAX,
    Account,
    AccountRole,
    EmailUnverified,
    EndReason,
    FactorRequired,
    FailedLogin,
    SecondFactors,
    Session,
)
from domain.ids import AccountId, SessionId

MfaRule: TypeAlias = Literal["off", "admins", "all"]

log = logging.getLogger(__name__)


class SigningIn:
    """Begins sessions, and answers with their first tokens.

    `sessions_max` is the most that an account may have. `mfa_required` says which accounts have to have a second
    factor. While such an account has none, its tokens are good for nothing but setting one up. With
    `verification` "required" nobody signs in whose address is not verified.
    """

    def __init__(
        self,
        work: UnitOfWork[IdentityWork],
        tokens: AccessTokens,
        secrets: Secrets,
        authentication: Authentication,
        requests: AddressRequests,
        limits: Limits,
        sessions_max: int,
        mfa_required: MfaRule,
        verification: EmailVerification,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._work = work
        self._tokens = tokens
        self._refresh_tokens = RefreshTokens(secrets)
        self._authentication = authentication
        self._requests = requests
        self._limits = limits
        self._sessions_max = sessions_max
        self._mfa_required = mfa_required
        self._verification = verification
        self._clock = clock
        self._ids = ids
        self._telling: set[asyncio.Task[None]] = set()

    async def enter(
        self, proven: Account, device: Device, last: Callable[[IdentityWork, Account], Awaitable[None]]
    ) -> tuple[SignedIn, str]:
        """Begin a session of an account whose owner has proven who they are. Returns the answer and a refresh token.

        `last` is called in the unit of work of the session. Stale if the account has changed since it was read, so
        that the proof may be worth nothing. EmailUnverified if its address has to be verified first.
        """
        async with self._work() as work:
            account = await work.accounts.get(proven.id)
            if account.password_hash != proven.password_hash or account.disabled_at:
                raise Stale
            await last(work, account)
            # Only somebody who has proven everything is told so.
            if self.needs_verified(account):
                raise EmailUnverified("Use the link that was mailed to this address first, or ask for another one.")
            is_complete = await self.is_complete(work, account)
            is_new = not await work.sessions.used_from(
                account.id, device.address, device.user_agent[:USER_AGENT_MAX], self._clock.now() - PLACES_KNOWN
            )
            session, refresh = self.begin(work, account, device, is_new)
        # A change of the password ends the sessions that exist before it and again after it. So either it has seen this
        # session, or the new password is visible here.
        async with self._work() as work:
            present = await work.accounts.get(account.id)
        if _powers(present) != _powers(account) or present.disabled_at:
            await self._withdraw(session.id)
            raise Stale
        self._authentication.end(await self._end_surplus(account.id))
        return self.answer(account, session, is_complete), refresh

    def begin(
        self, work: IdentityWork, account: Account, device: Device, is_new_place: bool = False
    ) -> tuple[Session, str]:
        """A new session, and its first refresh token."""
        id = SessionId(self._ids.new())
        token, digest, key = self._refresh_tokens.first(id)
        where, now = (device.address, device.user_agent), self._clock.now()
        session = Session.begin(id, account.id, digest, key, *where, now, is_new_place)
        work.sessions.add(session)
        return session, token

    def needs_verified(self, account: Account) -> bool:
        """Whether the address of the account has to be verified before anybody signs in."""
        return self._verification == "required" and account.email_verified_at is None

    def needs_factor(self, account: Account) -> bool:
        """Whether the account has to have a second factor."""
        return self._mfa_required == "all" or (self._mfa_required == "admins" and account.role is AccountRole.ADMIN)

    async def require_enough(self, work: IdentityWork, factors: SecondFactors) -> None:
        """FactorRequired unless these are as many factors as their account has to have."""
        if not factors.is_on and self.needs_factor(await work.accounts.get(factors.account_id)):
            raise FactorRequired("This account needs a second factor: add another before you remove the only one.")

    async def is_complete(self, work: IdentityWork, account: Account) -> bool:
        """Whether the account has what it has to have."""
        return not self.needs_factor(account) or (await work.factors.get(account.id)).is_on

    def answer(self, account: Account, session: Session, is_complete: bool) -> SignedIn:
        """A new access token of this session. For an account that is to be deleted it is good for little."""
        now = self._clock.now()
        expires_at = min(now + ACCESS_LIFETIME, session.expires_at)
        scopes = None if is_complete else frozenset({MFA_SETUP.name})
        if account.due_at is not None:
            scopes = LEAVING
        principal = Principal(account.id, session.id, account.role, expires_at, scopes)
        return SignedIn(
            access_token=self._tokens.issue(principal, now),
            token_type="Bearer",  # noqa: S106  # the name of a scheme
            expires_in=int((expires_at - now).total_seconds()),
            user=user_view(account),
            scopes=None if scopes is None else sorted(scopes),
        )

    def tell_soon(self, account: AccountId, device: Device) -> None:
        """Tell an account of a failed login after the answer, whose time would otherwise show that it exists."""
        self._soon(self._tell(account, device))

    def remind_soon(self, email: str) -> None:
        """Mail another link to who signs in before the address was verified, after the answer for the same reason."""
        self._soon(self._requests.verify(email))

    def _soon(self, telling: Coroutine[Any, Any, None]) -> None:
        async def tell() -> None:
            try:
                await telling
            except DomainError as problem:
                log.warning("cannot tell an account of a login that failed: %s", problem)

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, account: AccountId, device: Device) -> None:
        # Otherwise anybody could fill the journal of the account.
        if await self._limits.allows(FAILURES_TOLD_PER_ACCOUNT, str(account)):
            async with self._work() as work:
                id, now = self._ids.new(), self._clock.now()
                work.accounts.tell(FailedLogin.of(id, account, device.address, device.user_agent, now))

    @retried
    async def _withdraw(self, id: SessionId) -> None:
        """End a session that no client knows yet."""
        async with self._work() as work:
            session = await work.sessions.get(id)
            if session is not None:
                session.end(EndReason.PASSWORD_CHANGED, None, self._clock.now())
                work.sessions.save(session)

    @retried
    async def _end_surplus(self, account: AccountId) -> Sequence[SessionId]:
        """End the oldest sessions above `sessions_max`. If several begin at once, the last call sees all of them."""
        async with self._work() as work:
            surplus = await work.sessions.surplus(account, now := self._clock.now(), self._sessions_max)
            for session in surplus:
                session.end(EndReason.DISPLACED, None, now)
                work.sessions.save(session)
        return [session.id for session in surplus]


def _powers(account: Account) -> tuple[object, ...]:
    """What a sign-in depends on, and what it is good for."""
    return account.password_hash, account.role, account.due_at


def user_view(account: Account) -> UserView:
    """The account as its owner sees it."""
    return msgspec.convert(account, UserView, from_attributes=True)
