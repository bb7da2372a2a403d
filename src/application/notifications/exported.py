"""What notifications have of a person: those that are kept, and what was chosen about them."""

from application.notifications.messages import PreferencesView
from application.notifications.use_cases import Notifications
from application.paging import PAGE_MAX, Page
from application.ports.exports import Exported
from application.ports.notifications import NotificationQueries, NotificationView
from domain.ids import AccountId


def exported(queries: NotificationQueries) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[NotificationView]:
        return await queries.page(account, False, None, cursor, PAGE_MAX)

    return Exported("notifications", page)


def exported_preferences(notifications: Notifications) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[PreferencesView]:
        return Page([await notifications.preferences_of(account)], None)

    return Exported("notification_preferences", page)
