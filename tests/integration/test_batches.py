"""The changes of several units are one statement, which does to each row what a statement of its own would do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from adapters.postgres.statement import locking
from adapters.postgres.unit_of_work.applied import PARTS_PER_STATEMENT, apply
from adapters.postgres.unit_of_work.changed import Change
from application.ports.unit_of_work import Stale
from application.tasks import TaskPatch
from domain.access import Role
from domain.channels import workspace_stream
from domain.ids import AccountId, MessageId, TaskId, WorkspaceId
from domain.rooms import Message
from domain.tasks import Task
from tests.contracts.house import eventually
from tests.integration.test_journal import Process, several_processes
from tests.integration.test_locks import BOTH_WAIT, PARTS
from tests.integration.test_statements import KEPT, nodes
from tests.support.builders import a_message, a_new_task, a_room, a_task, a_team, an_account, principal

WRITES_AND_GUARDS = {name: s for name, s in KEPT.items() if name.rpartition("._")[2].startswith((*PARTS, "ROOM_FOR"))}
# The number of a message follows that of the message before it.
LOCK = "SELECT FROM tasks WHERE id = $1 FOR UPDATE NOWAIT"
QUOTED = """{}'"\\"""
ONE_BY_ONE = {"adapters.postgres.rooms.repository._INSERT_MESSAGE"}


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[Process]:
    async with several_processes(database_url, 1) as (process,):
        yield process


async def edited(house: Process, id: TaskId, by: AccountId, **fields: object) -> Change:
    work: Any = house.work()
    task, _ = await work.tasks.get(id, by)
    task.edit(by, house.clock.now(), **fields)
    work.tasks.save(task)
    return await change_of(work)


async def added(house: Process, task: Task, by: AccountId) -> Change:
    work: Any = house.work()
    await work.access.standing(task.workspace_id, by)
    work.tasks.add(task)
    return await change_of(work)


async def change_of(work: Any) -> Change:
    change = await work.unit._change()
    assert isinstance(change, Change)
    await work.unit.release()
    return change


@asynccontextmanager
async def listened(house: Process) -> AsyncIterator[tuple[asyncpg.pool.PoolConnectionProxy, list[str]]]:
    """A connection, and what was executed on it."""
    said: list[str] = []
    async with house.container.database().connection() as connection:
        with connection.query_logger(lambda record: said.append(record.query)):
            yield connection, said
            await asyncio.sleep(0)  # asyncpg tells it a turn later


async def test_what_several_units_change_is_one_statement_and_each_gets_its_entries(house: Process) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    old = [await a_task(house, team.id, ada.id) for _ in range(4)]
    new = [
        a_new_task(house, team.id, ada.id, assignees=assignees, labels=labels, custom={"n": number})
        for number, (assignees, labels) in enumerate(
            [([], []), ([ada.id, bob.id], ["null", "a,b", "\"{}'\\"]), ([], ["x"]), ([bob.id], [])]
        )
    ]
    changes = [await edited(house, task.id, ada.id, title=f"No. {n}") for n, task in enumerate(old)]
    changes += [await added(house, task, ada.id) for task in new]
    async with listened(house) as (connection, said):
        applied = await apply(connection, changes)
    # Before its first arrays, a connection asks for what it has to know of their types.
    assert [query[:10] for query in said if "pg_type" not in query and "'jit'" not in query] == ["WITH part0"]
    entries = await house.entries(workspace_stream(team.id))
    assert [entry for of_change in applied for entry in of_change] == entries[-8:]
    assert [[entry.resource_id for entry in of_change] for of_change in applied] == [[t.id] for t in (*old, *new)]
    for number, task in enumerate(old):
        view = await house.tasks.read(principal(ada), task.id)
        assert (view.title, view.version) == (f"No. {number}", 2)
    for task in new:
        view = await house.tasks.read(principal(ada), task.id)
        assert (view.labels, view.assignees) == (task.labels, task.assignees)
        assert view.custom == task.custom


async def test_writes_that_have_to_see_each_other_are_made_one_after_the_other(house: Process) -> None:
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    await a_message(house, room.id, ada.id, "first")
    changes = []
    for text in ("second", "third"):
        work: Any = house.work()
        seat, workspace, playback = await work.rooms.seat(room.id, ada.id)
        now = house.clock.now()
        id = MessageId(house.ids.new())
        work.messages.add(Message.say(id, room.id, workspace, seat, text, playback.item_id, 0, now))
        changes.append(await change_of(work))
    async with listened(house) as (connection, said):
        await apply(connection, changes)
        numbers = await connection.fetch("SELECT text, number FROM messages ORDER BY number")
    assert [tuple(row) for row in numbers] == [("first", 1), ("second", 2), ("third", 3)]
    assert said[0].startswith("BEGIN")


@pytest.mark.parametrize("first_changes", [1, PARTS_PER_STATEMENT + 1])
async def test_of_two_changes_of_a_row_in_a_batch_none_is_applied(house: Process, first_changes: int) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    task = await a_task(house, mine, ada.id)
    before = await house.offsets(workspace_stream(mine))
    changes = [await added(house, a_new_task(house, mine, ada.id), ada.id) for _ in range(first_changes)]
    changes += [await edited(house, task.id, ada.id, title=title) for title in ("One", "Two")]
    async with listened(house) as (connection, said):
        with pytest.raises(Stale):
            await apply(connection, changes)
    assert said == []
    assert await house.offsets(workspace_stream(mine)) == before


