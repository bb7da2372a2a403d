"""The messages of the identity context: the bodies of requests and answers about one's own account."""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from application.ports.identity import UserView
from application.typed import typed
from domain.identity import (
    DISPLAY_NAME_MAX,
    EMAIL_MAX,
    LOCALE_MAX,
    PASSWORD_MAX,
    PASSWORD_MIN,
    TIME_ZONE_MAX,
)

Email = Annotated[str, typed(EMAIL_MAX, examples=["ada@example.org"])]
Password = Annotated[str, typed(PASSWORD_MAX, format="password", examples=["correct horse battery"])]
NewPassword = Annotated[
    str,
    typed(
        PASSWORD_MAX,
        PASSWORD_MIN,
        format="password",
        told="Any characters; the passwords that anyone would try first are refused.",
        examples=["correct horse battery"],
    ),
]
DisplayName = Annotated[str, typed(DISPLAY_NAME_MAX, examples=["Ada"])]
TimeZone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=TIME_ZONE_MAX,
        description="A name of the IANA time zone database.",
        examples=["Europe/Berlin"],
    ),
]
Locale = Annotated[
    str, Meta(min_length=2, max_length=LOCALE_MAX, description="A language tag (BCP 47).", examples=["de-AT"])
]
LinkToken = Annotated[str, Meta(min_length=16, max_length=128, description="The secret of a link that was mailed.")]

# Whether a new account gets a link to verify its address, and whether nobody signs in before that was used.
EmailVerification: TypeAlias = Literal["off", "on", "required"]


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    """A new account."""

    email: Email
    password: NewPassword
    display_name: DisplayName


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    """The address and the password with which a person signs in."""

    email: Email
    password: Password


class PasswordChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The present password and the new one."""

    current_password: Password
    new_password: NewPassword


class DeletionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The password of the account that is to be deleted."""

    password: Password


class EmailChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The new address of the caller's account, and the present password."""

    email: Email
    password: Password


class AddressNamed(Struct, frozen=True, forbid_unknown_fields=True):
    """An address that a letter is asked for. The answer does not tell whether there is an account with it."""

    email: Email


class EmailProof(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of a link that verifies or changes an address, and the password of the account.

    Where addresses have to be verified, no link counts without the password. The first link of an account makes it that
    of the account, whatever somebody has signed up with before.
    """

    token: LinkToken
    password: Password | UnsetType = UNSET


class PasswordReset(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of a link for a forgotten password, and the new one."""

    token: LinkToken
    password: NewPassword


class ProfilePatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of one's own profile. Absent fields stay as they are."""

    display_name: DisplayName | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    locale: Locale | UnsetType = UNSET


class SignedIn(Struct, frozen=True):
    """A short-lived access token for the `Authorization: Bearer` header. It expires in `expires_in` seconds.

    `scopes` is null, or all that the token is good for: setting up a second factor that is required, or exporting and
    keeping an account that is to be deleted.
    """

    access_token: str
    token_type: str
    expires_in: int
    user: UserView
    scopes: list[str] | None = None


class Device(Struct, frozen=True):
    """The client that signs in: its network address and its `User-Agent`."""

    address: str
    user_agent: str
