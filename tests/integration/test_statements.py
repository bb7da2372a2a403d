"""Every statement is one that PostgreSQL takes and asyncpg can be handed values for, and awkward values come back."""

import itertools
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from importlib import import_module
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from dependency_injector import providers
from msgspec.structs import replace
from sqlalchemy import ARRAY, Boolean, DateTime, Double, Integer, LargeBinary, String, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import NullType, TypeEngine

import adapters.postgres
from adapters.memory.system import MovableClock, SequentialIds
from adapters.postgres import access, events, idempotency, identity, tables, tickets
from adapters.postgres.statement import _DIALECT, Statement
from adapters.postgres.tasks import lists, queries, repository
from adapters.postgres.unit_of_work import applied
from application.identity import Device
from application.ports.events import EventFilter
from application.ports.tasks import SORTS, TaskView
from application.principal import Principal
from application.tasks import NewComment, NewTask, TaskPatch, TaskQuery, Tasks
from application.workspaces import NewWorkspace, Workspaces
from domain.errors import Invalid
from domain.identity import Session
from domain.ids import SessionId, TaskId
from domain.tasks import normal_label
from entrypoints.container import assembled, offline
from tests.support.builders import an_account, principal

# What asyncpg is handed as it is, by SQLAlchemy's types and as PostgreSQL understands the parameters.
SCALARS = (Uuid, String, Integer, Double, Boolean, DateTime, LargeBinary)
PARAMETERS = {
    "uuid",
    "text",
    "varchar",
    "int2",
    "int4",
    "int8",
    "float8",
    "bool",
    "timestamptz",
    "bytea",
    "jsonb",
    "json",
}
ARRAYS = {"uuid[]", "text[]", "bytea[]", "int8[]", "timestamptz[]", "json[]"}
# SQLAlchemy would check that a boolean is one, walk through arrays, and encode JSON, for which there is a codec.
PROCESSED = (Boolean, ARRAY, JSONB)


def kept_in_modules() -> Iterator[tuple[str, Statement]]:
    """Every statement of every module, those in lists and tables of them too."""
    for module in pkgutil.walk_packages(adapters.postgres.__path__, "adapters.postgres."):
        for name, value in vars(import_module(module.name)).items():
            some = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            for place, each in [("", value), *some]:
                if isinstance(each, Statement):
                    yield f"{module.name}.{name}{place}", each


KEPT = dict(kept_in_modules())


@cache
def statements() -> Mapping[str, Statement]:
    """These, and of those that are composed of conditions each condition and all of them.

    Made when they are asked for: to compile them takes seconds, and every process that collects tests comes by here.
    """
    return {**KEPT, **dict(composed())}


def composed() -> Iterator[tuple[str, Statement]]:
    conditions = lists.CONDITIONS
    for chosen in [(), conditions, *((name,) for name in conditions)]:
        for sort, falling, continued in itertools.product(SORTS, ("", "-"), (False, True)):
            for archived in (False, True, None):
                name = f"tasks {chosen} {falling}{sort} {archived} {continued}"
                yield name, lists.listing(chosen, archived, falling + sort, continued)
    conditions = EventFilter.__struct_fields__
    for chosen in [(), conditions, *((name,) for name in conditions)]:
        for flags in itertools.product((False, True), repeat=3):
            yield f"events {chosen} {flags}", events._page(chosen, *flags)


def problem_with(type: TypeEngine[Any]) -> str | None:
    if isinstance(type, ARRAY):
        return problem_with(type.item_type)
    if not isinstance(type, (*SCALARS, JSONB, NullType)):
        return f"{type!r} may need a bind processor"
    if isinstance(type, DateTime) and not type.timezone:
        return "a time without a zone"
    if type._cached_bind_processor(_DIALECT) is not None and not isinstance(type, PROCESSED):
        return f"{type!r} has a bind processor"
    return None


def test_there_are_statements_to_look_at() -> None:
    modules = {name.split(".")[2] for name in KEPT}
    assert {
        "access",
        "events",
        "idempotency",
        "identity",
        "task_numbers",
        "tasks",
        "tickets",
        "workspaces",
    } <= modules
    assert len(statements()) > 200


