"""Identity: accounts, the rules of their passwords, the sessions in which they are signed in, and passes of guests."""

from domain.identity.account import (
    DISPLAY_NAME_MAX,
    EMAIL_MAX,
    ME,
    NAMELESS,
    Account,
    AccountKind,
    AccountRole,
    EmailTaken,
    normal_email,
)
from domain.identity.guest_pass import GuestPass
from domain.identity.logins import USER_AGENT_MAX, FailedLogin, InvalidCredentials
from domain.identity.passwords import PASSWORD_MAX, PASSWORD_MIN, WrongPassword, check_password
from domain.identity.profile import LOCALE_MAX, TIME_ZONE_MAX, known_time_zone, normal_locale
from domain.identity.session import (
    ACCESS_LIFETIME,
    REPLY_MAX,
    SESSION_ABSOLUTE,
    SESSION_IDLE,
    SPENT_MAX,
    EndReason,
    RefreshToken,
    Session,
    SessionOver,
    TokenReused,
)

__all__ = [
    "ACCESS_LIFETIME",
    "DISPLAY_NAME_MAX",
    "EMAIL_MAX",
    "LOCALE_MAX",
    "ME",
    "NAMELESS",
    "PASSWORD_MAX",
    "PASSWORD_MIN",
    "REPLY_MAX",
    "SESSION_ABSOLUTE",
    "SESSION_IDLE",
    "SPENT_MAX",
    "TIME_ZONE_MAX",
    "USER_AGENT_MAX",
    "Account",
    "AccountKind",
    "AccountRole",
    "EmailTaken",
    "EndReason",
    "FailedLogin",
    "GuestPass",
    "InvalidCredentials",
    "RefreshToken",
    "Session",
    "SessionOver",
    "TokenReused",
    "WrongPassword",
    "check_password",
    "known_time_zone",
    "normal_email",
    "normal_locale",
]
