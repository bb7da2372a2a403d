"""Assemblies with notes, and the table of notes, which no migration knows, in a database."""

import asyncpg
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from entrypoints.container import Container
from tests.architecture.notes.assembly import in_memory, on_postgres
from tests.architecture.notes.postgres import metadata
from tests.http.house import house_in_memory, house_on_postgres
from tests.support.services import run_apart

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def library_in_memory() -> Container:
    return in_memory(house_in_memory())


def library_on_postgres(database_url: str) -> Container:
    """On a database that has the table of notes."""
    return on_postgres(house_on_postgres(database_url))


def with_notes(database_url: str) -> str:
    """The same database, which has the table of notes from now on."""
    run_apart(lambda: _create_tables(database_url))
    return database_url


async def _create_tables(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for table in metadata.sorted_tables:
            steps: list[ExecutableDDLElement] = [CreateTable(table), *map(CreateIndex, table.indexes)]
            for step in steps:
                await connection.execute(str(step.compile(dialect=_DIALECT)))
    finally:
        await connection.close()