def test_no_parameter_needs_a_processor_that_asyncpg_is_not_told_of() -> None:
    for name, statement in statements().items():
        problems = {key: problem_with(bind.type) for key, bind in statement.compiled.binds.items()}  # type: ignore[attr-defined]
        assert not {key: problem for key, problem in problems.items() if problem}, name


def test_every_statement_is_counted_by_its_verb_and_table() -> None:
    verbs, names = {"SELECT", "INSERT", "UPDATE", "DELETE"}, set(tables.metadata.tables)
    for name, statement in statements().items():
        verb, _, table = statement.operation.partition(" ")
        assert verb in verbs, name
        assert table in names, name
    assert lists.listing((), False, "due_at", False).operation == "SELECT tasks"


async def test_a_processor_would_be_noticed() -> None:
    assert problem_with(DateTime())
    assert problem_with(JSONB()) is None
    assert problem_with(ARRAY(String)) is None
    assert problem_with(ARRAY(DateTime()))


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_postgresql_takes_every_statement_with_parameters_of_known_types(
    connection: asyncpg.Connection,
) -> None:
    for name, statement in statements().items():
        prepared = await connection.prepare(statement.text)
        types = [parameter.name for parameter in prepared.get_parameters()]
        assert len(types) == len(statement.names), name
        assert set(types) <= PARAMETERS | ARRAYS, name


def test_what_is_picked_to_be_changed_is_picked_once() -> None:
    picking = [
        statement.text for statement in statements().values() if statement.changes and "SKIP LOCKED" in statement.text
    ]
    assert len(picking) > 5
    assert [text for text in picking if not text.startswith("WITH ")] == []


async def test_no_more_go_than_the_limit_whatever_the_plan(connection: asyncpg.Connection) -> None:
    """Not when PostgreSQL compares each row with what it picks, which it does with a few rows and no statistics."""
    forget = tickets._FORGET
    changes = connection.transaction()
    await changes.start()
    try:
        for way in ("hashagg", "hashjoin", "mergejoin", "sort", "material", "memoize", "indexscan", "bitmapscan"):
            await connection.execute(f"SET LOCAL enable_{way} = off")
        await connection.execute(
            "INSERT INTO tickets (digest, account_id, session_id, role, token_expires_at, opening, expires_at) "
            "SELECT decode(md5(n::text), 'hex'), gen_random_uuid(), gen_random_uuid(), 'user', now(), '', "
            "now() - interval '1 hour' FROM generate_series(1, 5) AS n"
        )
        assert len(await connection.fetch(forget.text, *forget.args({"most": 2}))) == 2
    finally:
        await changes.rollback()


async def test_postgresql_takes_every_composition_of_writes_and_events(connection: asyncpg.Connection) -> None:
    lock, writes = (
        KEPT["adapters.postgres.access.STILL_MEMBER"].text,
        [
            statement.text
            for name, statement in KEPT.items()
            if name.rpartition("._")[2].startswith(("INSERT", "UPDATE", "DELETE"))
        ],
    )
    assert len(writes) > 10
    for counts, records in [(0, 0), (0, 1), (0, 2), *itertools.product((1, 2), (1, 2))]:
        for write in writes:
            await connection.prepare(applied._compose((lock, write), counts, records))
        prepared = await connection.prepare(applied._compose((lock, *writes), counts, records))
        assert {parameter.name for parameter in prepared.get_parameters()} <= PARAMETERS | ARRAYS
    quiet = KEPT["adapters.postgres.consumers._MOVE"].text
    for counts, records, has_notices in [(0, 0, False), (0, 1, False), (0, 2, True), (2, 2, True)]:
        await connection.prepare(applied._compose((lock,), counts, records, has_notices, (quiet, quiet)))
    await connection.prepare(idempotency._LOCK)


