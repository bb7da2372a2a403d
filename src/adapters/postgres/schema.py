"""Whether the tables are those that this code was written for."""

from adapters.postgres.database import Database
from adapters.postgres.migrations import current_revision, revisions
from domain.errors import Unavailable


class Schema:
    """The revision of a database beside the one that this code needs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        *self._outdated, self._needed = revisions()

    async def check(self) -> str | None:
        """None at the revision that is needed, a remark at one that this code does not know; Unavailable at an older.

        The database is migrated before the last processes of the version before have ended, and each migration leaves
        them able to work.
        """
        async with self._database.connection() as connection:
            with self._database.call("SELECT alembic_version", connection):
                revision = await current_revision(connection)
        if revision is None or revision in self._outdated:
            raise Unavailable(f"It is at revision {revision}, and {self._needed} is needed: run `signalbox migrate`.")
        return None if revision == self._needed else f"It is at revision {revision}, which is newer than this code."
