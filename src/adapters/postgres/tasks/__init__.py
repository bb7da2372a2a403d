"""Tasks and comments in PostgreSQL."""

from adapters.postgres.tasks.queries import PostgresTaskQueries
from adapters.postgres.tasks.repository import PostgresTasks, found_by
from adapters.postgres.tasks.upkeep import PostgresTaskUpkeep

__all__ = ["PostgresTaskQueries", "PostgresTaskUpkeep", "PostgresTasks", "found_by"]
