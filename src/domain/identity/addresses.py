"""Addresses of accounts: the links that prove who reads the mail of one, and what is asked for under one.

Nobody is told of either by an event. What a link does to an account is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.errors import Forbidden, Gone
from domain.identity.account import Account
from domain.ids import AccountId, AddressRequestId


class AddressPurpose(StrEnum):
    """What somebody wants: to sign up, or by a link to verify or change an address or to set another password."""

    REGISTER = "register"
    VERIFY = "verify"
    CHANGE = "change"
    RESET = "reset"


LINK_LIFETIMES: Mapping[AddressPurpose, timedelta] = {
    AddressPurpose.VERIFY: timedelta(hours=24),
    AddressPurpose.CHANGE: timedelta(hours=24),
    AddressPurpose.RESET: timedelta(minutes=30),
}


class LinkExpired(Gone):
    """The link can no longer be used.

    It has expired, was used, or was replaced by a newer one. Or the password or address of the account has changed
    since, or nobody may sign in to it any more.
    """

    code = "link_expired"

    def __init__(self) -> None:
        super().__init__("This link was used, replaced by a newer one, or has expired: ask for another one.")


class EmailUnverified(Forbidden):
    """The owner of the account has not shown yet that they read the mail of its address."""

    code = "email_unverified"


@dataclass(slots=True)
class MailedLink:
    """A link that was mailed to `address`. Who has its secret reads the mail of that address.

    `digest` is the digest of the secret, which is not stored. `password_digest` is that of the password hash which the
    account had, because a change of the password makes a link worthless. An account has one link of each purpose: a
    newer one takes the place of an older one.
    """

    account_id: AccountId
    purpose: AddressPurpose
    address: str
    digest: bytes
    password_digest: bytes
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None

    @classmethod
    def make(
        cls,
        account: Account,
        purpose: AddressPurpose,
        address: str,
        digest: bytes,
        password_digest: bytes,
        at: datetime,
    ) -> "MailedLink":
        return cls(account.id, purpose, address, digest, password_digest, at, at + LINK_LIFETIMES[purpose])

    def require(self, account: Account, password_digest: bytes, at: datetime) -> None:
        """LinkExpired unless it can be used for its account as that is now."""
        is_moved = self.purpose is not AddressPurpose.CHANGE and self.address != account.email
        is_over = self.used_at is not None or at >= self.expires_at or account.disabled_at is not None
        if is_moved or is_over or password_digest != self.password_digest:
            raise LinkExpired

    def use(self, at: datetime) -> None:
        """Use it up. LinkExpired if that was done before."""
        if self.used_at is not None:
            raise LinkExpired
        self.used_at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRequest:
    """Something that is asked for under an address, and done soon after the answer.

    So no answer depends on whether there is an account with that address. `account_id` is the account that is
    signed up, or that changes its address. `display_name` and `password_hash` are those of a new account. It is due as
    soon as it was asked for, so `due_at` is that time.
    """

    id: AddressRequestId
    purpose: AddressPurpose
    address: str
    due_at: datetime
    account_id: AccountId | None = None
    display_name: str = ""
    password_hash: str = ""
