"""Runs the migrations on one asyncpg connection. Only one process at a time may migrate."""

import asyncio
import os
import time

from alembic import context
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.postgres.tables import metadata

# An arbitrary number that nothing else in the database locks.
MIGRATION_LOCK = 5_117_202_607
# A statement that waits for a lock on a table blocks all later statements on it. So it gives up soon.
LOCK_TIMEOUT = "SET lock_timeout = '3s'"
TURN_SECONDS = 0.1

config = context.config


def database_url() -> str:
    """The address from the caller, from `-x url=…` or from DATABASE_URL, in that order."""
    url = config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get("url")
    url = url or os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("Which database? Set DATABASE_URL or pass -x url=….")
    scheme, separator, rest = str(url).partition("://")
    return f"postgresql+asyncpg{separator}{rest}" if scheme in {"postgres", "postgresql"} else str(url)


def number(_: MigrationContext, __: object, directives: list[MigrationScript]) -> None:
    """Number revisions instead of naming them at random, so that file names show their order."""
    head = ScriptDirectory.from_config(config).get_current_head()
    directives[0].rev_id = f"{int(head or 0) + 1:04d}"


def run(connection: Connection) -> None:
    # The connection holds the lock, because a migration may leave its transaction (CREATE INDEX CONCURRENTLY).
    # We poll for it: a concurrent index would wait for a statement that waits for the lock.
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": MIGRATION_LOCK}):
        connection.commit()
        time.sleep(TURN_SECONDS)
    connection.execute(text(LOCK_TIMEOUT))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        process_revision_directives=number,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_online() -> None:
    engine = create_async_engine(make_url(database_url()), poolclass=pool.NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


def run_offline() -> None:
    """Write the SQL without running it or connecting."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        transaction_per_migration=True,
    )
    context.execute(LOCK_TIMEOUT)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    asyncio.run(run_online())
