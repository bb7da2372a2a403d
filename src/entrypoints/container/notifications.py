"""What notifications bring to the assembly: how they follow from events, and the inboxes that they are in."""

from functools import partial
from operator import attrgetter, ne

from dependency_injector.providers import Provider, Singleton

from adapters.memory import MemoryDeadlines
from adapters.memory.notifications import (
    DIGESTS,
    NOTIFICATIONS,
    MemoryDigests,
    MemoryInboxes,
    MemoryNotificationQueries,
    MemoryNotifications,
    MemoryNotificationUpkeep,
    MemoryRounds,
)
from adapters.postgres import PostgresDeadlines, tables
from adapters.postgres.notifications import (
    PostgresDigests,
    PostgresInboxes,
    PostgresNotificationQueries,
    PostgresNotifications,
    PostgresNotificationUpkeep,
    PostgresRounds,
)
from application.gauges import figure
from application.notifications import (
    NOTIFICATIONS_READ,
    NOTIFICATIONS_WRITE,
    Correspondence,
    Digests,
    Notices,
    Notifications,
    erasing,
    exported,
    exported_preferences,
)
from application.ports import Deadlines, Due, NotificationQueries, NotificationUpkeep
from application.ports.observer import Gauge
from application.reactions import people
from application.retention import Aging
from domain.notifications import Inbox, Notification
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.notifications import notification_routes


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(
        notifications=PostgresNotifications, inboxes=PostgresInboxes, rounds=PostgresRounds, digests=PostgresDigests
    )
    house.figures.add_kwargs(notifications=tables.notifications)
    database = house.database
    return _with_notifications(
        house,
        Singleton(PostgresNotificationQueries, database),
        Singleton(PostgresNotificationUpkeep, database),
        Singleton(PostgresDeadlines, database, tables.digests),
    )


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(
        notifications=MemoryNotifications, inboxes=MemoryInboxes, rounds=MemoryRounds, digests=MemoryDigests
    )
    house.figures.add_kwargs(notifications=NOTIFICATIONS)
    database = house.database
    return _with_notifications(
        house,
        Singleton(MemoryNotificationQueries, database),
        Singleton(MemoryNotificationUpkeep, database),
        Singleton(MemoryDeadlines, database, DIGESTS, attrgetter("due_at")),
    )


def _with_notifications(
    house: Container,
    queries: Provider[NotificationQueries],
    upkeep: Provider[NotificationUpkeep],
    deadlines: Provider[Deadlines],
) -> Container:
    clock, given = house.clock, house.settings.provided
    told = Singleton(partial, people, Singleton(ne, given.email_verification, "off"))
    letters = Singleton(Correspondence, house.postbox, house.secrets, given.public_url)
    made = Singleton(Notices, house.notices, told, letters, house.limits, house.ids)
    notifications = watched(house.observer, Notifications, house.work, queries, made, letters, clock)
    digests = Singleton(Digests, house.work, made.provided.rows, told, letters)
    house.set_providers(
        notifications=notifications,
        notification_queries=queries,
        notification_upkeep=upkeep,
        made_notices=made,
    )
    house.aggregates.add_args(Notification, Inbox)
    house.scopes.add_args(NOTIFICATIONS_READ, NOTIFICATIONS_WRITE)
    house.consumers.add_args(made.provided.consumer.call(), Singleton(erasing, upkeep))
    house.due.add_args(Singleton(Due, "digests", deadlines, digests.provided.elapse))
    house.exported.add_args(Singleton(exported, queries), Singleton(exported_preferences, notifications))
    house.routes.add_args(Singleton(notification_routes, notifications))
    kept = Singleton(partial, figure, house.store, "notifications")
    house.gauges.add_args(Singleton(Gauge, "notifications", "Notifications that are kept.", kept))
    days = given.notification_retention_days
    house.retention.add_args(Singleton(Aging, "notifications", days, upkeep.provided.forget, clock))
    return house
