"""What identity has of a person: the account and its sessions, and what happened to it."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from application.identity.factor_messages import PasskeyView
from application.identity.factors import passkey_view
from application.identity.signing_in import user_view
from application.identity.use_cases import session_view
from application.paging import PAGE_MAX, Page
from application.ports.events import EventFilter, EventView, JournalQueries
from application.ports.exports import Exported
from application.ports.identity import IdentityWork, SessionView, UserView
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork
from domain.channels import account_stream
from domain.ids import AccountId


class Profile(Struct, frozen=True):
    """The account itself, where it is signed in, since when codes of an app are asked for, and its passkeys."""

    account: UserView
    sessions: Sequence[SessionView]
    totp_at: datetime | None
    passkeys: Sequence[PasskeyView]


def profile(work: UnitOfWork[IdentityWork], clock: Clock) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[Profile]:
        async with work() as unit:
            found = await unit.accounts.get(account)
            sessions = await unit.sessions.live(account, clock.now())
            factors = await unit.factors.get(account)
        passkeys = [passkey_view(passkey) for passkey in factors.passkeys.values()]
        views = [session_view(session) for session in sessions]
        return Page([Profile(user_view(found), views, factors.totp_at, passkeys)], None)

    return Exported("account", page)


def happened(journal: JournalQueries) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[EventView]:
        return await journal.page(account_stream(account), EventFilter(), False, cursor, PAGE_MAX)

    return Exported("account_events", page)
