"""Notifications, the inboxes that they are in, and how people are told of them, in PostgreSQL."""

from adapters.postgres.notifications.inboxes import PostgresInboxes
from adapters.postgres.notifications.queries import PostgresNotificationQueries, PostgresNotificationUpkeep
from adapters.postgres.notifications.repository import PostgresNotifications
from adapters.postgres.notifications.telling import PostgresDigests, PostgresRounds

__all__ = [
    "PostgresDigests",
    "PostgresInboxes",
    "PostgresNotificationQueries",
    "PostgresNotificationUpkeep",
    "PostgresNotifications",
    "PostgresRounds",
]