@pytest.mark.parametrize(("archived", "index"), [(False, "ix_tasks_newest"), (True, "ix_tasks_archived")])
async def test_a_list_walks_an_index_of_just_what_it_shows(
    connection: asyncpg.Connection, archived: bool, index: str
) -> None:
    statement = lists.listing((), archived, "-created_at", continued=True)
    values = {
        "workspace": uuid4(),
        "account": uuid4(),
        "after_key": datetime.now(UTC),
        "after_id": uuid4(),
        "limit": 51,
        "most": 20_000,
    }
    async with connection.transaction():
        # Of an empty table everything is as cheap as everything else.
        for way in ("seqscan", "bitmapscan", "sort"):
            await connection.execute(f"SET LOCAL enable_{way} = off")
        rows = await connection.fetch(f"EXPLAIN {statement.text}", *statement.args(values))
    plan = "\n".join(row[0] for row in rows)
    assert f"using {index} on tasks" in plan, plan
    assert "archived_at" not in plan, plan


async def test_rooms_are_found_by_their_code_and_by_their_workspace_without_a_look_at_all_others(
    connection: asyncpg.Connection,
) -> None:
    values = {
        "account": uuid4(),
        "workspace": uuid4(),
        "within": None,
        "before": uuid4(),
        "limit": 51,
        "code": "7KQ2M4XZ",
    }
    for name, index in (("repository._BY_CODE", "join_code"), ("queries._OPEN_THERE", "newest")):
        statement = KEPT[f"adapters.postgres.rooms.{name}"]
        async with connection.transaction():
            # Of an empty table everything is as cheap as everything else.
            for way in ("seqscan", "bitmapscan"):
                await connection.execute(f"SET LOCAL enable_{way} = off")
            rows = await connection.fetch(f"EXPLAIN {statement.text}", *statement.args(values))
        plan = "\n".join(row[0] for row in rows)
        assert f"using ix_rooms_{index} on rooms" in plan, plan


@pytest.mark.parametrize("since", [None, datetime(2026, 1, 5, tzinfo=UTC)])
async def test_what_is_asked_twice_a_second_about_sessions_looks_only_at_those_that_ended_since(
    connection: asyncpg.Connection, since: datetime | None
) -> None:
    changes = connection.transaction()
    await changes.start()
    try:
        # Of an empty table everything is as cheap as everything else, and one index as good as another.
        await connection.execute("DROP INDEX ix_sessions_ended_at")
        for way in ("seqscan", "bitmapscan"):
            await connection.execute(f"SET LOCAL enable_{way} = off")
        rows = await connection.fetch(f"EXPLAIN {identity._ENDED.text}", since)
    finally:
        await changes.rollback()
    plan = "\n".join(row[0] for row in rows)
    assert "using ix_sessions_told_at on sessions" in plan, plan
    assert "Index Cond" in plan, plan


class House:
    """The assembly on PostgreSQL, and somebody in it."""

    actor: Principal

    def __init__(self, database_url: str) -> None:
        self.container = assembled(
            settings=replace(offline(), database_url=database_url),
            ids=providers.Singleton(SequentialIds),
            clock=providers.Singleton(MovableClock),
        )
        self.work, self.clock, self.ids = self.container.work(), self.container.clock(), self.container.ids()
        self.tasks: Tasks = self.container.tasks()
        self.workspaces: Workspaces = self.container.workspaces()
        self.events = self.container.events()

    async def kept(self, **values: Any) -> TaskView:
        """A new task with these values as it was kept; it was answered with the same."""
        made = await self.tasks.open(self.actor, NewTask(**{"title": "A task", **values}))
        read = await self.tasks.read(self.actor, TaskId(made.id))
        assert msgspec.to_builtins(read) == msgspec.to_builtins(made)
        return read

    async def listed(self, query: TaskQuery, sort: str = "due_at", limit: int = 50) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = await self.tasks.page(self.actor, None, query, sort, cursor, limit)
            found += [task.title for task in page.data]
            cursor = page.next_cursor
            if cursor is None:
                return found
            assert len(found) < 50, "the pages never end"


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    house = House(database_url)
    await house.container.database().open()
    await house.container.numbers_database().open()
    house.actor = principal(await an_account(house))
    yield house
    await house.container.numbers_database().close()
    await house.container.database().close()


