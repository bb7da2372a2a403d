"""Everybody locks in one order, so no two units of work wait for each other, whatever each of them saved first."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import asyncpg
import pytest

from adapters.postgres.tables import metadata
from application.ports.unit_of_work import Stale, retried
from application.tasks import TaskPatch
from domain.ids import TaskId, WorkspaceId
from tests.contracts.house import eventually
from tests.integration.test_database import furnished
from tests.integration.test_journal import DEADLINE_SECONDS, Process, several_processes
from tests.integration.test_statements import KEPT
from tests.support.builders import a_message, a_room, a_task, a_team, an_account, an_item, principal

# What stands beside others in a unit of work, and so has to know its place.
PARTS = ("INSERT", "UPDATE", "DELETE", "UPSERT", "MOVE", "STILL")

BOTH_WAIT = """
SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@asynccontextmanager
async def without_deadlock(new_database: Callable[[], str]) -> AsyncIterator[list[Process]]:
    """Two processes on a database of their own, in which PostgreSQL never found two that waited for each other."""
    database_url = new_database()
    async with asyncio.timeout(DEADLINE_SECONDS), several_processes(database_url) as processes:
        yield processes
    # A connection tells at its end what it has counted, and nobody else was ever in this database.
    connection = await asyncpg.connect(database_url)
    deadlocks = await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    await connection.close()
    assert deadlocks == 0


async def test_units_that_save_different_things_in_opposite_orders_never_lock_each_other_out(
    new_database: Callable[[], str],
) -> None:
    async with without_deadlock(new_database) as processes:
        ada = await an_account(processes[0])
        teams = [await a_team(processes[0], ada.id) for _ in range(2)]
        tasks = [await a_task(processes[0], team.id, ada.id) for team in teams]

        async def rename(number: int) -> None:
            process, name = processes[number], f"By {number}"
            with suppress(Stale):
                async with process.work() as work:
                    account = await work.accounts.get(ada.id)
                    found = [await work.workspaces.get(team.id) for team in teams]
                    rows = [(await work.tasks.get(task.id, ada.id))[0] for task in tasks]
                    now = process.clock.now()
                    account.change(now, name)
                    saves: list[Callable[[], None]] = [partial(work.accounts.save, account)]
                    for team, task in zip(found, rows, strict=True):
                        team.change(ada.id, now, name)
                        task.edit(ada.id, now, title=name)
                        saves += [partial(work.workspaces.save, team), partial(work.tasks.save, task)]
                    for save in saves[:: 1 if number else -1]:
                        save()

        # Both have begun to lock when one of them gets what both wait for.
        database_url = processes[0].container.settings().database_url
        blocker, watcher = [await asyncpg.connect(database_url) for _ in range(2)]
        async with blocker.transaction():
            await blocker.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", tasks[0].id)
            writing = [asyncio.create_task(rename(number)) for number in range(2)]
            await eventually(lambda: watcher.fetchval(BOTH_WAIT))
        await asyncio.gather(*writing)
        await blocker.close()
        await watcher.close()
        assert (await processes[0].tasks.read(principal(ada), tasks[0].id)).version == 2


async def test_what_is_committed_together_in_two_processes_never_locks_the_other_out(
    new_database: Callable[[], str],
) -> None:
    """Changes of one stream whose statements differ, so that equal ones do not stand beside each other."""
    async with without_deadlock(new_database) as processes:
        ada = await an_account(processes[0])
        mine, chance = WorkspaceId(ada.id), random.Random(7)
        ids = [(await a_task(processes[0], mine, ada.id)).id for _ in range(12)]

        async def write(process: Process, id: TaskId, text: str) -> None:
            patches = TaskPatch(text), TaskPatch(description=text), TaskPatch(text, text), TaskPatch(labels=[text])
            await process.tasks.edit(principal(ada), id, chance.choice(patches))

        for number in range(10):
            chosen = [(process, id) for process in processes for id in chance.sample(ids, len(ids))]
            await asyncio.gather(*(write(process, id, f"By {number}") for process, id in chosen))


GUARDS = [name for name in KEPT if name.rpartition("._")[2].startswith("STILL") or name.endswith(".STILL_MEMBER")]


