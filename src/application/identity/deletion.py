"""The end of an account: its owner asks for it, may take that back for some time, and then the account is deleted."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from application.accounts import ACCOUNT_LEAVE
from application.authentication import Authentication
from application.erasure import DELETED, MOST, drop_history
from application.identity.ending import end_all_sessions, end_sessions
from application.identity.messages import DeletionRequest
from application.identity.proofs import Proofs
from application.identity.signing_in import user_view
from application.mail import Postbox
from application.ports.consumers import Consumer, ConsumerWork
from application.ports.events import EventView
from application.ports.identity import IdentityWork, UserView
from application.ports.mail import Letter, MailWork
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from application.ports.upkeep import Upkeep
from application.principal import Principal
from application.scopes import SESSION
from domain.channels import account_stream
from domain.identity import EndReason, WrongPassword
from domain.ids import AccountId, SessionId


class DeletionWork(IdentityWork, MailWork, Protocol):
    """The slice of a unit of work that ends an account and tells its owner that it is deleted."""


class Deletion:
    """The use cases around the end of one's own account.

    `refuse_owners` is called with each account whose deletion is requested, inside its unit of work; it raises what
    stands against it. `grace` is for how long the owner may take the deletion back.
    """

    def __init__(
        self,
        work: UnitOfWork[DeletionWork],
        refuse_owners: Callable[[Any, AccountId], Awaitable[None]],
        proofs: Proofs,
        authentication: Authentication,
        postbox: Postbox,
        upkeep: Upkeep,
        grace_seconds: int,
        clock: Clock,
    ) -> None:
        self._work = work
        self._refuse_owners = refuse_owners
        self._proofs = proofs
        self._authentication = authentication
        self._postbox = postbox
        self._upkeep = upkeep
        self._grace = timedelta(seconds=grace_seconds)
        self._clock = clock

    async def request(self, actor: Principal, request: DeletionRequest) -> UserView:
        """Let the account be deleted when the grace is over, given its password, and end all of its sessions."""
        actor.require(SESSION)
        account = await self._proofs.password(actor.account_id, request.password)
        view, ended = await self._request(account.id, account.password_hash)
        self._authentication.end(ended)
        # A login may have begun a session at the same moment.
        late = await end_all_sessions(self._work, account.id, EndReason.DELETION_REQUESTED, account.id, self._clock)
        self._authentication.end(late)
        return view

    @retried
    async def _request(self, id: AccountId, verified: str | None) -> tuple[UserView, Sequence[SessionId]]:
        now = self._clock.now()
        async with self._work() as work:
            account = await work.accounts.get(id)
            if account.password_hash != verified:
                raise WrongPassword
            await self._refuse_owners(work, id)
            account.request_deletion(now + self._grace, now)
            work.accounts.save(account)
            ended = await end_sessions(work, id, EndReason.DELETION_REQUESTED, id, now)
        return user_view(account), ended

    @retried
    async def restore(self, actor: Principal) -> UserView:
        """Keep the account after all. For an account that nobody wants deleted it does nothing."""
        actor.require(ACCOUNT_LEAVE)
        async with self._work() as work:
            account = await work.accounts.get(actor.account_id)
            account.restore(self._clock.now())
            work.accounts.save(account)
        return user_view(account)

    async def elapse(self, id: UUID, now: datetime) -> None:
        """Delete an account whose grace is over. Consumers erase what other contexts have of its owner.

        What is found by the address goes first, because nobody knows the address afterwards.
        """
        async with self._work() as work:
            account = await work.accounts.get(AccountId(id))
        if account.due_at is not None and account.due_at <= now and account.email is not None:
            await self._upkeep.forget_address(account.email)
            await self._delete(account.id, now)

    async def _delete(self, id: AccountId, now: datetime) -> None:
        async with self._work() as work:
            account = await work.accounts.get(id)
            address = account.email
            account.elapse(now)
            if not account.has_news:
                return
            if address is not None:  # nobody can be told by a notice any more
                self._postbox.post(work, Letter("account_deleted", address), now)
            work.accounts.save(account)
            ended = await end_sessions(work, account.id, EndReason.DELETION_REQUESTED, None, now)
        self._authentication.end(ended)


def erasing(upkeep: Upkeep) -> Consumer[ConsumerWork]:
    """Drops the sessions of a deleted account, the answers kept for it, and its journal up to its deletion."""

    async def erase(work: ConsumerWork, event: EventView, now: datetime) -> bool:
        account = AccountId(event.resource.id)
        if await upkeep.erase_account(account, MOST):
            return False
        return await drop_history(upkeep, account_stream(account), event.offset - 1, now)

    return Consumer("accounts_erase", DELETED, erase)
