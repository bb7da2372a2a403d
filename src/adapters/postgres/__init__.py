"""The store: tables and statements in SQLAlchemy Core, executed on asyncpg's own pool."""

from collections.abc import Mapping

from adapters.postgres.access import PostgresAccess, PostgresAccessQueries
from adapters.postgres.consumers import PostgresCursorRepository, PostgresCursors
from adapters.postgres.database import Database
from adapters.postgres.due import PostgresDeadlines, due_index
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.idempotency import PostgresIdempotency
from adapters.postgres.identity import PostgresAccounts, PostgresSessionQueries, PostgresSessions
from adapters.postgres.long_reads import LongReads
from adapters.postgres.replica import Replica
from adapters.postgres.schema import Rights, Schema
from adapters.postgres.store import PostgresStoreQueries
from adapters.postgres.task_numbers import PostgresTaskNumbers
from adapters.postgres.task_words import PostgresTaskWords
from adapters.postgres.tasks import PostgresTaskQueries, PostgresTasks
from adapters.postgres.tickets import PostgresTicketStore
from adapters.postgres.unit_of_work import PostgresUnitOfWork, Repository
from adapters.postgres.upkeep import PostgresUpkeep
from adapters.postgres.workspaces import PostgresWorkspaceQueries, PostgresWorkspaces

REPOSITORIES: Mapping[str, Repository] = {
    "access": PostgresAccess,
    "accounts": PostgresAccounts,
    "cursors": PostgresCursorRepository,
    "sessions": PostgresSessions,
    "tasks": PostgresTasks,
    "workspaces": PostgresWorkspaces,
}
"""The repositories of a unit of work, by the names that use cases know them by."""

__all__ = [
    "REPOSITORIES",
    "Database",
    "LongReads",
    "PostgresAccessQueries",
    "PostgresCursors",
    "PostgresDeadlines",
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
    "due_index",
]