async def test_nobody_acts_behind_the_end_of_their_membership_in_the_same_batch(house: Process) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    mine = await added(house, a_new_task(house, team.id, bob.id), bob.id)
    work: Any = house.work()
    workspace = await work.workspaces.get(team.id)
    workspace.remove(bob.id, ada.id, house.clock.now())
    work.workspaces.save(workspace)
    removed = await change_of(work)
    async with house.container.database().connection() as connection:
        with pytest.raises(Stale):
            await apply(connection, [removed, mine])
        await apply(connection, [mine, removed])
    types = [entry.type for entry in await house.entries(workspace_stream(team.id))]
    assert types == ["workspace.created", "member.added", "task.created", "member.removed"]


@pytest.mark.parametrize("outdated", range(3))
async def test_one_row_that_is_not_as_it_was_undoes_the_batch(house: Process, outdated: int) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    old = [await a_task(house, mine, ada.id) for _ in range(3)]
    changes = [await edited(house, task.id, ada.id, title="Lost") for task in old]
    await house.tasks.edit(principal(ada), old[outdated].id, TaskPatch(title="Faster"))
    async with house.container.database().connection() as connection:
        with pytest.raises(asyncpg.PostgresError, match="has changed"):
            await apply(connection, changes)
    titles = [(await house.tasks.read(principal(ada), task.id)).title for task in old]
    assert "Lost" not in titles
    assert await house.offsets(workspace_stream(mine)) == [1, 2, 3, 4, 5]


async def test_rows_are_locked_in_the_order_of_their_keys_whatever_the_plan(house: Process, database_url: str) -> None:
    ada = await an_account(house)
    ids = [(await a_task(house, WorkspaceId(ada.id), ada.id)).id for _ in range(3)]
    await house.tasks.edit(principal(ada), ids[0], TaskPatch(title="Now the last row of the table"))
    changes = [await edited(house, id, ada.id, title="Changed") for id in reversed(ids)]
    holder, other = [await asyncpg.connect(database_url) for _ in range(2)]
    async with house.container.database().connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_nestloop = off")
        async with holder.transaction():
            await holder.execute("UPDATE tasks SET words_rule = words_rule WHERE id = $1", ids[1])  # as a backfill does
            applying = asyncio.create_task(apply(connection, changes))
            await eventually(lambda: other.fetchval(BOTH_WAIT.replace("= 2", "= 1")))
            await other.execute(LOCK, ids[2])
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute(LOCK, ids[0])
        await applying
    await holder.close()
    await other.close()
    assert [(await house.tasks.read(principal(ada), id)).title for id in ids] == ["Changed"] * 3


@pytest.mark.parametrize("name", WRITES_AND_GUARDS)
def test_what_stands_beside_others_can_be_done_for_many_rows(name: str) -> None:
    assert bool(WRITES_AND_GUARDS[name].for_many) is (name not in ONE_BY_ONE)


async def test_rows_are_found_by_an_index_whatever_is_known_of_the_table(
    new_database: Callable[[], str],
) -> None:
    """Also while a table is still so small that nothing is known of it, because the plan is kept when it has grown."""
    connection = await asyncpg.connect(new_database())
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    found: dict[str, Sequence[str]] = {}
    texts = [(name, s.for_many) for name, s in WRITES_AND_GUARDS.items() if s.for_many]
    texts += [(s.table.name, locking(s.table)) for s in WRITES_AND_GUARDS.values() if s.table is not None]
    for name, text in texts:
        await connection.execute(f"PREPARE written AS {text}")
        count = await connection.fetchval(
            "SELECT array_length(parameter_types, 1) FROM pg_prepared_statements WHERE name = 'written'"
        )
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE written ({', '.join(['NULL'] * count)})")
        scans = [node["Node Type"] for node in nodes(msgspec.json.decode(plan)[0]["Plan"]) if "Relation Name" in node]
        found[name] = [scan for scan in scans if scan not in {"Index Scan", "Index Only Scan", "ModifyTable"}]
        await connection.execute("DEALLOCATE written")
    await connection.close()
    assert len(found) > 30
    # Of an invitation all others of the workspace are counted.
    assert {name for name, scans in found.items() if scans} <= {"adapters.postgres.workspaces._ROOM_FOR_INVITATION"}


async def test_a_batch_is_planned_once_whatever_its_size(house: Process) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    ids = [(await a_task(house, mine, ada.id)).id for _ in range(9)]
    async with house.container.database().connection() as connection:
        for size in (2, 9, 3, 2, 2, 2, 3, 2, 9, 2, 2):
            changes = [await edited(house, id, ada.id, title=str(uuid4())) for id in ids[:size]]
            await apply(connection, changes)
        plans = await connection.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements"
            " WHERE statement LIKE 'WITH part0%UPDATE tasks%'"
        )
    assert tuple(plans) == (6, 5)
