"""The store: tables and statements in SQLAlchemy Core, executed on asyncpg's own pool."""

from adapters.postgres.access import PostgresAccessQueries
from adapters.postgres.consumers import PostgresCursors
from adapters.postgres.database import Database
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.idempotency import PostgresIdempotency
from adapters.postgres.identity import PostgresSessionQueries
from adapters.postgres.long_reads import LongReads
from adapters.postgres.replica import Replica
from adapters.postgres.schema import Rights, Schema
from adapters.postgres.store import PostgresStoreQueries
from adapters.postgres.task_numbers import PostgresTaskNumbers
from adapters.postgres.task_words import PostgresTaskWords
from adapters.postgres.tasks import PostgresTaskQueries
from adapters.postgres.tickets import PostgresTicketStore
from adapters.postgres.unit_of_work.opened import PostgresUnitOfWork
from adapters.postgres.upkeep import PostgresUpkeep
from adapters.postgres.workspaces import PostgresWorkspaceQueries

__all__ = [
    "Database",
    "LongReads",
    "PostgresAccessQueries",
    "PostgresCursors",
    "PostgresIdempotency",
    "PostgresJournalQueries",
    "PostgresSessionQueries",
    "PostgresStoreQueries",
    "PostgresTaskNumbers",
    "PostgresTaskQueries",
    "PostgresTaskWords",
    "PostgresTicketStore",
    "PostgresUnitOfWork",
    "PostgresUpkeep",
    "PostgresWorkspaceQueries",
    "Replica",
    "Rights",
    "Schema",
]
