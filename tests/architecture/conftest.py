"""Assemblies with notes: in memory, and on a PostgreSQL that has the table of notes besides those of the house."""

from collections.abc import Callable

import asyncpg
import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from entrypoints.container import Container
from tests.architecture.notes.assembly import in_memory, on_postgres
from tests.architecture.notes.postgres import metadata
from tests.http.house import house_in_memory, house_on_postgres
from tests.support.services import run_apart

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


@pytest.fixture
def notes_database(new_database: Callable[[], str]) -> str:
    """The URL of a database of the test's own."""
    url = new_database()
    run_apart(lambda: _create_tables(url))
    return url


@pytest.fixture(params=["memory", "postgres"])
def library(request: pytest.FixtureRequest) -> Container:
    """One assembly after the other; the service starts only if a test needs it."""
    if request.param == "memory":
        return in_memory(house_in_memory())
    return on_postgres(house_on_postgres(request.getfixturevalue("notes_database")))


async def _create_tables(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for table in metadata.sorted_tables:
            steps: list[ExecutableDDLElement] = [CreateTable(table), *map(CreateIndex, table.indexes)]
            for step in steps:
                await connection.execute(str(step.compile(dialect=_DIALECT)))
    finally:
        await connection.close()
