"""Identity: accounts, their passwords' rules, and the sessions in which they are signed in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from domain.channels import ChannelClass, ChannelKind, account_stream
from domain.errors import Conflict, Invalid, Unauthenticated
from domain.ids import AccountId, SessionId
from domain.kernel import Aggregate, EventType, declared
from domain.text import UNSTORABLE, email_address, normal_name, normal_password

EMAIL_MAX = 254
DISPLAY_NAME_MAX = 80
PASSWORD_MIN = 10
PASSWORD_MAX = 1_024
USER_AGENT_MAX = 256

ACCESS_LIFETIME = timedelta(minutes=15)
SESSION_IDLE = timedelta(days=7)
SESSION_ABSOLUTE = timedelta(days=30)
# A reply that was not received this long after it was made never will be.
REPLY_MAX = timedelta(seconds=10)
SPENT_MAX = 32

ME = ChannelKind("me", ChannelClass.DURABLE)


class AccountRole(StrEnum):
    """What an account is to the whole installation; an admin is made on the command line, never over the API."""

    USER = "user"
    ADMIN = "admin"


class EndReason(StrEnum):
    """Why a session ended."""

    LOGGED_OUT = "logged_out"
    LOGGED_OUT_EVERYWHERE = "logged_out_everywhere"
    ENDED_BY_OWNER = "ended_by_owner"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # a reason
    TOKEN_REUSED = "token_reused"  # noqa: S105  # a reason
    DISABLED = "disabled"
    DISPLACED = "displaced"


class EmailTaken(Conflict):
    """An account with this address exists."""

    code = "already_exists"


class InvalidCredentials(Unauthenticated):
    """No account has this address and password; which of the two is wrong is not said."""

    code = "invalid_credentials"


class WrongPassword(Invalid):
    """The present password was not the one given."""

    code = "wrong_password"


class SessionOver(Unauthenticated):
    """The session has ended or run out, or the token never belonged to one."""

    code = "token_invalid"


class TokenReused(Unauthenticated):
    """A refresh token came back after its successor was used: somebody has a copy, so the session is over."""

    code = "refresh_token_reused"


_ADDRESS = {"address": "The network address that asked."}
_FROM_WHERE = {**_ADDRESS, "user_agent": "What the client called itself."}


@dataclass(slots=True)
class Account(Aggregate):
    """Somebody who can sign in."""

    resource_type: ClassVar[str] = "account"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("account.registered", "account", "Somebody signed up."),
        EventType("account.updated", "account", "The profile changed.", changes=("display_name",)),
        EventType("account.password_changed", "account", "The password was replaced, and every session ended."),
        EventType("account.password_rehashed", "account", "The same password is kept under newer parameters."),
        EventType("account.role_changed", "account", "An operator changed the role.", changes=("role",)),
        EventType("account.disabled", "account", "An operator lets nobody in any more."),
        EventType("account.enabled", "account", "An operator lets the owner in again."),
    )

    id: AccountId
    email: str
    display_name: str
    password_hash: str
    role: AccountRole
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None

    @classmethod
    def register(cls, id: AccountId, email: str, display_name: str, password_hash: str, at: datetime) -> "Account":
        account = cls(id, normal_email(email), _display_name(display_name), password_hash, AccountRole.USER, at, at)
        account._tell("account.registered", id, at)
        return account

    def rename(self, display_name: str, at: datetime) -> None:
        new = _display_name(display_name)
        if new != self.display_name:
            changes = {"display_name": (self.display_name, new)}
            self.display_name = new
            self._tell("account.updated", self.id, at, changes)

    def change_password(self, password_hash: str, at: datetime) -> None:
        self.password_hash = password_hash
        self._tell("account.password_changed", self.id, at)

    def rehash(self, password_hash: str, at: datetime) -> None:
        """Keep the same password under today's parameters."""
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
        """Keep the account but let nobody in; its sessions have to be ended with it."""
        if self.disabled_at is None:
            self.disabled_at = at
            self._tell("account.disabled", None, at)

    def enable(self, at: datetime) -> None:
        """Let its owner in again, who has to sign in."""
        if self.disabled_at is not None:
            self.disabled_at = None
            self._tell("account.enabled", None, at)

    def _tell(
        self, type: str, by: AccountId | None, at: datetime, changes: Mapping[str, tuple[object, object]] | None = None
    ) -> None:
        self.updated_at = at
        self._announce(type, account_stream(self.id), self.id, at, by, changes)


