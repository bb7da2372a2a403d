"""What notifications have of a person: those that are kept."""

from application.paging import PAGE_MAX, Page
from application.ports.exports import Exported
from application.ports.notifications import NotificationQueries, NotificationView
from domain.ids import AccountId


def exported(queries: NotificationQueries) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[NotificationView]:
        return await queries.page(account, False, None, cursor, PAGE_MAX)

    return Exported("notifications", page)
