"""The ports: everything that the use cases ask of the world. Each docstring is a contract for every adapter."""

from application.ports.access import AccessQueries
from application.ports.cache import Cache
from application.ports.consumers import Consumer, Cursors
from application.ports.credentials import CredentialKind
from application.ports.due import Deadlines, Due
from application.ports.events import Broker, JournalQueries
from application.ports.exports import Exported, ExportStore
from application.ports.feeds import Feeds
from application.ports.idempotency import Idempotency
from application.ports.identity import AccessTokens, PasswordHasher, SessionQueries
from application.ports.limits import RateLimiter
from application.ports.mail import Mailer, MailStore
from application.ports.newest import Newest
from application.ports.notices import Notice
from application.ports.notifications import NotificationQueries, NotificationUpkeep
from application.ports.observer import Observer
from application.ports.presence import Presence
from application.ports.rooms import RoomQueries, RoomUpkeep
from application.ports.secrets import Secrets
from application.ports.store import StoreQueries
from application.ports.system import Clock, Ids
from application.ports.tasks import TaskNumbers, TaskQueries, TaskUpkeep, TaskWords
from application.ports.tickets import TicketStore
from application.ports.unit_of_work import UnitOfWork
from application.ports.upkeep import Upkeep
from application.ports.workspaces import WorkspaceQueries

__all__ = [
    "AccessQueries",
    "AccessTokens",
    "Broker",
    "Cache",
    "Clock",
    "Consumer",
    "CredentialKind",
    "Cursors",
    "Deadlines",
    "Due",
    "ExportStore",
    "Exported",
    "Feeds",
    "Idempotency",
    "Ids",
    "JournalQueries",
    "MailStore",
    "Mailer",
    "Newest",
    "Notice",
    "NotificationQueries",
    "NotificationUpkeep",
    "Observer",
    "PasswordHasher",
    "Presence",
    "RateLimiter",
    "RoomQueries",
    "RoomUpkeep",
    "Secrets",
    "SessionQueries",
    "StoreQueries",
    "TaskNumbers",
    "TaskQueries",
    "TaskUpkeep",
    "TaskWords",
    "TicketStore",
    "UnitOfWork",
    "Upkeep",
    "WorkspaceQueries",
]