@pytest.mark.parametrize("statement", [repository._GET, queries._VIEW, access._STANDING, access._HOME, access._STATE])
async def test_a_lookup_is_planned_once_and_reads_no_members_but_one_in_a_large_workspace(
    house: House, connection: asyncpg.Connection, statement: Statement
) -> None:
    task = await house.kept()
    # One of 2,000 members among 500 of three.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        "INSERT INTO members (workspace_id, account_id, role, joined_at)"
        " SELECT CASE WHEN n <= 2000 THEN $1 ELSE md5((n % 500)::text)::uuid END, gen_random_uuid(), 'member', now()"
        " FROM generate_series(1, 3500) AS n",
        task.workspace_id,
    )
    await connection.execute("ANALYZE members")
    await connection.execute(f"PREPARE lookup AS {statement.text}")
    by = [house.actor.account_id]
    values = {"workspace": [task.workspace_id], "id": [task.id], "place": [task.id], "account": by}
    given = (f"'{{{value[0]}}}'" if isinstance(value, list) else str(value) for value in statement.args(values))
    execute = f"EXECUTE lookup ({', '.join(given)})"
    for _ in range(6):  # five of them are planned for just what they are asked
        await connection.execute(execute)
    assert await connection.fetchval("SELECT generic_plans FROM pg_prepared_statements WHERE name = 'lookup'") == 1
    explained = await connection.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {execute}")
    (plan,) = msgspec.json.decode(explained)
    assert plan["Plan"]["Actual Rows"] == 1
    assert [node["Actual Rows"] for node in nodes(plan["Plan"]) if node.get("Relation Name") == "members"] == [1]


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


@pytest.mark.parametrize(
    "text",
    [
        "🚀👩‍👩‍👧 ünïcödé \u202eright to left\u202c",  # on purpose
        "'; DROP TABLE tasks; -- \\ \" $1 %s {} {{}} NULL",
        "a\tb\r\nc\u2028d\u0001e\x7ff",
        "\U0010ffff\ufffe\ufeffx",
        "x" * 300,
    ],
)
async def test_text_comes_back_as_it_was(house: House, text: str) -> None:
    # A label is a name, so it is told in its normal form.
    label = normal_label(text[:50])
    task = await house.kept(title=text, description=text, labels=[text[:50]], custom={text: [text]})
    assert (task.title, task.description, task.labels, task.custom) == (text, text, [label], {text: [text]})
    comment = await house.tasks.comment(house.actor, TaskId(task.id), NewComment(text))
    (found,) = (await house.tasks.comments(house.actor, TaskId(task.id), None, 5)).data
    assert (found.text, found) == (text, comment)
    mine = f"workspace:{house.actor.account_id}"
    (event,) = (await house.events.page(house.actor, mine, EventFilter(type="task.created"), True, None, 5)).data
    assert (event.data["title"], event.data["custom"]) == (text, {text: [text]})
    assert [task.title] == await house.listed(TaskQuery(label=text[:50]))


async def test_the_longest_text_comes_back_and_is_found(house: House) -> None:
    text = " ".join(f"wörd{number}" for number in range(6_000))[:49_990].strip() + " tHeEnd"
    task = await house.kept(description=text)
    assert task.description == text
    assert await house.listed(TaskQuery(q="theend word1")) == ["A task"]
    assert len((await house.kept(description="🚀" * 50_000)).description) == 50_000


