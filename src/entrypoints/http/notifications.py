"""The routes of one's own notifications."""

from typing import Annotated

from litestar import MediaType, Response, Router, delete, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

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
Token = Annotated[str, QueryParameter(max_length=100, description="The token of the address in a letter.")]
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{}</title></head>
<body><h1>{}</h1>{}</body>
</html>"""
_ASKING = _PAGE.format(
    "Signalbox",
    "No more letters?",
    '<form method="post"><button>Send me no letters about notifications</button></form>',
)
_DONE = _PAGE.format(
    "Signalbox",
    "Done",
    "<p>You get no more letters about notifications, only those about the safety of your account.</p>",
)


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

    @get(
        "/notification-preferences/unsubscribe",
        include_in_schema=False,
        facts=Facts(callers="anybody", refuses={404}),
    )
    async def show_unsubscribe(request: ApiRequest, token: Token) -> Response[bytes]:
        """A page for people with a button that does it, at the address that a letter has."""
        notifications.subscribed(token)
        return Response(_ASKING.encode(), media_type=MediaType.HTML)

    @post(
        "/notification-preferences/unsubscribe",
        status_code=200,
        include_in_schema=False,
        facts=Facts(callers="anybody", takes_forms=True, refuses={404}),
    )
    async def unsubscribe(request: ApiRequest, token: Token) -> Response[bytes]:
        """Send no letter about notifications any more, as programs for mail ask by one click (RFC 8058)."""
        await notifications.unsubscribe(token)
        return Response(_DONE.encode(), media_type=MediaType.HTML)

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
            show_unsubscribe,
            unsubscribe,
        ],
        tags=["notifications"],
        opt={
            "about": "What the caller is told of, and of what they want to be told.",
            "scopes": (NOTIFICATIONS_READ, NOTIFICATIONS_WRITE),
        },
    )
