"""The use cases of notifications, and how they follow from events."""

from application.notifications.digests import Digests
from application.notifications.erasure import erasing
from application.notifications.exported import exported, exported_preferences
from application.notifications.letters import UNSUBSCRIBE, Correspondence, Person
from application.notifications.making import Notices
from application.notifications.messages import (
    AllRead,
    Chosen,
    Mark,
    Preferences,
    PreferencesView,
    QuietBetween,
    Unread,
)
from application.notifications.scopes import NOTIFICATIONS_READ, NOTIFICATIONS_WRITE
from application.notifications.use_cases import Notifications

__all__ = [
    "NOTIFICATIONS_READ",
    "NOTIFICATIONS_WRITE",
    "UNSUBSCRIBE",
    "AllRead",
    "Chosen",
    "Correspondence",
    "Digests",
    "Mark",
    "Notices",
    "Notifications",
    "Person",
    "Preferences",
    "PreferencesView",
    "QuietBetween",
    "Unread",
    "erasing",
    "exported",
    "exported_preferences",
]