async def test_empty_is_not_nothing(house: House) -> None:
    task = await house.kept(labels=[], assignee_ids=[], custom={}, description="")
    assert (task.labels, task.assignees, task.custom, task.description) == ([], [], {}, "")
    nested = {"": "", "list": [], "object": {"": {}}, "null": [None], "false": False, "zero": 0}
    assert (await house.kept(custom=nested)).custom == nested
    labels = ["NULL", '"', "{}", ",", "\\", "a,b", "''", "null"]
    assert (await house.kept(labels=labels)).labels == labels


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, -(2**63), 2**64, 10**40, 0.1, 5e-324, -1.5e-9, 1.7976931348e18])
async def test_numbers_of_ones_own_come_back_exactly(house: House, number: float) -> None:
    custom = {"n": number}
    assert (await house.kept(custom=custom)).custom == custom


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1, 1, 1, 0, 0, 0, 1_000, UTC),
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=14))),
        datetime(1, 1, 1, tzinfo=UTC),
    ],
)
async def test_the_ends_of_the_calendar_come_back(house: House, instant: datetime) -> None:
    task = await house.kept(due_at=instant)
    expected = instant.astimezone(UTC)
    assert task.due_at == expected.replace(microsecond=expected.microsecond // 1000 * 1000)
    changed = await house.tasks.edit(house.actor, TaskId(task.id), TaskPatch(start_at=task.due_at))
    assert changed.start_at == changed.due_at


async def test_tasks_at_the_end_of_time_and_without_an_end_are_each_listed_once(house: House) -> None:
    end = datetime.max.replace(tzinfo=UTC)
    for title, due_at in (
        ("Never", None),
        ("Last", end),
        ("Never again", None),
        ("First", datetime(1, 1, 2, tzinfo=UTC)),
    ):
        await house.kept(title=title, due_at=due_at)
    order = ["First", "Last", "Never", "Never again"]
    for limit in (1, 2, 3, 50):
        assert await house.listed(TaskQuery(), "due_at", limit) == order
        assert await house.listed(TaskQuery(), "-due_at", limit) == ["Last", "First", "Never again", "Never"]
    assert await house.listed(TaskQuery(due_before=end)) == ["First", "Last"]
    assert await house.listed(TaskQuery(due_after=datetime.min.replace(tzinfo=UTC))) == ["First", "Last"]


@pytest.mark.parametrize(
    "act",
    [
        lambda house, task, text: house.tasks.open(house.actor, NewTask(text)),
        lambda house, task, text: house.tasks.edit(house.actor, task, TaskPatch(description=text)),
        lambda house, task, text: house.tasks.edit(house.actor, task, TaskPatch(labels=[text])),
        lambda house, task, text: house.tasks.edit(house.actor, task, TaskPatch(custom={"x": [text]})),
        lambda house, task, text: house.tasks.edit(house.actor, task, TaskPatch(custom={text: 1})),
        lambda house, task, text: house.tasks.comment(house.actor, task, NewComment(text)),
        lambda house, task, text: house.workspaces.create(house.actor, NewWorkspace(text)),
        lambda house, task, text: house.tasks.page(house.actor, None, TaskQuery(label=text), "due_at", None, 5),
        lambda house, task, text: house.events.page(
            house.actor, f"workspace:{house.actor.account_id}", EventFilter(type=text), True, None, 5
        ),
        lambda house, task, text: house.events.page(
            house.actor, f"workspace:{house.actor.account_id}", EventFilter(type=text + "*"), True, None, 5
        ),
    ],
)
async def test_text_that_cannot_be_kept_is_refused_wherever_it_comes_in(
    house: House, act: Callable[[House, TaskId, str], Awaitable[object]]
) -> None:
    task = await house.kept()
    with pytest.raises(Invalid):
        await act(house, TaskId(task.id), "nul\x00")
    assert await house.tasks.read(house.actor, TaskId(task.id)) == task


async def test_a_search_for_what_is_in_no_text_finds_nothing(house: House) -> None:
    await house.kept(title="nul")
    assert await house.listed(TaskQuery(q="nu\x00l")) == []
    assert await house.listed(TaskQuery(q="nul\x00")) == ["nul"]


async def test_what_the_domain_lets_through_is_refused_by_the_store_as_a_fault_of_the_input(house: House) -> None:
    device = Device("203.0.113.7\x00", "a browser")
    id = SessionId(uuid4())
    with pytest.raises(Invalid):
        async with house.work() as work:
            now = house.clock.now()
            work.sessions.add(
                Session.begin(id, house.actor.account_id, b"d" * 32, b"key", device.address, device.user_agent, now)
            )
    async with house.work() as work:
        assert await work.sessions.get(id) is None