async def test_guards_of_a_batch_hold_every_row_and_fail_if_one_is_not_there(new_database: Callable[[], str]) -> None:
    async with furnished(new_database()) as house:
        accounts = sorted([house.actor.account_id, *[(await an_account(house, name)).id for name in ("Bob", "Eve")]])
        guard, change = KEPT["adapters.postgres.access._STILL_ACTIVE"], "UPDATE accounts SET version = version"
        url = house.container.settings().database_url
        holder, other = [await asyncpg.connect(url, server_settings={"lock_timeout": "1"}) for _ in range(2)]
        async with holder.transaction():
            assert len(await holder.fetch(guard.for_many, accounts)) == 1
            for account in accounts:
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await other.execute(f"{change} WHERE id = $1", account)
        await other.execute(change)
        await other.execute("UPDATE accounts SET disabled_at = now() WHERE id = $1", accounts[1])
        with pytest.raises(asyncpg.PostgresError, match="has changed"):
            await holder.fetch(guard.for_many, accounts)
        await holder.close()
        await other.close()


async def test_every_guard_can_look_at_many_rows(new_database: Callable[[], str]) -> None:
    assert len(GUARDS) > 2
    async with furnished(new_database()) as house, house.container.database().connection() as connection:
        for name in GUARDS:
            one, many = [await connection.prepare(text) for text in (KEPT[name].text, KEPT[name].for_many)]
            names = [parameter.name.replace("varchar", "text") for parameter in one.get_parameters()]
            assert [parameter.name for parameter in many.get_parameters()] == [f"{name}[]" for name in names], name


async def test_what_is_said_sought_and_queued_in_one_room_never_locks_another_process_out(
    new_database: Callable[[], str],
) -> None:
    """Messages and queues look at the room that commands write to, and all of them at those who are in it."""
    async with without_deadlock(new_database) as processes:
        ada, bob = await an_account(processes[0]), await an_account(processes[0], "Bob")
        room = await a_room(processes[0], ada.id, bob.id)
        people = [who.id for who in room.participants.values()]

        @retried
        async def mute(process: Process, number: int) -> None:
            async with process.work() as work:
                there, queue = await work.rooms.get(room.id), await work.queues.get(room.id)
                there.change_participant(people[1], ada.id, process.clock.now(), muted=number % 2 == 0)
                queue.add(there.seat(ada.id), [an_item(process, ada.id)], process.clock.now())
                work.queues.save(queue)
                work.rooms.save(there)

        @retried
        async def say(process: Process, number: int) -> None:
            await a_message(process, room.id, ada.id, f"{number}")

        @retried
        async def add(process: Process, number: int) -> None:
            async with process.work() as work:
                seat, *_ = await work.rooms.seat(room.id, ada.id)
                queue = await work.queues.get(room.id)
                queue.add(seat, [an_item(process, ada.id)], process.clock.now())
                work.queues.save(queue)

        for number in range(8):
            await asyncio.gather(*(do(process, number) for do in (mute, say, add, say) for process in processes))
        snapshot = await processes[0].container.room_queries().snapshot(room.id, ada.id)
        assert (len(snapshot.messages), len(snapshot.queue.items)) == (32, 32)


@pytest.mark.parametrize("name", [name for name in KEPT if name.rpartition("._")[2].startswith(PARTS)])
def test_what_stands_beside_others_knows_its_table_and_the_key_of_its_row(name: str) -> None:
    statement = KEPT[name]
    assert statement.table is not None
    assert len(statement.key) == len(statement.table.primary_key)


def test_a_row_comes_behind_those_that_it_refers_to() -> None:
    by_table = {s.table: s for s in KEPT.values() if s.table is not None and s.key}
    assert len(by_table) > 5
    for table, statement in by_table.items():
        for key in table.foreign_keys:
            if (parent := by_table.get(key.column.table)) and parent is not statement:
                place, before = (each.part(dict.fromkeys(each.names)).place for each in (statement, parent))
                assert before < place
    quiet = {"address_requests", "cursors", "digests", "export_pieces", "mailed_links", "mails", "rounds"}
    assert {table.name for table in metadata.tables.values() if table.info} == quiet
