"""Every port in plain dictionaries: an executable specification of the contracts, for tests and for trying out."""

from adapters.memory.access import MemoryAccess, MemoryAccessQueries
from adapters.memory.cache import MemoryCache
from adapters.memory.consumers import MemoryCursorRepository, MemoryCursors
from adapters.memory.database import MemoryDatabase
from adapters.memory.due import MemoryDeadlines
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.idempotency import MemoryIdempotency
from adapters.memory.identity import MemorySessionQueries
from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.newest import MemoryNewest
from adapters.memory.observer import MemoryObserver
from adapters.memory.presence import MemoryPresence
from adapters.memory.store import MemoryStoreQueries
from adapters.memory.system import MovableClock, SequentialIds
from adapters.memory.tickets import MemoryTicketStore
from adapters.memory.unit_of_work import MemoryUnitOfWork
from adapters.memory.upkeep import MemoryUpkeep

__all__ = [
    "MemoryAccess",
    "MemoryAccessQueries",
    "MemoryBroker",
    "MemoryCache",
    "MemoryCursorRepository",
    "MemoryCursors",
    "MemoryDatabase",
    "MemoryDeadlines",
    "MemoryIdempotency",
    "MemoryJournalQueries",
    "MemoryNewest",
    "MemoryObserver",
    "MemoryPresence",
    "MemoryRateLimiter",
    "MemorySessionQueries",
    "MemoryStoreQueries",
    "MemoryTicketStore",
    "MemoryUnitOfWork",
    "MemoryUpkeep",
    "MovableClock",
    "SequentialIds",
]
