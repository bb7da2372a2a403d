"""The aggregate of an account: of a person who signs in with it, or of a guest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from domain.channels import ChannelClass, ChannelKind, account_stream
from domain.errors import Conflict
from domain.identity.profile import LOCALE_FIRST, TIME_ZONE_FIRST, known_time_zone, normal_locale
from domain.ids import AccountId
from domain.kernel import Aggregate, Changes, EventType, declared
from domain.text import EMAIL_MAX, email_address, new_email_address, normal_name

DISPLAY_NAME_MAX = 80
# The name of a guest whose own name is forgotten.
NAMELESS = "Guest"
# The name of an account whose owner has deleted it.
ERASED_NAME = "Deleted user"

ME = ChannelKind("me", ChannelClass.DURABLE)


class AccountRole(StrEnum):
    """The role of an account in the whole installation. Only the command line makes an admin, never the API."""

    USER = "user"
    ADMIN = "admin"


class AccountKind(StrEnum):
    """Who has the account: a person who signs in with it, or a guest, of whom it knows only a name."""

    PERSON = "person"
    GUEST = "guest"


class EmailTaken(Conflict):
    """An account with this address exists."""

    code = "already_exists"


@dataclass(slots=True)
class Account(Aggregate):
    """The account of one person, who signs in with its e-mail address and password, or of a guest, who has neither.

    A guest acts with a `GuestPass` alone, and is never an admin. Once its owner wants it deleted, it is deleted at
    `due_at`. What is left then tells nothing of its owner: it stands for the author of what others still read.
    """

    resource_type: ClassVar[str] = "account"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("account.registered", "account", "Somebody signed up."),
        EventType("account.guest_came", "account", "Somebody came as a guest, without signing up."),
        EventType(
            "account.updated", "account", "The profile changed.", changes=("display_name", "time_zone", "locale")
        ),
        EventType("account.password_changed", "account", "The password was replaced, and every session ended."),
        EventType("account.password_rehashed", "account", "The same password is kept under newer parameters."),
        EventType("account.password_reset", "account", "A mailed link set another password, and every session ended."),
        EventType("account.email_verified", "account", "The owner has shown that they read the mail of the address."),
        EventType("account.email_changed", "account", "The account got another address, which is verified."),
        EventType("account.role_changed", "account", "An operator changed the role.", changes=("role",)),
        EventType("account.disabled", "account", "An operator lets nobody in any more."),
        EventType("account.enabled", "account", "An operator lets the owner in again."),
        EventType(
            "account.deletion_requested",
            "account",
            "The owner wants the account deleted, and may still take that back.",
            {"due_at": "When it is deleted."},
        ),
        EventType("account.restored", "account", "The owner keeps the account after all."),
        EventType("account.deleted", "account", "The account is no more; what is left of its owner is being erased."),
    )

    id: AccountId
    kind: AccountKind
    email: str | None
    display_name: str
    password_hash: str | None
    role: AccountRole
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None
    time_zone: str = TIME_ZONE_FIRST
    locale: str = LOCALE_FIRST
    due_at: datetime | None = None
    deleted_at: datetime | None = None
    email_verified_at: datetime | None = None

    @classmethod
    def register(cls, id: AccountId, email: str, display_name: str, password_hash: str, at: datetime) -> "Account":
        name, address = _display_name(display_name), new_email(email)
        account = cls(id, AccountKind.PERSON, address, name, password_hash, AccountRole.USER, at, at)
        account._tell("account.registered", id, at)
        return account

    @classmethod
    def guest(cls, id: AccountId, display_name: str, at: datetime) -> "Account":
        account = cls(id, AccountKind.GUEST, None, _display_name(display_name), None, AccountRole.USER, at, at)
        account._tell("account.guest_came", id, at)
        return account

    def change(
        self, at: datetime, display_name: str | None = None, time_zone: str | None = None, locale: str | None = None
    ) -> None:
        """Change the profile. An argument that is None changes nothing."""
        wanted: dict[str, str] = {}
        if display_name is not None:
            wanted["display_name"] = _display_name(display_name)
        if time_zone is not None:
            wanted["time_zone"] = known_time_zone(time_zone)
        if locale is not None:
            wanted["locale"] = normal_locale(locale)
        changes = {k: (getattr(self, k), v) for k, v in wanted.items() if getattr(self, k) != v}
        for key, (_, new) in changes.items():
            setattr(self, key, new)
        if changes:
            self._tell("account.updated", self.id, at, changes)

    def change_password(self, password_hash: str, at: datetime) -> None:
        self.password_hash = password_hash
        self._tell("account.password_changed", self.id, at)

    def reset_password(self, password_hash: str, at: datetime) -> None:
        """Set another password for somebody who reads the mail of the address, and may not know the present one."""
        self.password_hash = password_hash
        self._tell("account.password_reset", self.id, at)

    def verify_email(self, by: AccountId | None, at: datetime) -> None:
        """Note that the owner reads the mail of the address. Doing it twice changes nothing."""
        if self.email_verified_at is None:
            self.email_verified_at = at
            self._tell("account.email_verified", by, at)

    def change_email(self, email: str, at: datetime) -> None:
        """Sign in with another address from now on, whose mail the owner reads."""
        self.email, self.email_verified_at = new_email(email), at
        self._tell("account.email_changed", self.id, at)

    def rehash(self, password_hash: str, at: datetime) -> None:
        """Store a hash of the same password with today's parameters."""
        self.password_hash = password_hash
        self._tell("account.password_rehashed", None, at)

    def make_admin(self, at: datetime) -> None:
        if self.role is not AccountRole.ADMIN:
            changes = {"role": (self.role, AccountRole.ADMIN)}
            self.role = AccountRole.ADMIN
            self._tell("account.role_changed", None, at, changes)

    def demote(self, at: datetime) -> None:
        """Make an admin a user again."""
        if self.role is not AccountRole.USER:
            changes = {"role": (self.role, AccountRole.USER)}
            self.role = AccountRole.USER
            self._tell("account.role_changed", None, at, changes)

    def disable(self, at: datetime) -> None:
        """Keep the account but refuse every sign-in. The caller has to end its sessions too."""
        if self.disabled_at is None:
            self.disabled_at = at
            self._tell("account.disabled", None, at)

    def enable(self, at: datetime) -> None:
        """Allow sign-ins again. The ended sessions stay ended."""
        if self.disabled_at is not None:
            self.disabled_at = None
            self._tell("account.enabled", None, at)

    @property
    def is_active(self) -> bool:
        """Whether others may rely on its owner, who is neither shut out nor about to be deleted."""
        return self.disabled_at is None and self.due_at is None

    @property
    def deletion_due_at(self) -> datetime | None:
        """When the account is deleted; None if its owner does not want that."""
        return self.due_at

    def request_deletion(self, due_at: datetime, at: datetime) -> None:
        """Let the account be deleted at `due_at`. The caller has to end its sessions too."""
        if self.due_at is None:
            self.due_at = due_at
            self._tell("account.deletion_requested", self.id, at, data={"due_at": due_at})

    def restore(self, at: datetime) -> None:
        """Take the wish to delete the account back, as long as it is not deleted."""
        if self.due_at is not None:
            self.due_at = None
            self._tell("account.restored", self.id, at)

    def elapse(self, now: datetime) -> None:
        """Delete the account if that is due. Its address is free from then on."""
        if self.due_at is None or self.due_at > now:
            return
        self.due_at, self.deleted_at = None, now
        self.email = self.password_hash = self.email_verified_at = None
        self.display_name, self.role = ERASED_NAME, AccountRole.USER
        self.time_zone, self.locale = TIME_ZONE_FIRST, LOCALE_FIRST
        self._tell("account.deleted", None, now)

    def _tell(
        self,
        type: str,
        by: AccountId | None,
        at: datetime,
        changes: Changes | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        self.updated_at = at
        self._announce(type, account_stream(self.id), self.id, at, by, changes, data)


def normal_email(email: str) -> str:
    """The address in the form by which accounts are found; Invalid if it cannot be an address."""
    return email_address(email, pointer="/email", longest=EMAIL_MAX)


def new_email(email: str) -> str:
    """An address that an account is to have, in that form; Invalid if mail cannot go to it."""
    return new_email_address(email, pointer="/email", longest=EMAIL_MAX)


def _display_name(name: str) -> str:
    return normal_name(name, pointer="/display_name", longest=DISPLAY_NAME_MAX, shortest=1)
