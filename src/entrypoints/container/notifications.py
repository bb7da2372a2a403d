"""What notifications bring to the assembly: how they follow from events, and the inboxes that they are in."""

from dependency_injector.providers import Object, Provider, Singleton

from adapters.memory.notifications import (
    NOTIFICATIONS,
    MemoryInboxes,
    MemoryNotificationQueries,
    MemoryNotifications,
    MemoryNotificationUpkeep,
    MemoryRounds,
)
from adapters.postgres import tables
from adapters.postgres.notifications import (
    PostgresInboxes,
    PostgresNotificationQueries,
    PostgresNotifications,
    PostgresNotificationUpkeep,
    PostgresRounds,
)
from application.notifications import NOTIFICATIONS_READ, NOTIFICATIONS_WRITE, Notices, Notifications, erasing
from application.ports import NotificationQueries, NotificationUpkeep
from application.reactions import people
from application.retention import Aging
from domain.notifications import Inbox, Notification
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.notifications import notification_routes


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(notifications=PostgresNotifications, inboxes=PostgresInboxes, rounds=PostgresRounds)
    house.figures.add_kwargs(notifications=tables.notifications)
    database = house.database
    return _with_notifications(
        house, Singleton(PostgresNotificationQueries, database), Singleton(PostgresNotificationUpkeep, database)
    )


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(notifications=MemoryNotifications, inboxes=MemoryInboxes, rounds=MemoryRounds)
    house.figures.add_kwargs(notifications=NOTIFICATIONS)
    database = house.database
    return _with_notifications(
        house, Singleton(MemoryNotificationQueries, database), Singleton(MemoryNotificationUpkeep, database)
    )


def _with_notifications(
    house: Container, queries: Provider[NotificationQueries], upkeep: Provider[NotificationUpkeep]
) -> Container:
    clock = house.clock
    made = Singleton(Notices, house.notices, Object(people), house.ids)
    notifications = watched(house.observer, Notifications, house.work, queries, made, clock)
    house.set_providers(
        notifications=notifications,
        notification_queries=queries,
        notification_upkeep=upkeep,
        made_notices=made,
    )
    house.aggregates.add_args(Notification, Inbox)
    house.scopes.add_args(NOTIFICATIONS_READ, NOTIFICATIONS_WRITE)
    house.consumers.add_args(made.provided.consumer.call(), Singleton(erasing, upkeep))
    house.routes.add_args(Singleton(notification_routes, notifications))
    days = house.settings.provided.notification_retention_days
    house.retention.add_args(Singleton(Aging, "notifications", days, upkeep.provided.forget, clock))
    return house
