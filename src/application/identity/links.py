"""Makes the links that are mailed, and finds out what a link that comes back is for."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from application.mail import Postbox
from application.ports.identity import IdentityWork
from application.ports.mail import Letter, MailWork
from application.ports.secrets import Secrets
from domain.identity import Account, AddressPurpose, LinkExpired, MailedLink

# The letters that hold links. Their templates know where a link leads.
_LETTERS: Mapping[AddressPurpose, str] = {
    AddressPurpose.VERIFY: "verify_address",
    AddressPurpose.CHANGE: "change_address",
    AddressPurpose.RESET: "reset_password",
}


class AddressWork(IdentityWork, MailWork, Protocol):
    """The slice that changes of addresses see, which are about mail."""


class Links:
    """Links whose secret is in a mail alone: the store keeps its digest.

    Each purpose has a signature of its own. So a made-up secret is recognised without asking the store, and none is
    taken for one of another purpose.
    """

    def __init__(self, postbox: Postbox, secrets: Secrets) -> None:
        self._postbox = postbox
        self._secrets = secrets

    def mail(self, work: AddressWork, account: Account, purpose: AddressPurpose, address: str, now: datetime) -> None:
        """Mail a new link to this address. Earlier links of the account with the same purpose are worthless then."""
        token = self._secrets.signed(_signature(purpose), self._secrets.new())
        digest, password = self._secrets.digest(token), self._password_digest(account)
        work.addresses.put_link(MailedLink.make(account, purpose, address, digest, password, now))
        self._postbox.post(work, Letter(_LETTERS[purpose], address, {"token": token}), now)

    async def find(
        self, work: AddressWork, token: str, now: datetime, *purposes: AddressPurpose
    ) -> tuple[MailedLink, Account]:
        """The link with this secret, and its account. LinkExpired if there is none for one of these purposes."""
        if any(self._secrets.is_signed(_signature(purpose), token) for purpose in purposes):
            link = await work.addresses.link(self._secrets.digest(token))
            if link is not None:
                account = await work.accounts.get(link.account_id)
                link.require(account, self._password_digest(account), now)
                return link, account
        raise LinkExpired

    async def use(
        self, work: AddressWork, token: str, now: datetime, *purposes: AddressPurpose
    ) -> tuple[MailedLink, Account]:
        """The same as `find`, and use the link up. Of several units of work that do so one is applied."""
        link, account = await self.find(work, token, now, *purposes)
        link.use(now)
        work.addresses.use_link(link)
        return link, account

    def _password_digest(self, account: Account) -> bytes:
        return self._secrets.digest(account.password_hash or "")


def _signature(purpose: AddressPurpose) -> bytes:
    return b"link:" + purpose.encode()
