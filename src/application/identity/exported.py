"""What identity has of a person: the account and its sessions, and what happened to it."""

from collections.abc import Sequence

from msgspec import Struct

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
    """The account itself, and where it is signed in."""

    account: UserView
    sessions: Sequence[SessionView]


def profile(work: UnitOfWork[IdentityWork], clock: Clock) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[Profile]:
        async with work() as unit:
            found = await unit.accounts.get(account)
            sessions = await unit.sessions.live(account, clock.now())
        return Page([Profile(user_view(found), [session_view(session) for session in sessions])], None)

    return Exported("account", page)


def happened(journal: JournalQueries) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[EventView]:
        return await journal.page(account_stream(account), EventFilter(), False, cursor, PAGE_MAX)

    return Exported("account_events", page)
