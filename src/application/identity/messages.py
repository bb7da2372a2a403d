"""What people send about their own account, and what they get."""

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from application.ports.identity import UserView
from application.typed import typed
from domain.identity import (
    DISPLAY_NAME_MAX,
    EMAIL_MAX,
    PASSWORD_MAX,
    PASSWORD_MIN,
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


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    """A new account."""

    email: Email
    password: NewPassword
    display_name: DisplayName


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    """Who somebody says they are."""

    email: Email
    password: Password


class PasswordChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The present password and the one to use from now on."""

    current_password: Password
    new_password: NewPassword


class ProfilePatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of one's profile; what is absent stays."""

    display_name: DisplayName | UnsetType = UNSET


class SignedIn(Struct, frozen=True):
    """A short-lived access token for the `Authorization: Bearer` header; `expires_in` seconds from now it is void."""

    access_token: str
    token_type: str
    expires_in: int
    user: UserView


class Device(Struct, frozen=True):
    """From where somebody signs in: the network address and the `User-Agent`."""

    address: str
    user_agent: str
