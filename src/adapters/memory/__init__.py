"""Every port in plain dictionaries: an executable specification of the contracts, for tests and for trying out."""

from collections.abc import Mapping

from adapters.memory.access import MemoryAccess, MemoryAccessQueries
from adapters.memory.cache import MemoryCache
from adapters.memory.consumers import MemoryCursorRepository, MemoryCursors
from adapters.memory.database import MemoryDatabase
from adapters.memory.due import MemoryDeadlines
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.idempotency import MemoryIdempotency
from adapters.memory.identity import MemoryAccounts, MemorySessionQueries, MemorySessions
from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.observer import MemoryObserver
from adapters.memory.presence import MemoryPresence
from adapters.memory.store import MemoryStoreQueries
from adapters.memory.system import MovableClock, SequentialIds
from adapters.memory.tasks import MemoryTaskNumbers, MemoryTaskQueries, MemoryTasks, MemoryTaskWords
from adapters.memory.tickets import MemoryTicketStore
from adapters.memory.unit_of_work import MemoryUnitOfWork, Repository
from adapters.memory.upkeep import MemoryUpkeep
from adapters.memory.workspaces import MemoryWorkspaceQueries, MemoryWorkspaces

REPOSITORIES: Mapping[str, Repository] = {
    "access": MemoryAccess,
    "accounts": MemoryAccounts,
    "cursors": MemoryCursorRepository,
    "sessions": MemorySessions,
    "tasks": MemoryTasks,
    "workspaces": MemoryWorkspaces,
}
"""The repositories of a unit of work, by the names that use cases know them by."""

__all__ = [
    "REPOSITORIES",
    "MemoryAccessQueries",
    "MemoryBroker",
    "MemoryCache",
    "MemoryCursors",
    "MemoryDatabase",
    "MemoryDeadlines",
    "MemoryIdempotency",
    "MemoryJournalQueries",
    "MemoryObserver",
    "MemoryPresence",
    "MemoryRateLimiter",
    "MemorySessionQueries",
    "MemoryStoreQueries",
    "MemoryTaskNumbers",
    "MemoryTaskQueries",
    "MemoryTaskWords",
    "MemoryTicketStore",
    "MemoryUnitOfWork",
    "MemoryUpkeep",
    "MemoryWorkspaceQueries",
    "MovableClock",
    "SequentialIds",
]
