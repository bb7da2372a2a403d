"""The routes of one's own notifications."""

from litestar import Router, delete, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody

from application.notifications import (
    NOTIFICATIONS_READ,
    NOTIFICATIONS_WRITE,
    AllRead,
    Mark,
    Notifications,
    Preferences,
    PreferencesView,
    Unread,
)
from application.paging import PAGE_DEFAULT, Page
from application.ports.notifications import NotificationView
from domain.ids import NotificationId
from entrypoints.http.facts import Facts
from entrypoints.http.request import ApiRequest, PageCursor, PageLimit

WANTED = {
    "types": {"task.commented": {"in_app": True, "email": True}},
    "quiet_hours": {"begin": "22:00", "end": "07:00"},
    "digest": "daily",
}


def notification_routes(notifications: Notifications) -> Router:
    """Routes under `/notifications` and `/notification-preferences`."""

    @get("/notifications")
    async def list_notifications(
        request: ApiRequest,
        unread: FromQuery[bool] = False,
        cursor: PageCursor = None,
        limit: PageLimit = PAGE_DEFAULT,
    ) -> Page[NotificationView]:
        """The caller's notifications, newest first; with `unread` only those."""
        return await notifications.page(request.actor, unread, cursor, limit)

    @get("/notifications/unread-count")
    async def count_unread(request: ApiRequest) -> Unread:
        """How many are unread, counted up to 1,000."""
        return await notifications.unread(request.actor)

    @post("/notifications/read-all", status_code=200, facts=Facts(example={"before": "2026-03-01T12:00:00Z"}))
    async def read_all(request: ApiRequest, data: JSONBody[AllRead]) -> Unread:
        """Mark everything up to a time as read, and count what is left."""
        return await notifications.read_all(request.actor, data)

    @patch("/notifications/{id:uuid}", facts=Facts(example={"read": True}))
    async def mark_notification(
        request: ApiRequest, id: FromPath[NotificationId], data: JSONBody[Mark]
    ) -> NotificationView:
        """Mark a notification as read or unread."""
        return await notifications.mark(request.actor, id, data)

    @delete("/notifications/{id:uuid}")
    async def delete_notification(request: ApiRequest, id: FromPath[NotificationId]) -> None:
        """Remove a notification."""
        await notifications.delete(request.actor, id)

    @get("/notification-preferences")
    async def read_preferences(request: ApiRequest) -> PreferencesView:
        """Every type of notification, with the channels on which the caller is told it."""
        return await notifications.preferences(request.actor)

    @put("/notification-preferences", facts=Facts(example=WANTED, current=PreferencesView))
    async def change_preferences(request: ApiRequest, data: JSONBody[Preferences]) -> PreferencesView:
        """Replace what the caller wants to be told; with `If-Match`, only that version."""
        return await notifications.choose(request.actor, data, request.version)

    return Router(
        "/",
        route_handlers=[
            list_notifications,
            count_unread,
            read_all,
            mark_notification,
            delete_notification,
            read_preferences,
            change_preferences,
        ],
        tags=["notifications"],
        opt={
            "about": "What the caller is told of, and of what they want to be told.",
            "scopes": (NOTIFICATIONS_READ, NOTIFICATIONS_WRITE),
        },
    )