@dataclass(slots=True)
class FailedLogin(Aggregate):
    """Somebody did not get in; only the event of it is kept, for the owner of the account to see."""

    resource_type: ClassVar[str] = "login"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("login.failed", "account", "Somebody did not get in; at most 10 an hour are told.", _FROM_WHERE)
    )

    id: UUID

    @classmethod
    def of(cls, id: UUID, account: AccountId, address: str, user_agent: str, at: datetime) -> "FailedLogin":
        failed = cls(id)
        data = {"address": address, "user_agent": user_agent[:USER_AGENT_MAX]}
        failed._announce("login.failed", account_stream(account), id, at, None, None, data)
        return failed


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What a refresh token says: the how manieth of its session it is, from 0, and when it was handed out."""

    number: int
    issued_at: datetime


@dataclass(slots=True)
class Session(Aggregate):
    """One sign-in, kept up by refresh tokens of which each is handed out once and then used.

    All of them hold the secret of `token_digest`, and are signed with `signing_key` from the second on. `rotations` is
    the number of the newest, `used` that of the one used last, at `rotated_at`; `spent` are the last 32 that were used
    before. A session runs out after 7 days without a refresh, and after 30 days in any case.
    """

    resource_type: ClassVar[str] = "session"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("session.created", "account", "Somebody signed in.", _FROM_WHERE),
        EventType("session.refreshed", "account", "A refresh token was used."),
        EventType("session.grace_used", "account", "A refresh token other than the newest was honoured.", _ADDRESS),
        EventType(
            "session.ended",
            "account",
            "A sign-in is over.",
            {
                "reason": f"Why: {', '.join(EndReason)}.",
                "address": "Of a token that came twice: from where.",
            },
        ),
    )

    id: SessionId
    account_id: AccountId
    token_digest: bytes
    signing_key: bytes
    rotations: int
    used: int
    spent: list[int]
    address: str
    user_agent: str
    created_at: datetime
    rotated_at: datetime
    ended_at: datetime | None = None
    ended_because: EndReason | None = None

    @classmethod
    def begin(
        cls,
        id: SessionId,
        account: AccountId,
        token_digest: bytes,
        signing_key: bytes,
        address: str,
        user_agent: str,
        at: datetime,
    ) -> "Session":
        session = cls(id, account, token_digest, signing_key, 0, 0, [], address, user_agent[:USER_AGENT_MAX], at, at)
        session._tell("session.created", account, at, {"address": address, "user_agent": session.user_agent})
        return session

    @property
    def expires_at(self) -> datetime:
        return min(self.rotated_at + SESSION_IDLE, self.created_at + SESSION_ABSOLUTE)

    def is_over(self, at: datetime) -> bool:
        return self.ended_at is not None or at >= self.expires_at

    def refresh(self, token: RefreshToken, arrived_at: datetime, at: datetime, address: str) -> RefreshToken | None:
        """Use a token that arrived from `address`: the next one, or None and the end if two hold copies of a cookie.

        Who keeps one cookie uses each token in one stretch, and has each at most 10 s after it was handed out or never.
        So a second holder has shown when a token comes back after another was used, or one comes for the first time
        although another was used when it had to be known. Else a reply got lost, or a tab was late: that is grace.
        """
        # Until the first use, `rotated_at` is of the clock of a process and not the store's.
        was_overtaken = self.rotations > 0 and arrived_at < self.rotated_at
        is_back = token.number in self.spent and not was_overtaken
        is_late = token.number not in self.spent and self.rotated_at > token.issued_at + REPLY_MAX
        if token.number != self.used and (is_back or is_late):
            self._end(EndReason.TOKEN_REUSED, None, at, {"address": address})
            return None
        if not was_overtaken:
            if token.number != self.used:
                self.spent = [*self.spent, self.used][-SPENT_MAX:]
            self.used, self.rotated_at = token.number, arrived_at
        if token.number == self.rotations:
            self._tell("session.refreshed", self.account_id, at)
        else:
            self._tell("session.grace_used", self.account_id, at, {"address": address})
        self.rotations += 1
        return RefreshToken(self.rotations, at)

    def end(self, because: EndReason, by: AccountId | None, at: datetime) -> None:
        self._end(because, by, at, {})

    def _end(self, because: EndReason, by: AccountId | None, at: datetime, data: Mapping[str, object]) -> None:
        if self.ended_at is None:
            self.ended_at, self.ended_because = at, because
            self._tell("session.ended", by, at, {"reason": because, **data})

    def _tell(self, type: str, by: AccountId | None, at: datetime, data: Mapping[str, object] | None = None) -> None:
        self._announce(type, account_stream(self.account_id), self.id, at, by, None, data)


def normal_email(email: str) -> str:
    """The address as accounts are found by it, or Invalid if it cannot be one."""
    return email_address(email, pointer="/email", longest=EMAIL_MAX)


# The stems of the passwords that lead every published list, each far below ten characters without its padding.
_COMMON_STEMS = frozenset(
    [
        "password",
        "passwort",
        "passw",
        "passwd",
        "qwerty",
        "qwertz",
        "azerty",
        "qwertyuiop",
        "asdfgh",
        "asdfghjkl",
        "zxcvbn",
        "zxcvbnm",
        "letmein",
        "welcome",
        "iloveyou",
        "admin",
        "administrator",
        "root",
        "login",
        "master",
        "dragon",
        "monkey",
        "football",
        "baseball",
        "superman",
        "batman",
        "trustno",
        "sunshine",
        "princess",
        "shadow",
        "michael",
        "jordan",
        "abc",
        "abcd",
        "abcdef",
        "abcdefgh",
        "test",
        "testtest",
        "testing",
        "guest",
        "default",
        "changeme",
        "change",
        "secret",
        "access",
        "hello",
        "whatever",
        "starwars",
        "pokemon",
        "computer",
        "internet",
        "samsung",
        "google",
        "facebook",
        "liverpool",
        "chelsea",
        "arsenal",
        "barcelona",
        "jesus",
        "ashley",
        "nicole",
        "summer",
        "winter",
        "spring",
        "autumn",
        "signalbox",
    ]
)
_PADDING = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_DISGUISES = str.maketrans("013457@$", "oieastas")
_KEYBOARD_ROWS = ("01234567890", "09876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")


def check_password(password: str, email: str, pointer: str = "/password") -> None:
    """Invalid unless it is long enough and not one that every list of breached passwords starts with.

    10 to 1,024 characters in their normal form with no rule of composition (NIST SP 800-63B); every character counts.
    """
    password = normal_password(password)
    if len(password) < PASSWORD_MIN:
        raise Invalid(f"A password has at least {PASSWORD_MIN} characters.", pointer=pointer)
    if len(password) > PASSWORD_MAX:
        raise Invalid(f"At most {PASSWORD_MAX} characters fit here.", pointer=pointer)
    if UNSTORABLE.search(password):
        raise Invalid("This contains something that nobody can type.", pointer=pointer)
    folded = password.casefold()
    stem = re.sub(r"[\W\d_]+", "", folded)
    disguised = re.sub(r"[\W\d_]+", "", _PADDING.sub("", folded).translate(_DISGUISES))
    half = len(stem) // 2
    if (
        len(set(folded)) < 4
        or stem in _COMMON_STEMS
        or disguised in _COMMON_STEMS
        or (stem[:half] == stem[half:] and stem[:half] in _COMMON_STEMS)
        or any(folded in row * 2 for row in _KEYBOARD_ROWS)
        or (folded.isascii() and not stem and len(folded) < 14)
        or folded in (address := normal_password(email).casefold(), address.partition("@")[0])
    ):
        raise Invalid("This password is among the first that anyone would try.", pointer=pointer)


def _display_name(name: str) -> str:
    return normal_name(name, pointer="/display_name", longest=DISPLAY_NAME_MAX, shortest=1)
