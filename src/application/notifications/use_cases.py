"""The use cases of one's own notifications: read, mark and remove them, and choose what to be told."""

from datetime import UTC, datetime
from typing import Any

from application.notifications.letters import Correspondence
from application.notifications.making import Notices, channels_of, default_of
from application.notifications.messages import (
    AllRead,
    Mark,
    Preferences,
    PreferencesView,
    TypePreference,
    Unread,
    quiet_hours,
    quiet_view,
)
from application.notifications.scopes import NOTIFICATIONS_READ, NOTIFICATIONS_WRITE
from application.paging import Page
from application.ports.notices import Notice
from application.ports.notifications import NotificationQueries, NotificationView, NotificationWork, view_of
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from domain.errors import Invalid, VersionConflict
from domain.ids import AccountId, NotificationId
from domain.notifications import Inbox, Medium, Notification

# Nothing is older, and every time zone has it.
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class Notifications:
    """The use cases of one's own notifications. Those of others are NotFound.

    A credential for one place sees what is in that place, and cannot change what concerns them all.
    """

    def __init__(
        self,
        work: UnitOfWork[NotificationWork],
        queries: NotificationQueries,
        notices: Notices,
        letters: Correspondence,
        clock: Clock,
    ) -> None:
        self._work = work
        self._letters = letters
        self._queries = queries
        self._rows = notices.rows
        self._clock = clock

    async def page(self, actor: Principal, unread: bool, cursor: str | None, limit: int) -> Page[NotificationView]:
        """A page of the caller's notifications, newest first, or of the unread ones."""
        actor.require(NOTIFICATIONS_READ)
        return await self._queries.page(actor.account_id, unread, actor.place, cursor, limit)

    async def unread(self, actor: Principal) -> Unread:
        actor.require(NOTIFICATIONS_READ)
        return Unread(await self._queries.unread(actor.account_id, actor.place))

    @retried
    async def mark(self, actor: Principal, id: NotificationId, mark: Mark) -> NotificationView:
        """Mark one as read or unread. Doing it twice changes nothing."""
        actor.require(NOTIFICATIONS_WRITE)
        async with self._work() as work:
            notification = await self._found(work, actor, id)
            now = self._clock.now()
            inbox = await work.inboxes.get(actor.account_id)
            notification.mark(mark.read, now if mark.read else inbox.unread_at(now))
            work.notifications.save(notification)
        return view_of(notification)

    async def read_all(self, actor: Principal, read: AllRead) -> Unread:
        """Mark everything up to a time as read, however much that is. Returns what is left."""
        actor.require(NOTIFICATIONS_WRITE)
        actor.require_anywhere()
        await self._read_all(actor, read)
        return Unread(await self._queries.unread(actor.account_id, None))

    @retried
    async def _read_all(self, actor: Principal, read: AllRead) -> None:
        async with self._work() as work:
            inbox = await work.inboxes.get(actor.account_id)
            now = self._clock.now()
            inbox.read(max(_FIRST, min(read.before, now)).astimezone(UTC), now)
            work.inboxes.save(inbox)

    @retried
    async def delete(self, actor: Principal, id: NotificationId) -> None:
        actor.require(NOTIFICATIONS_WRITE)
        async with self._work() as work:
            notification = await self._found(work, actor, id)
            notification.delete(self._clock.now())
            work.notifications.remove(notification)

    async def preferences(self, actor: Principal) -> PreferencesView:
        actor.require(NOTIFICATIONS_READ)
        return await self.preferences_of(actor.account_id)

    async def preferences_of(self, account: AccountId) -> PreferencesView:
        """What an account chose, for a file that is made for it."""
        async with self._work() as work:
            return self._view(await work.inboxes.get(account))

    @retried
    async def choose(self, actor: Principal, wanted: Preferences, version: int | None = None) -> PreferencesView:
        """Replace what the caller wants. VersionConflict if `version` is neither None nor the present one."""
        actor.require(NOTIFICATIONS_WRITE)
        actor.require_anywhere()
        choices = {}
        for name, chosen in wanted.types.items():
            if name not in self._rows:
                raise Invalid("There is no such type of notification.", pointer=f"/types/{name}")
            channels = frozenset(channel for channel in Medium if getattr(chosen, channel))
            if channels != default_of(self._rows[name]):
                if self._rows[name].always:
                    raise Invalid("This is always told, on each channel.", pointer=f"/types/{name}")
                choices[name] = channels
        async with self._work() as work:
            inbox = await work.inboxes.get(actor.account_id)
            if version is not None and version != inbox.version:
                raise VersionConflict(self._view(inbox), inbox.version)
            inbox.choose(choices, quiet_hours(wanted.quiet_hours), wanted.digest, self._clock.now())
            work.inboxes.save(inbox)
        return self._view(inbox)

    def subscribed(self, token: str) -> AccountId:
        """Whose letters the address of a letter ends; NotFound if it is none of this installation."""
        return self._letters.account_of(token)

    @retried
    async def unsubscribe(self, token: str) -> None:
        """Send no letter to this account any more but those about its safety. NotFound as in `subscribed`."""
        account = self.subscribed(token)
        async with self._work() as work:
            inbox = await work.inboxes.get(account)
            choices = {name: self._in_app(inbox, row) for name, row in self._rows.items() if not row.always}
            inbox.choose(choices, inbox.quiet_hours, inbox.digest, self._clock.now())
            work.inboxes.save(inbox)

    @staticmethod
    def _in_app(inbox: Inbox, row: Notice[Any]) -> frozenset[Medium]:
        return channels_of(inbox, row) - {Medium.EMAIL}

    async def _found(self, work: NotificationWork, actor: Principal, id: NotificationId) -> Notification:
        notification = await work.notifications.get(id, actor.account_id)
        actor.require_within(notification.place_id)
        return notification

    def _view(self, inbox: Inbox) -> PreferencesView:
        types = {}
        for name, row in sorted(self._rows.items()):
            channels = channels_of(inbox, row)
            types[name] = TypePreference(row.sentence, Medium.IN_APP in channels, Medium.EMAIL in channels, row.always)
        return PreferencesView(types, quiet_view(inbox.quiet_hours), inbox.digest, inbox.version)
