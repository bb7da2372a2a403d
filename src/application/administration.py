"""Changes of accounts by operators, on the command line only. The actor of their events is null."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from application.authentication import Authentication
from application.identity import Proofs
from application.identity.ending import end_all_sessions, end_sessions
from application.ports.identity import IdentityWork
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from domain.errors import NotFound
from domain.identity import Account, AccountKind, AccountRole, EndReason, FactorOff, normal_email
from domain.ids import AccountId, SessionId

PAGE = 500


class AccountLine(Struct, frozen=True):
    """An account as operators see it. The e-mail address of a guest is null."""

    id: UUID
    kind: AccountKind
    email: str | None
    email_verified_at: datetime | None
    display_name: str
    role: AccountRole
    created_at: datetime
    disabled_at: datetime | None
    deletion_due_at: datetime | None
    deleted_at: datetime | None

    @property
    def state(self) -> str:
        """What is the case with the account, in a word or two."""
        if self.deleted_at:
            return "deleted"
        return "disabled" if self.disabled_at else "leaving" if self.deletion_due_at else "active"


class Reencrypted(NamedTuple):
    """How many secrets are encrypted anew, and of how many no key is known."""

    renewed: int
    lost: int


class Administration:
    """Changes of accounts that no token allows. Each is NotFound if no account has the address, and may be repeated."""

    def __init__(
        self, work: UnitOfWork[IdentityWork], authentication: Authentication, proofs: Proofs, clock: Clock
    ) -> None:
        self._work = work
        self._proofs = proofs
        self._authentication = authentication
        self._clock = clock

    async def accounts(self) -> AsyncIterator[AccountLine]:
        """All accounts, roughly in the order of registration."""
        after: AccountId | None = None
        while True:
            async with self._work() as work:
                page = await work.accounts.page(after, PAGE)
            for account in page:
                yield _line(account)
            if len(page) < PAGE:
                return
            after = page[-1].id

    async def make_admin(self, email: str) -> AccountLine:
        """Make an account an admin of the installation, and take its address for verified.

        Its sessions end, so that no token keeps the old role.
        """

        def verb(account: Account, at: datetime) -> None:
            account.make_admin(at)
            account.verify_email(None, at)

        return await self._change(email, verb, EndReason.LOGGED_OUT_EVERYWHERE)

    async def demote(self, email: str) -> AccountLine:
        """Make an admin a user again. Its sessions end, so that no token keeps the old role."""
        return await self._change(email, Account.demote, EndReason.LOGGED_OUT_EVERYWHERE)

    async def disable(self, email: str) -> AccountLine:
        """Refuse every sign-in to the account, and end its sessions."""
        return await self._change(email, Account.disable, EndReason.DISABLED)

    @retried
    async def enable(self, email: str) -> AccountLine:
        """Allow sign-ins to a disabled account again."""
        async with self._work() as work:
            account = await _find(work, email)
            account.enable(self._clock.now())
            work.accounts.save(account)
        return _line(account)

    @retried
    async def verify(self, email: str) -> AccountLine:
        """Take the address of an account for verified, without a link."""
        async with self._work() as work:
            account = await _find(work, email)
            account.verify_email(None, self._clock.now())
            work.accounts.save(account)
        return _line(account)

    async def reset_mfa(self, email: str) -> AccountLine:
        """Remove all second factors of an account whose owner has lost them, and end its sessions.

        FactorOff if it has none.
        """
        account, ended = await self._reset_mfa(email)
        self._authentication.end(ended)
        return account

    @retried
    async def _reset_mfa(self, email: str) -> tuple[AccountLine, Sequence[SessionId]]:
        async with self._work() as work:
            account = await _find(work, email)
            factors = await work.factors.get(account.id)
            if not factors.is_on:
                raise FactorOff(f"{email} has no second factor.")
            factors.reset(now := self._clock.now())
            work.factors.save(factors)
            ended = await end_sessions(work, account.id, EndReason.LOGGED_OUT_EVERYWHERE, None, now)
        return _line(account), ended

    async def reencrypt(self) -> Reencrypted:
        """Encrypt the secrets of authenticator apps under today's JWT_SECRET, as far as an earlier one is known."""
        renewed = lost = 0
        after: AccountId | None = None
        while True:
            async with self._work() as work:
                page = await work.factors.with_secret(after, PAGE)
            for account in page:
                is_renewed = await self._reencrypt(account)
                renewed, lost = renewed + is_renewed, lost + (not is_renewed)
            if len(page) < PAGE:
                return Reencrypted(renewed, lost)
            after = page[-1]

    @retried
    async def _reencrypt(self, account: AccountId) -> bool:
        async with self._work() as work:
            factors = await work.factors.get(account)
            secret = self._proofs.reencrypted(factors)
            if secret is not None:
                factors.reencrypt_totp(secret, self._clock.now())
                work.factors.save(factors)
        return secret is not None

    async def _change(self, email: str, verb: Callable[[Account, datetime], None], because: EndReason) -> AccountLine:
        account, is_news, ended = await self._apply(email, verb, because)
        if is_news:  # sessions that a login began at the same moment have to end too
            late = await end_all_sessions(self._work, AccountId(account.id), because, None, self._clock)
            ended = [*ended, *late]
        self._authentication.end(ended)
        return account

    @retried
    async def _apply(
        self, email: str, verb: Callable[[Account, datetime], None], because: EndReason
    ) -> tuple[AccountLine, bool, Sequence[SessionId]]:
        async with self._work() as work:
            account = await _find(work, email)
            verb(account, self._clock.now())
            is_news = account.has_news
            work.accounts.save(account)
            ended = await end_sessions(work, account.id, because, None, self._clock.now()) if is_news else []
        return _line(account), is_news, ended


async def _find(work: IdentityWork, email: str) -> Account:
    account = await work.accounts.find(normal_email(email))
    if account is None:
        raise NotFound(f"No account has the address {email}.")
    return account


def _line(account: Account) -> AccountLine:
    return msgspec.convert(account, AccountLine, from_attributes=True)
