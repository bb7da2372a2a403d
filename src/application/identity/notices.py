"""What the owner of an account is always told, because it may be the doing of somebody else."""

from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import ip_address
from uuid import UUID

from application.ports.events import EventView
from application.ports.notices import Notice, Told
from domain.identity import EndReason, Factor
from domain.ids import AccountId

TITLE = "Your account"
_FACTORS = {Factor.TOTP: "It is an authenticator app.", Factor.PASSKEY: "It is a passkey."}
# Words of a `User-Agent`, the most telling first, and what people call them.
_PROGRAMS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
    "curl": "curl",
    "python": "a program in Python",
}
_SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "an iPhone",
    "iPad": "an iPad",
    "Mac OS X": "a Mac",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}
_KNOWN = (
    "If it was not you, somebody else knows your password: change it (POST /api/v1/me/password)."
    " That ends every session."
)
_MAILBOX = (
    "If it was not you, somebody else reads your mail: secure your mailbox first, then ask for another link"
    " (POST /api/v1/auth/password/forgot)."
)
_FORGOTTEN = "If it was not you, choose another password by mail (POST /api/v1/auth/password/forgot)."
_LEAVING = (
    "If you want that, there is nothing to do. If you do not, sign in before then, keep the account"
    " (POST /api/v1/me/restore), and change your password."
)

Data = Mapping[str, object]


def security(
    name: str,
    event_type: str,
    sentence: str,
    advice: str = _KNOWN,
    when: Callable[[Data], object] = lambda _: True,
) -> Notice[object]:
    """A notice to the owner of the account in whose stream such an event is, if `when` of its data says so."""

    async def told(_: object, event: EventView, after: AccountId | None, most: int) -> Told | None:
        account, details = AccountId(UUID(event.stream.rpartition(":")[2])), dict(event.data)
        if not when(details):
            return None
        if "due_at" in details:
            details["due_at"] = datetime.fromisoformat(str(details["due_at"]))
        return Told("account", account, TITLE, [account], details=details, facts=facts(details))

    wants, concerns = frozenset({event_type}), lambda event: bool(when(event.data))
    return Notice(f"security.{name}", wants, sentence, told, concerns, by_mail=True, always=True, advice=advice)


def facts(data: Data) -> tuple[str, ...]:
    """What a letter says of such an event, in words of this module: whoever signs in chooses what their client says."""
    said = []
    if "factor" in data:
        said.append(_FACTORS[Factor(str(data["factor"]))])
    if "left" in data:
        said.append(f"Recovery codes that are left: {data['left']}")
    if "address" in data:
        said.append(f"Address: {_address(str(data['address']))}")
    if "user_agent" in data:
        said.append(f"Client: {_client(str(data['user_agent']))}")
    return tuple(said)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return "unknown"


def _client(user_agent: str) -> str:
    program = next((name for word, name in _PROGRAMS.items() if word in user_agent), "an unknown program")
    system = next((name for word, name in _SYSTEMS.items() if word in user_agent), None)
    return f"{program} on {system}" if system else program


NOTICES = (
    security(
        "new_sign_in",
        "session.created",
        "Somebody signed in to your account from a place, or with a client, that it was not used from lately.",
        when=lambda data: data.get("new_place"),
    ),
    security(
        "token_reused",
        "session.ended",
        "Somebody else had a copy of your session, so it was ended.",
        "Sign in again, change your password (POST /api/v1/me/password), and look after the device that you used.",
        when=lambda data: data["reason"] == EndReason.TOKEN_REUSED,
    ),
    security("password_changed", "account.password_changed", "The password of your account was changed.", _FORGOTTEN),
    security(
        "password_reset",
        "account.password_reset",
        "A link in a mail set another password for your account, and every session has ended.",
        _MAILBOX,
    ),
    security("email_changed", "account.email_changed", "Your account has another address.", _FORGOTTEN),
    security("deletion_requested", "account.deletion_requested", "Your account is to be deleted.", _LEAVING),
    security("restored", "account.restored", "Your account is not deleted after all."),
    security("factor_added", "account.factor_added", "Your account has one more second factor."),
    security("factor_removed", "account.factor_removed", "A second factor of your account was removed."),
    security("recovery_codes_made", "account.recovery_codes_made", "Your account has new recovery codes."),
    security("recovery_code_used", "account.recovery_code_used", "A recovery code of your account was used."),
)
