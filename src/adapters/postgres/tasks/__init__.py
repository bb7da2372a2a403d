"""Tasks and comments in PostgreSQL."""

from adapters.postgres.tasks.queries import PostgresTaskQueries
from adapters.postgres.tasks.repository import PostgresTasks, found_by

__all__ = ["PostgresTaskQueries", "PostgresTasks", "found_by"]
