"""Guests: accounts of people who come for one thing and do not sign up, and the passes with which they act."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from application.authentication import CredentialRevoked
from application.ports.credentials import CredentialKind
from application.ports.identity import GuestPassStore, IdentityWork
from application.ports.secrets import Secrets
from application.ports.system import Clock, Ids
from application.principal import Principal
from application.scopes import Scope
from domain.identity import Account, AccountRole, GuestPass
from domain.ids import AccountId, GuestPassId

# Shows people and scanners of secrets what they found.
PREFIX = "sbguest_"
_PURPOSE = b"guest"


class Guests(CredentialKind):
    """Lets guests in, and knows them by the tokens of their passes.

    A context that has guests calls `came`, `stay` and `gone` within its own unit of work, so a guest is there exactly
    as long as what it came for. Processes learn of the end of a pass as of that of a session.
    """

    def __init__(self, store: GuestPassStore, secrets: Secrets, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._secrets = secrets
        self._clock = clock
        self._ids = ids

    def came(
        self, work: IdentityWork, display_name: str, scopes: Collection[Scope], until: datetime, at: datetime
    ) -> tuple[Account, str]:
        """A new account of a guest, and the token with which it acts until then. Nothing else ever shows the token.

        Invalid if the name is none.
        """
        account = Account.guest(AccountId(self._ids.new()), display_name, at)
        token = PREFIX + self._secrets.signed(_PURPOSE, self._secrets.new())
        names = sorted(scope.name for scope in scopes)
        id, digest = GuestPassId(self._ids.new()), self._secrets.digest(token)
        work.accounts.add(account)
        work.guest_passes.add(GuestPass.issue(id, account.id, digest, names, until, at))
        return account, token

    async def stay(
        self, work: IdentityWork, accounts: Collection[AccountId], until: datetime, by: AccountId | None, at: datetime
    ) -> None:
        """Let those of these accounts that are guests stay until then. It never shortens the time of one."""
        for theirs in await work.guest_passes.live(accounts, at):
            theirs.extend(until, by, at)
            work.guest_passes.save(theirs)

    async def gone(
        self, work: IdentityWork, accounts: Collection[AccountId], by: AccountId | None, at: datetime
    ) -> None:
        """Let those of these accounts that are guests do nothing any more, and close what they have opened."""
        for theirs in await work.guest_passes.live(accounts, at):
            theirs.end(by, at)
            work.guest_passes.save(theirs)

    def recognises(self, text: str) -> bool:
        return text.startswith(PREFIX) and self._secrets.is_signed(_PURPOSE, text.removeprefix(PREFIX))

    async def find(self, text: str) -> Principal:
        found = await self._store.find(self._secrets.digest(text))
        if found is None or found.is_over(self._clock.now()):
            raise CredentialRevoked("What this guest came for is over, or the guest has left.")
        return Principal(found.account_id, found.id, AccountRole.USER, found.expires_at, frozenset(found.scopes))

    async def ended_since(self, since: datetime | None) -> tuple[Collection[UUID], datetime]:
        return await self._store.ended_since(since)
