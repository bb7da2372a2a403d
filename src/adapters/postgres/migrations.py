"""Brings the schema of a database to a revision: at start, from the command line and in tests."""

import asyncio
import io
from pathlib import Path

import asyncpg

_CODE = Path(__file__).parents[2]
# Beside `src` in a checkout, and beside the packages in an installation.
FOLDER = (_CODE.parent if _CODE.name == "src" else _CODE) / "migrations"


def upgrade(url: str, target: str = "head") -> None:
    """Run the revisions that are missing up to `target`, each in a transaction of its own.

    Processes that start at the same time wait for each other, and the later ones find nothing left to do. This blocks,
    and runs an event loop of its own. From inside an event loop, call it in a thread, and in one thread at a time.
    """
    _alembic("upgrade", url, target)


def downgrade(url: str, target: str) -> None:
    """Undo the revisions after `target`; `base` undoes all of them, and with them all data."""
    _alembic("downgrade", url, target)


def script(target: str = "head", since: str = "base") -> str:
    """The SQL for psql that leads from the revision `since`, or from an empty database, to `target`."""
    written = io.StringIO()
    _alembic("upgrade", None, f"{since}:{target}", written, sql=True)
    return written.getvalue()


def revisions() -> list[str]:
    """All revisions, oldest first."""
    return sorted(path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py"))


def head() -> str:
    """The revision that this code needs."""
    found = revisions()
    if not found:
        raise FileNotFoundError(f"There are no migrations in {FOLDER}.")
    return found[-1]


async def current_revision(connection: asyncpg.Connection) -> str | None:
    """The revision of the database, or None if no migration ever ran there."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return found


def current(url: str) -> str | None:
    """The revision of the database at `url`, as `current_revision`. Blocks, and runs an event loop of its own."""

    async def read() -> str | None:
        connection = await asyncpg.connect(url)
        try:
            return await current_revision(connection)
        finally:
            await connection.close()

    return asyncio.run(read())


def _alembic(command: str, url: str | None, target: str, output: io.StringIO | None = None, **options: bool) -> None:
    # Only who migrates needs Alembic, and it would be a tenth of every start.
    from alembic import command as commands  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    # Configured here and not in pyproject.toml, because an installation does not have that file.
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["url"] = url
    getattr(commands, command)(config, target, **options)
