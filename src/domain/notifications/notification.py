"""The aggregate of a notification."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple
from uuid import UUID

from domain.channels import account_stream
from domain.ids import AccountId, NotificationId
from domain.kernel import Aggregate, Changes, EventType, declared

GROUPED_FOR = timedelta(minutes=10)

_WHAT = {
    "notification_type": "What it is about, such as `task.assigned`.",
    "title": "What the resource is called.",
    "about": "The type and id of the resource that it is about.",
    "place_id": "The workspace or other place of the resource, or null.",
    "actor_id": "Who did it, or null.",
    "count": "How often it happened.",
    "details": "What else there is to know.",
}


class Subject(NamedTuple):
    """What a notification is about: a resource, what that is called, and the place in which it is, if it is in one."""

    type: str
    id: UUID
    title: str
    place_id: UUID | None = None


@dataclass(slots=True)
class Notification(Aggregate):
    """What one account is told: that something happened to a resource.

    What happens to the same resource within ten minutes becomes part of it, if it is of the same type and unread:
    `count` says how often that was, and everything else is of the last time. `unread_since` is when it was last made
    unread, so that what is read up to a time can be told from what came after.
    """

    resource_type: ClassVar[str] = "notification"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("notification.created", "account", "There is something to know.", _WHAT),
        EventType("notification.repeated", "account", "It happened again, within ten minutes.", _WHAT, ("count",)),
        EventType("notification.read", "account", "The owner has read it, on some device."),
        EventType("notification.unread", "account", "The owner keeps it as unread."),
        EventType("notification.deleted", "account", "The owner has removed it."),
    )

    id: NotificationId
    account_id: AccountId
    type: str
    subject_type: str
    subject_id: UUID
    title: str
    place_id: UUID | None
    actor_id: AccountId | None
    count: int
    details: Mapping[str, object]
    created_at: datetime
    updated_at: datetime
    unread_since: datetime
    read_at: datetime | None = None

    @classmethod
    def make(
        cls,
        id: NotificationId,
        account: AccountId,
        type: str,
        subject: Subject,
        by: AccountId | None,
        details: Mapping[str, object],
        at: datetime,
    ) -> "Notification":
        made = cls(id, account, type, *subject, by, 1, details, at, at, at)
        made._tell("notification.created", by, at, data=made._shown())
        return made

    def repeat(self, title: str, by: AccountId | None, details: Mapping[str, object], at: datetime) -> None:
        """It happened once more."""
        self.title, self.actor_id, self.details, self.unread_since = title, by, details, at
        self.count += 1
        self.updated_at = at
        self._tell("notification.repeated", by, at, {"count": (self.count - 1, self.count)}, self._shown())

    def mark(self, read: bool, at: datetime) -> None:
        """Mark it as read or as unread. What it is already changes nothing."""
        if read is (self.read_at is not None):
            return
        if read:
            self.read_at = at
            self._tell("notification.read", self.account_id, at)
        else:
            self.read_at, self.unread_since = None, at
            self._tell("notification.unread", self.account_id, at)

    def delete(self, at: datetime) -> None:
        self._tell("notification.deleted", self.account_id, at)

    def _shown(self) -> Mapping[str, object]:
        return {
            "notification_type": self.type,
            "title": self.title,
            "about": {"type": self.subject_type, "id": self.subject_id},
            "place_id": self.place_id,
            "actor_id": self.actor_id,
            "count": self.count,
            "details": self.details,
        }

    def _tell(
        self,
        type: str,
        by: AccountId | None,
        at: datetime,
        changes: Changes | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        self._announce(type, account_stream(self.account_id), self.id, at, by, changes, data)
