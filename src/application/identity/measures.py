"""How often somebody may try to sign in and the like, and what is counted of that."""

from application.ports.limits import Policy
from application.ports.observer import Happening

LOGIN_PER_ACCOUNT_AND_ADDRESS = Policy("login_account", 10, 15 * 60_000)
LOGIN_PER_ADDRESS = Policy("login_address", 100, 15 * 60_000)
REGISTER_PER_ADDRESS = Policy("register", 30, 60 * 60_000)
PASSWORD_PER_ACCOUNT = Policy("password", 10, 15 * 60_000)
# A code is one of a million, and three are valid at a time: at this rate one is found after four years on average.
FACTOR_PER_ACCOUNT = Policy("factor", 10, 60 * 60_000)
# By itself, so that who mistypes the first codes of an app can still sign in.
CONFIRMING_PER_ACCOUNT = Policy("confirming", 10, 60 * 60_000)
# Letters to somebody who may have no account, asked for from one network address, and links that came from one.
LETTERS_PER_ADDRESS = Policy("letters_address", 30, 60 * 60_000)
LINKS_PER_ADDRESS = Policy("links", 60, 60 * 60_000)
EMAIL_PER_ACCOUNT = Policy("email", 5, 60 * 60_000)
# Nobody is refused by these, so they are not among those that are counted.
FAILURES_TOLD_PER_ACCOUNT = Policy("told", 10, 60 * 60_000)
LETTERS_PER_MAILBOX = Policy("letters", 5, 60 * 60_000)

POLICIES = (
    LOGIN_PER_ADDRESS,
    LOGIN_PER_ACCOUNT_AND_ADDRESS,
    REGISTER_PER_ADDRESS,
    PASSWORD_PER_ACCOUNT,
    FACTOR_PER_ACCOUNT,
    CONFIRMING_PER_ACCOUNT,
    LETTERS_PER_ADDRESS,
    LINKS_PER_ADDRESS,
    EMAIL_PER_ACCOUNT,
)

HAPPENINGS = (
    Happening(
        "login",
        "logins",
        "outcome",
        "Attempts to sign in; `half`: the password was right, and a second factor is asked for.",
        ("ok", "half", "refused"),
        {"ok": "authn_login_success", "refused": "authn_login_fail"},
    ),
    Happening(
        "refresh",
        "refreshes",
        "outcome",
        "Uses of refresh tokens; `grace`: not the newest, `reuse`: two hold copies.",
        ("ok", "grace", "reuse", "expired"),
        {"reuse": "authn_token_reuse"},
    ),
)
