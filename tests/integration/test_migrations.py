"""The migrations lead to exactly the schema that the statements are written against, and back."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from adapters.postgres import migrations
from adapters.postgres.tables import metadata
from tests.support.services import PostgresService, call_postgres, run_apart

T = TypeVar("T")
SRC = Path(__file__).parents[2] / "src"

# Whatever makes two schemas differ, in words that do not depend on the order of columns.
SCHEMA = """
SELECT format(
    'column %s.%s %s%s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN ' not null' END, ' default ' || pg_get_expr(d.adbin, d.adrelid),
    ' generated ' || nullif(a.attgenerated::text, ''), ' collation ' || nullif(l.collname, 'default'))
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


async def _schema(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return {row[0] for row in await connection.fetch(SCHEMA) if "alembic_version" not in row[0]}
    finally:
        await connection.close()


async def _through_sqlalchemy(url: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.begin() as connection:
            return await work(connection)
    finally:
        await engine.dispose()


def _on(url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """What `work` returns, on a connection of its own."""

    async def run() -> T:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return run_apart(run)


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


@pytest.fixture
def url(postgres_service: PostgresService) -> str:
    """A database that no migration ever touched."""
    return postgres_service.create()


def test_every_revision_goes_up_and_down_and_up_again(url: str) -> None:
    below = ["base", *migrations.revisions()]
    for revision, before in zip(migrations.revisions(), below, strict=False):
        schema_before = run_apart(lambda: _schema(url))
        migrations.upgrade(url, revision)
        schema_after = run_apart(lambda: _schema(url))
        migrations.downgrade(url, before)
        assert run_apart(lambda: _schema(url)) == schema_before, f"{revision} leaves something behind"
        migrations.upgrade(url, revision)
        assert run_apart(lambda: _schema(url)) == schema_after, f"{revision} differs the second time"
    assert migrations.current(url) == migrations.head()


def test_undoing_everything_leaves_no_table_and_no_function(url: str) -> None:
    async def remaining() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch(
                "SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
                " UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace"
            )
            return [row["name"] for row in rows if not row["name"].lstrip("_").startswith("alembic_version")]
        finally:
            await connection.close()

    migrations.upgrade(url)
    migrations.downgrade(url, "base")
    assert run_apart(remaining) == []


def test_revisions_are_counted_in_a_single_line() -> None:
    scripts = ScriptDirectory(str(migrations.FOLDER))
    assert migrations.revisions() == [script.revision for script in scripts.walk_revisions()][::-1]
    assert migrations.revisions() == [f"{number:04d}" for number in range(1, len(migrations.revisions()) + 1)]
    assert migrations.head() == migrations.revisions()[-1]


async def test_alembic_finds_no_difference_between_the_database_and_the_tables(new_database: Callable[[], str]) -> None:
    found = await _through_sqlalchemy(new_database(), lambda connection: connection.run_sync(_differences))
    assert found == []


async def test_tables_made_directly_have_the_same_columns_constraints_and_indexes(
    url: str, new_database: Callable[[], str]
) -> None:
    await _through_sqlalchemy(url, lambda connection: connection.run_sync(metadata.create_all))
    direct, migrated = await _schema(url), await _schema(new_database())
    assert migrated - direct == set(), "only in the migrations"
    assert direct - migrated == set(), "only in the tables"


def test_processes_that_start_together_migrate_once_and_all_succeed(url: str) -> None:
    script = "import sys; from adapters.postgres import migrations; migrations.upgrade(sys.argv[1])"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SRC)}
    processes = [subprocess.Popen([sys.executable, "-c", script, url], env=environment) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert migrations.current(url) == migrations.head()


def test_tasks_that_are_there_get_keys_in_the_order_of_their_creation_whichever_way_one_came(url: str) -> None:
    async def fill(connection: asyncpg.Connection) -> None:
        await connection.execute("""
            INSERT INTO accounts (id, email, display_name, password_hash, role, created_at, updated_at, version)
            VALUES (md5('a')::uuid, 'ada@example.org', 'Ada', '', 'user', now(), now(), 1);
            INSERT INTO workspaces (id, name, slug, kind, viewers_comment, created_by, created_at, updated_at, version)
            SELECT md5(n::text)::uuid, 'Team', 'team-' || n, 'team', false, md5('a')::uuid, now(), now(), 1
            FROM generate_series(1, 3) AS n;
            INSERT INTO tasks (id, workspace_id, title, description, status, priority, labels, assignees, watchers,
                               custom, comment_count, created_by, created_at, updated_at, version, words)
            SELECT gen_random_uuid(), md5((1 + n % 2)::text)::uuid, n::text, '', 'todo', 'none', '{}', '{}', '{}',
                   '{}', 0, md5('a')::uuid, now() - make_interval(hours => n), now(), 1, ''
            FROM generate_series(1, 7) AS n
        """)

    async def keys(connection: asyncpg.Connection) -> list[tuple[str, str]]:
        rows = await connection.fetch("SELECT title, key FROM tasks ORDER BY workspace_id = md5('2')::uuid, created_at")
        last = dict(await connection.fetch("SELECT workspace_id, last FROM task_numbers"))
        assert sorted(last.values()) == [3, 4]
        return [tuple(row) for row in rows]

    migrations.upgrade(url, "0001")
    _on(url, fill)
    for _ in range(2):
        migrations.upgrade(url, "0002")
        assert _on(url, keys) == [
            *(("6", "TASK-1"), ("4", "TASK-2"), ("2", "TASK-3")),
            *(("7", "TASK-1"), ("5", "TASK-2"), ("3", "TASK-3"), ("1", "TASK-4")),
        ]
        migrations.downgrade(url, "0001")


def test_what_is_there_is_counted_as_the_use_cases_count_it(url: str) -> None:
    async def fill(connection: asyncpg.Connection) -> None:
        await connection.execute("""
            INSERT INTO accounts (id, email, display_name, password_hash, role, created_at, updated_at, version)
            SELECT md5(n::text)::uuid, n || '@example.org', 'Ada', '', 'user', now(), now(), 1
            FROM generate_series(1, 3) AS n;
            INSERT INTO workspaces (id, name, slug, task_prefix, kind, viewers_comment, created_by, created_at,
                                    updated_at, version)
            SELECT md5('w' || n)::uuid, 'Team', 'team-' || n, 'T', 'team', false, md5('1')::uuid, now(), now(), 1
            FROM generate_series(1, 2) AS n;
            INSERT INTO members (workspace_id, account_id, role, joined_at)
            SELECT md5('w' || w)::uuid, md5(a::text)::uuid, 'member', now()
            FROM (VALUES (1, 1), (1, 2), (2, 2)) AS given (w, a);
            INSERT INTO tasks (id, workspace_id, key, title, description, status, priority, labels, assignees, watchers,
                               custom, comment_count, created_by, created_at, updated_at, deleted_at, version, words)
            SELECT gen_random_uuid(), md5('w' || w)::uuid, row_number() OVER (), '', '', status, 'none', '{}',
                   ARRAY(SELECT md5(a::text)::uuid FROM unnest(people::text[]) AS a), '{}', '{}', comments,
                   md5('1')::uuid, now(), now(), CASE WHEN is_deleted THEN now() END, 1, ''
            FROM (VALUES (1, 'todo', '{1,2}', 3, false), (1, 'blocked', '{2}', 0, false), (1, 'done', '{2}', 4, false),
                         (1, 'todo', '{1}', 9, true), (2, 'cancelled', '{2}', 0, false))
              AS given (w, status, people, comments, is_deleted)
        """)

    async def counted(connection: asyncpg.Connection) -> set[tuple[object, ...]]:
        rows = await connection.fetch("""
            WITH named AS (SELECT n AS name, md5(n)::uuid AS id FROM unnest('{1,2,3,w1,w2}'::text[]) AS n)
            SELECT scope.name, subject.name, kind, used FROM usage
            JOIN named AS scope ON scope.id = usage.scope JOIN named AS subject ON subject.id = usage.subject
        """)
        return {tuple(row) for row in rows}

    migrations.upgrade(url, "0005")
    _on(url, fill)
    migrations.upgrade(url)
    expected = {
        ("w1", "w1", "tasks", 3),
        ("w1", "w1", "comments", 7),
        ("w1", "1", "open_tasks", 1),
        ("w1", "2", "open_tasks", 2),
        ("w1", "w1", "members", 2),
        ("w2", "w2", "tasks", 1),
        ("w2", "w2", "members", 1),
        ("1", "1", "workspaces", 1),
        ("2", "2", "workspaces", 2),
    }
    assert _on(url, counted) == expected
    # And so does what operators are told to do where something was written past the use cases.
    _on(url, lambda connection: connection.execute("UPDATE usage SET used = used + 1"))
    _, _, page = (SRC.parent / "docs" / "operations.md").read_text().partition("### Count again")
    _on(url, lambda connection: connection.execute(page.split("```")[1].removeprefix("sql")))
    assert _on(url, counted) == expected


def test_labels_and_addresses_that_are_there_get_their_normal_form_and_nobody_loses_one(url: str) -> None:
    async def fill(connection: asyncpg.Connection) -> None:
        for number, email in enumerate(
            [
                "ada@example.org",
                "rene\u0301@example.org",
                "ren\u00e9@example.org",
                "user@xn--bcher-kva.example",
                "grace@example.org\u200b",
                "eve@xn--99999999999.example",
            ]
        ):
            await connection.execute(
                "INSERT INTO accounts (id, email, display_name, password_hash, role, created_at, updated_at, version)"
                " VALUES (md5($1::int::text)::uuid, $2, 'Ada', '', 'user', now() + $1 * interval '1 day', now(), 1)",
                number,
                email,
            )
        await connection.execute("""
            INSERT INTO workspaces (id, name, slug, task_prefix, kind, viewers_comment, created_by, created_at,
                                    updated_at, version)
            VALUES (md5('w')::uuid, 'Team', 'team', 'T', 'team', false, md5('0')::uuid, now(), now(), 1)
        """)
        for number, labels in enumerate([["b", "cafe\u0301", "a", "caf\u00e9"], ["x", "caf\u00e9"], []]):
            await connection.execute(
                """
                INSERT INTO tasks (id, workspace_id, key, title, description, status, priority, labels, assignees,
                                   watchers, custom, comment_count, created_by, created_at, updated_at, version, words)
                VALUES (gen_random_uuid(), md5('w')::uuid, $1::text, '', '', 'todo', 'none', $2, '{}', '{}', '{}', 0,
                        md5('0')::uuid, now(), now(), 1, '')
                """,
                str(number),
                labels,
            )

    async def found(connection: asyncpg.Connection) -> tuple[list[str], list[list[str]]]:
        emails = await connection.fetch("SELECT email FROM accounts ORDER BY created_at")
        labels = await connection.fetch("SELECT labels FROM tasks ORDER BY key")
        return [row[0] for row in emails], [row[0] for row in labels]

    migrations.upgrade(url, "0016")
    _on(url, fill)
    for _ in range(2):
        migrations.upgrade(url)
        assert _on(url, found) == (
            [
                "ada@example.org",
                # The older account of two with one address keeps its spelling where the younger one has it already.
                "rene\u0301@example.org",
                "ren\u00e9@example.org",
                "user@b\u00fccher.example",
                "grace@example.org",
                "eve@xn--99999999999.example",
            ],
            [["b", "caf\u00e9", "a"], ["x", "caf\u00e9"], []],
        )
        migrations.downgrade(url, "0016")


async def test_a_database_without_migrations_has_no_revision(url: str) -> None:
    assert await asyncio.to_thread(migrations.current, url) is None


def test_the_sql_for_an_empty_database_can_be_written_without_one(url: str) -> None:
    # One statement at a time, as an index that is built concurrently stands alone.
    call_postgres("psql", url, "--quiet", "--set=ON_ERROR_STOP=1", script=migrations.script())
    assert migrations.current(url) == migrations.head()


def test_a_migration_that_has_to_wait_for_others_gives_up_and_can_be_run_again(url: str) -> None:
    """Whoever waits for a lock has everybody wait who comes later."""

    async def migrate_while_somebody_reads() -> None:
        connection = await asyncpg.connect(url)
        try:
            async with connection.transaction():
                await connection.execute("SELECT FROM streams")
                with pytest.raises(DBAPIError, match="lock timeout"):
                    await asyncio.to_thread(migrations.upgrade, url)
        finally:
            await connection.close()

    migrations.upgrade(url, "0003")
    run_apart(migrate_while_somebody_reads)
    assert migrations.current(url) == "0003"
    migrations.upgrade(url)
    assert migrations.current(url) == migrations.head()
