"""Lists of a workspace with very many tasks: walked in the order of an index, or given little time and connections."""

import asyncio
import dataclasses
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from dependency_injector import providers
from msgspec.structs import replace

from adapters.memory.observer import MemoryObserver
from adapters.postgres.connection import SERVER_SETTINGS, prepare
from adapters.postgres.database import Database
from adapters.postgres.events import PostgresJournalQueries
from adapters.postgres.long_reads import LongReads
from adapters.postgres.statement import Statement
from adapters.postgres.tasks import PostgresTaskQueries, lists
from application.paging import QueryTooBroad
from application.ports.events import EventFilter
from application.ports.tasks import SORTS, TaskFilter
from application.tasks import NewTask, TaskPatch, TaskQuery
from domain.errors import Exhausted, Unavailable
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Priority, Status
from entrypoints.container import Container, assembled, offline
from tests.support.builders import an_account, principal
from tests.support.services import run_apart

MANY = 100_000
ORDERS = [direction + sort for sort in SORTS for direction in ("", "-")]
ALL_ARCHIVED = (False, True, None)
# One filter for each condition there is.
FILTERS = {
    "key": TaskFilter(key="T-5001"),
    "status": TaskFilter(status=(Status.TODO,)),
    "priority": TaskFilter(priority=(Priority.URGENT,)),
    "assignee": TaskFilter(assignee=UUID(int=7)),
    "unassigned": TaskFilter(unassigned=True),
    "label": TaskFilter(label="label-5"),
    "created_by": TaskFilter(created_by=UUID(int=7)),
    "due_before": TaskFilter(due_before=datetime.now(UTC)),
    "due_after": TaskFilter(due_after=datetime.now(UTC)),
    "open_only": TaskFilter(open_only=True),
    "words": TaskFilter(words=("plan",)),
}
# Without the triggers that look up what a row refers to, and in the order in which tasks are made.
FILL = f"""
SET session_replication_role = replica;
INSERT INTO accounts (id, email, display_name, password_hash, role, created_at, updated_at, version)
SELECT md5('account ' || n)::uuid, n || '@example.org', 'Somebody', '', 'user', now(), now(), 1
FROM generate_series(1, 50) AS n;
INSERT INTO workspaces
  (id, name, slug, task_prefix, kind, viewers_comment, created_by, created_at, updated_at, version)
SELECT md5('workspace ' || n)::uuid, 'Team', 'team-' || n, 'T', 'team', false, md5('account 1')::uuid, now(), now(), 1
FROM generate_series(1, 2) AS n;
INSERT INTO members (workspace_id, account_id, role, joined_at)
SELECT md5('workspace ' || w)::uuid, md5('account ' || a)::uuid, 'member', now()
FROM generate_series(1, 2) AS w, generate_series(1, 50) AS a;
INSERT INTO tasks
  (id, workspace_id, key, title, description, status, priority, labels, assignees, watchers, due_at, custom,
   comment_count, created_by, created_at, updated_at, archived_at, deleted_at, version, words)
SELECT
  gen_random_uuid(), md5('workspace ' || CASE WHEN n % 10 = 0 THEN 2 ELSE 1 END)::uuid, 'T-' || n, 'A plan ' || n, '',
  (ARRAY['todo', 'in_progress', 'blocked', 'done', 'cancelled'])[1 + n % 5],
  (ARRAY['none', 'low', 'medium', 'high', 'urgent'])[1 + n % 7 % 5],
  CASE WHEN n % 3 = 0 THEN ARRAY['label-' || n % 97] ELSE '{{}}' END,
  CASE WHEN n % 4 = 0 THEN '{{}}' ELSE ARRAY[md5('account ' || 1 + n % 50)::uuid] END, '{{}}',
  CASE WHEN n % 2 = 0 THEN now() + make_interval(mins => (n::bigint * 7919 % 100000)::int) END, '{{}}', 0,
  md5('account ' || 1 + n % 49)::uuid, now() - make_interval(secs => {MANY} - n),
  now() - make_interval(secs => (n::bigint * 7919 % {MANY})::int), CASE WHEN n % 10 = 3 THEN now() END,
  CASE WHEN n % 50 = 7 THEN now() END, 1, ('a plan ' || n)::tsvector
FROM generate_series(1, {MANY}) AS n;
INSERT INTO comments (id, task_id, author_id, text, mentions, created_at, updated_at, words)
SELECT gen_random_uuid(), id, created_by, repeat('Said ', 60), '{{}}', now(), now(),
  ('said s' || row_number() OVER ())::tsvector
FROM tasks WHERE description = '' AND deleted_at IS NULL;
ANALYZE
"""


