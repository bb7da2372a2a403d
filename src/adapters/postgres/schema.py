"""Checks that the schema has the revision that this code needs, and that the role has no more rights than it needs."""

from adapters.postgres.database import Database
from adapters.postgres.migrations import current_revision, revisions
from domain.errors import Unavailable


class Rights:
    """The rights of the role that a process connects as."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> str | None:
        """None if the role can only read and write rows; a remark if it can do more than a process needs."""
        async with self._database.connection() as connection:
            with self._database.call("SELECT pg_roles", connection):
                role, is_superuser, is_owner = await connection.fetchrow(_MAY)
        if is_superuser:
            return f"{role} is a superuser."
        return f"{role} may change the tables." if is_owner else None


_MAY = """
SELECT rolname, rolsuper, has_schema_privilege('public', 'CREATE') FROM pg_roles WHERE rolname = current_user
"""


class Schema:
    """Compares the revision of a database with the one that this code needs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        *self._outdated, self._needed = revisions()

    async def check(self) -> str | None:
        """None at the needed revision; a remark at one that this code does not know; Unavailable at an older one.

        An unknown revision is no failure. A database is migrated while processes of the previous version still run, and
        each migration leaves them able to work.
        """
        async with self._database.connection() as connection:
            with self._database.call("SELECT alembic_version", connection):
                revision = await current_revision(connection)
        if revision is None or revision in self._outdated:
            raise Unavailable(f"It is at revision {revision}, and {self._needed} is needed: run `signalbox migrate`.")
        return None if revision == self._needed else f"It is at revision {revision}, which is newer than this code."
