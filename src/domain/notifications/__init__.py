"""What accounts are told of, and how they want to be told."""

from domain.notifications.inbox import Digest, Inbox, Medium, QuietHours
from domain.notifications.notification import GROUPED_FOR, Notification, Subject

__all__ = ["GROUPED_FOR", "Digest", "Inbox", "Medium", "Notification", "QuietHours", "Subject"]