# The long lists that PostgreSQL works on.
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND query LIKE '%ORDER BY tasks.updated_at%' AND pid <> pg_backend_pid()
"""


def made_of(name: str) -> UUID:
    """The id that was given to what has this name."""
    return UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())


TEAM, BY = WorkspaceId(made_of("workspace 1")), AccountId(made_of("account 1"))


@pytest.fixture(scope="module")
def crowded(new_database: Callable[[], str]) -> str:
    """A database with very many tasks in one workspace, nine tenths of all there are."""

    async def fill() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(FILL)
        await connection.close()

    url = new_database()
    run_apart(fill)
    return url


@pytest_asyncio.fixture
async def connection(crowded: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(crowded, server_settings=SERVER_SETTINGS)
    await prepare(connection)
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def database(crowded: str) -> AsyncIterator[Database]:
    database = Database(crowded, 4, MemoryObserver())
    await database.open()
    yield database
    await database.close()


class Store:
    """Where the builders put what they make."""

    def __init__(self, house: Container) -> None:
        self.work, self.clock, self.ids = house.work(), house.clock(), house.ids()


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def rows_read(plan: Any) -> int:
    """How many tasks were looked at, whether they were in the list or not."""
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "tasks"]
    return sum(int(node.get(count, 0) * node["Actual Loops"]) for node in scans for count in counts)


WALKED: list[tuple[tuple[str, ...], bool | None, str]] = [
    (part, archived, order)
    for conditions in [(), *((condition,) for condition in lists.CONDITIONS), ("due_before", "due_after")]
    for archived, order in itertools.product(ALL_ARCHIVED, ORDERS)
    if lists.is_walked(conditions, archived, order)
    for part in lists.parts_of(conditions, order)
]


def test_the_usual_lists_are_walked() -> None:
    for order in ("created_at", "-created_at", "due_at", "priority", "-priority"):
        assert ((), False, order) in WALKED
    assert ((), True, "-created_at") in WALKED
    assert (("due_before", "due_after"), False, "-due_at") in WALKED
    assert (("dated",), False, "-due_at") in WALKED
    assert (("undated",), False, "-due_at") in WALKED


@asynccontextmanager
async def prepared(
    connection: asyncpg.Connection, statement: Statement, values: Mapping[str, object]
) -> AsyncIterator[str]:
    """Prepare a statement; what executes it with these values."""
    await connection.execute(f"PREPARE list AS {statement.text}")
    yield "EXECUTE list (" + ", ".join(f"'{value}'" for value in statement.args(values)) + ")"
    await connection.execute("DEALLOCATE list")


@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("order", [order for order in ORDERS if lists.is_walked((), False, order)])
async def test_the_lists_that_everybody_reads_are_planned_once_for_every_workspace_and_limit(
    connection: asyncpg.Connection, order: str, continued: bool
) -> None:
    key = 2 if "priority" in order else datetime.now(UTC)
    values = {"workspace": TEAM, "account": BY, "limit": 51, "most": 20_000, "after_key": key, "after_id": uuid4()}
    statement = lists.listing(lists.parts_of((), order)[0], False, order, continued)
    async with prepared(connection, statement, values) as execute:
        for _ in range(6):  # five of them are planned for just what they are asked
            await connection.execute(execute)
        assert await connection.fetchval("SELECT generic_plans FROM pg_prepared_statements WHERE name = 'list'") == 1


@pytest.mark.parametrize("planned", ["generic", "custom"])
@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize(("conditions", "archived", "order"), WALKED)
async def test_a_list_that_is_walked_reads_what_it_shows_however_many_tasks_there_are(
    connection: asyncpg.Connection,
    conditions: Sequence[str],
    archived: bool | None,
    order: str,
    continued: bool,
    planned: str,
) -> None:
    places: dict[str, object] = {"priority": 2}
    if "undated" in conditions:
        places["due_at"] = datetime.max.replace(tzinfo=UTC)
    statement = lists.listing(tuple(conditions), archived, order, continued)
    values = {
        "workspace": TEAM,
        "account": BY,
        "limit": 51,
        "most": 20_000,
        "key": "T-5001",
        "due_before": datetime.now(UTC) + timedelta(days=60),
        "due_after": datetime.now(UTC) + timedelta(days=1),
        "after_key": places.get(order.removeprefix("-"), datetime.now(UTC)),
        "after_id": uuid4(),
    }
    await connection.execute(f"SET plan_cache_mode = force_{planned}_plan")
    async with prepared(connection, statement, values) as execute:
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {execute}")
    (plan,) = msgspec.json.decode(explained)
    kinds = {node["Node Type"] for node in nodes(plan["Plan"]) if node.get("Relation Name") == "tasks"}
    assert kinds <= {"Index Scan"}, plan
    assert rows_read(plan["Plan"]) <= 51, plan
    if "key" not in conditions:
        assert "Sort" not in {node["Node Type"] for node in nodes(plan["Plan"])}, plan


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("word", "found"), [("s5001", 1), ("5001", 1), ("nowhere", 0)])
async def test_a_search_reads_what_it_finds_in_tasks_and_in_comments_by_their_indexes(
    connection: asyncpg.Connection, order: str, word: str, found: int
) -> None:
    statement = lists.listing(("words",), None, order, False)
    values = {"workspace": TEAM, "account": BY, "limit": 51, "most": 20_000, "words": f"'{word}':*"}
    explained = await connection.fetchval(
        f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.text}", *statement.args(values)
    )
    (plan,) = msgspec.json.decode(explained)
    assert rows_read(plan["Plan"]) <= 20 * found, plan
    read = {node.get("Index Name") for node in nodes(plan["Plan"])} - {None}
    assert {"ix_tasks_words", "ix_comments_words"} <= read, plan


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("archived", ALL_ARCHIVED)
async def test_every_other_list_has_a_limit_of_its_own(database: Database, archived: bool | None, order: str) -> None:
    closed = Database("postgresql://nowhere.invalid/", 1, MemoryObserver())
    queries = PostgresTaskQueries(database, LongReads(closed, 1, 1.0))
    wanted: dict[tuple[str, ...], TaskFilter] = {(): TaskFilter()}
    wanted |= {(name,): filter for name, filter in FILTERS.items()}
    for conditions, filter in wanted.items():
        asking = queries.page(TEAM, BY, replace(filter, archived=archived), order, None, 5)
        if lists.is_walked(conditions, archived, order):
            await asking
        else:
            with pytest.raises(Unavailable, match="not open"):
                await asking


async def test_some_events_of_a_stream_are_looked_for_with_a_limit_of_their_own(database: Database) -> None:
    closed = Database("postgresql://nowhere.invalid/", 1, MemoryObserver())
    journal = PostgresJournalQueries(database, LongReads(closed, 1, 1.0))
    now = datetime.now(UTC)
    for wanted in (EventFilter(), EventFilter(resource_id=uuid4())):
        assert (await journal.page("workspace:x", wanted, True, None, 5)).data == []
    for wanted in (
        EventFilter(type="task.created"),
        EventFilter(type="task.*", resource_id=uuid4()),
        EventFilter(actor=uuid4()),
        EventFilter(after=now),
        EventFilter(before=now),
    ):
        with pytest.raises(Unavailable, match="not open"):
            await journal.page("workspace:x", wanted, True, None, 5)


def test_there_is_a_filter_for_each_condition() -> None:
    assert set(FILTERS) == set(lists.CONDITIONS)


async def test_a_list_that_takes_too_long_is_refused_and_the_next_one_on_the_connection_has_all_its_time(
    crowded: str,
) -> None:
    database = Database(crowded, 1, MemoryObserver())
    await database.open()
    hasty = PostgresTaskQueries(database, LongReads(database, 1, 0.002))
    patient = PostgresTaskQueries(database, LongReads(database, 1, 5.0))
    try:
        for _ in range(2):
            with pytest.raises(QueryTooBroad) as refused:
                await hasty.page(TEAM, BY, TaskFilter(), "-updated_at", None, 5)
            assert refused.value.code == "query_too_broad"
            async with database.connection() as connection:
                assert await connection.fetchval("SHOW statement_timeout") == "5s"
        assert len((await patient.page(TEAM, BY, TaskFilter(), "-updated_at", None, 5)).data) == 5
        assert database.pool_state()[0] == 1
    finally:
        await database.close()


async def test_an_account_waits_for_its_own_long_lists_and_for_nobody_elses(crowded: str, database: Database) -> None:
    reads = LongReads(database, 2, 5.0, wait_seconds=0.05)
    queries = PostgresTaskQueries(database, reads)
    lists = [queries.page(TEAM, BY, TaskFilter(), "-updated_at", None, limit) for limit in range(1, 40)]
    outcomes = asyncio.gather(*lists, return_exceptions=True)
    other = AccountId(made_of("account 2"))
    await asyncio.sleep(0)
    assert (await queries.page(TEAM, other, FILTERS["status"], "-created_at", None, 5)).data
    refusals = [outcome for outcome in await outcomes if isinstance(outcome, BaseException)]
    assert {type(refusal) for refusal in refusals} == {Exhausted}
    assert 0 < len(refusals) < len(lists)


async def test_a_neighbour_is_served_while_an_account_asks_for_sixty_long_lists(
    crowded: str, connection: asyncpg.Connection
) -> None:
    settings = replace(offline(), database_url=crowded, database_pool_size=8, cache_max_bytes=0)
    house = assembled(settings=settings, observer=providers.Singleton(MemoryObserver))
    databases = house.database(), house.numbers_database()
    for database in databases:
        await database.open()
    busiest = 0
    try:
        neighbour = principal(await an_account(Store(house)))
        attacker = dataclasses.replace(neighbour, account_id=BY)
        own = house.tasks()
        asking = [
            asyncio.create_task(own.page(attacker, TEAM, TaskQuery(), "-updated_at", None, limit))
            for limit in range(1, 61)
        ]
        for number in range(15):
            task = await own.open(neighbour, NewTask(f"Task {number}"))
            await own.edit(neighbour, TaskId(task.id), TaskPatch(title="Changed"))
            assert (await own.page(neighbour, None, TaskQuery(), "-created_at", None, 50)).data
            assert (await own.page(neighbour, None, TaskQuery(status=(Status.TODO,)), "due_at", None, 50)).data
            busiest = max(busiest, await connection.fetchval(BUSY))
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(o) for o in outcomes if isinstance(o, BaseException)} <= {Exhausted, QueryTooBroad}
        assert not all(isinstance(outcome, BaseException) for outcome in outcomes)
        assert busiest <= 1
    finally:
        for database in databases:
            await database.close()
