"""The store: tables and statements in SQLAlchemy Core, executed on asyncpg's own pool."""

from adapters.postgres.access import PostgresAccess, PostgresAccessQueries
from adapters.postgres.consumers import PostgresCursorRepository, PostgresCursors
from adapters.postgres.database import Database
from adapters.postgres.due import PostgresDeadlines
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.idempotency import PostgresIdempotency
from adapters.postgres.identity import PostgresSessionQueries
from adapters.postgres.long_reads import LongReads
from adapters.postgres.replica import Replica
from adapters.postgres.schema import Rights, Schema
from adapters.postgres.store import PostgresStoreQueries
from adapters.postgres.tables import due_index
from adapters.postgres.tickets import PostgresTicketStore
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from adapters.postgres.upkeep import PostgresUpkeep

__all__ = [
    "Database",
    "LongReads",
    "PostgresAccess",
    "PostgresAccessQueries",
    "PostgresCursorRepository",
    "PostgresCursors",
    "PostgresDeadlines",
    "PostgresIdempotency",
    "PostgresJournalQueries",
    "PostgresSessionQueries",
    "PostgresStoreQueries",
    "PostgresTicketStore",
    "PostgresUnitOfWork",
    "PostgresUpkeep",
    "Replica",
    "Rights",
    "Schema",
    "due_index",
]
