"""What the owner of an account is always told, because it may be the doing of somebody else."""

from collections.abc import Callable, Mapping
from uuid import UUID

from application.ports.events import EventView
from application.ports.notices import Notice, Told
from domain.identity import EndReason
from domain.ids import AccountId

TITLE = "Your account"

Data = Mapping[str, object]


def security(
    name: str, event_type: str, sentence: str, when: Callable[[Data], object] = lambda _: True
) -> Notice[object]:
    """A notice to the owner of the account in whose stream such an event is, if `when` of its data says so."""

    async def told(_: object, event: EventView, after: AccountId | None, most: int) -> Told | None:
        account = AccountId(UUID(event.stream.rpartition(":")[2]))
        return Told("account", account, TITLE, [account], details=event.data) if when(event.data) else None

    wants, concerns = frozenset({event_type}), lambda event: bool(when(event.data))
    return Notice(f"security.{name}", wants, sentence, told, concerns, by_mail=True, always=True)


NOTICES = (
    security(
        "new_sign_in",
        "session.created",
        "Somebody signed in to your account from a place, or with a client, that it was not used from lately.",
        lambda data: data.get("new_place"),
    ),
    security(
        "token_reused",
        "session.ended",
        "Somebody else had a copy of your session, so it was ended.",
        lambda data: data["reason"] == EndReason.TOKEN_REUSED,
    ),
    security("password_changed", "account.password_changed", "The password of your account was changed."),
    security("password_reset", "account.password_reset", "A link in a mail set another password for your account."),
    security("email_changed", "account.email_changed", "Your account has another address."),
    security("deletion_requested", "account.deletion_requested", "Your account is to be deleted."),
    security("restored", "account.restored", "Your account is not deleted after all."),
    security("factor_added", "account.factor_added", "Your account has one more second factor."),
    security("factor_removed", "account.factor_removed", "A second factor of your account was removed."),
    security("recovery_codes_made", "account.recovery_codes_made", "Your account has new recovery codes."),
    security("recovery_code_used", "account.recovery_code_used", "A recovery code of your account was used."),
)
