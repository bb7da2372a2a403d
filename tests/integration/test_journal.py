"""The journal in PostgreSQL under many writers: gapless, in the order of the commits, all or nothing."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from dependency_injector import providers
from msgspec.structs import replace

from adapters.memory.events import MemoryBroker
from adapters.memory.system import MovableClock, SequentialIds
from adapters.postgres.unit_of_work.applied import PARTS_PER_STATEMENT
from application.ports.events import Entry, Signal
from application.ports.idempotency import Answer
from application.ports.unit_of_work import OutcomeUnknown, Stale
from application.tasks import Bulk, BulkUpdate, NewTask, TaskPatch
from application.workspaces import RoleChange
from domain.access import Role
from domain.channels import account_stream, workspace_stream
from domain.errors import DomainError, Forbidden, NotFound, Unavailable
from domain.identity import Account
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Task
from domain.workspaces import Workspace
from entrypoints.container import assembled, offline
from tests.support.builders import a_new_task, a_task, a_team, an_account, principal
from tests.support.promised import stretched

DEADLINE_SECONDS = 20.0
MANY = 2 * PARTS_PER_STATEMENT + 5


class Broken(Exception):
    """What a test raises inside a unit of work."""


class Process:
    """What one process has on the database: its connections, its commits, and the hints it gave."""

    def __init__(self, database_url: str, ids: SequentialIds) -> None:
        self.hints: list[Entry | Signal] = []
        self.broker = MemoryBroker()
        self.broker.listen(self.hints.append, lambda: None)
        self.container = assembled(
            settings=replace(offline(), database_url=database_url, database_pool_size=12),
            ids=providers.Object(ids),
            clock=providers.Singleton(MovableClock),
            broker=providers.Object(self.broker),
        )
        self.work, self.clock, self.ids = self.container.work(), self.container.clock(), ids
        self.journal, self.idempotency = self.container.journal(), self.container.idempotency()
        self.tasks, self.workspaces = self.container.tasks(), self.container.workspaces()

    async def offsets(self, stream: str) -> list[int]:
        return [entry.offset for entry in await self.entries(stream)]

    async def entries(self, stream: str) -> Sequence[Entry]:
        return await self.journal.read(stream, 0, 100_000)


@asynccontextmanager
async def several_processes(database_url: str, count: int = 2) -> AsyncIterator[list[Process]]:
    """So many processes on one database, which have let go of it at the end."""
    ids = SequentialIds()
    processes = [Process(database_url, ids) for _ in range(count)]
    for process in processes:
        await process.container.database().open()
        await process.container.numbers_database().open()
    yield processes
    for process in processes:
        await process.container.numbers_database().close()
        await process.container.database().close()


@pytest_asyncio.fixture
async def processes(database_url: str) -> AsyncIterator[list[Process]]:
    """Two processes on one database."""
    async with several_processes(database_url) as processes:
        yield processes


@pytest.fixture
def process(processes: list[Process]) -> Process:
    return processes[0]


@asynccontextmanager
async def polled(processes: Iterable[Process], streams: Sequence[str]) -> AsyncIterator[None]:
    """Readers that look at every stream all the time, and fail if an entry is ever readable before those below it."""
    done = False

    async def poll(process: Process, stream: str) -> None:
        position = 0
        while True:
            finished = done
            head = (await process.journal.heads([stream]))[stream]
            entries = await process.journal.read(stream, position, 7)
            assert [entry.offset for entry in entries] == list(range(position + 1, position + 1 + len(entries)))
            position += len(entries)
            assert position >= head or len(entries) == 7, "a head that cannot be read"
            if finished and not entries:
                return

    async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as group:
        for process in processes:
            for stream in streams:
                group.create_task(poll(process, stream))
        yield
        done = True


async def test_twenty_writers_on_one_stream_leave_no_hole_and_no_disorder(processes: list[Process]) -> None:
    ada = await an_account(processes[0])
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))

    async def write(number: int) -> int:
        process, written = processes[number % 2], 0
        for round in range(15):
            count = MANY if (number + round) % 11 == 0 else 1 + round % 3
            with suppress(Broken):
                async with process.work() as work:
                    for _ in range(count):
                        work.tasks.add(a_new_task(process, mine, ada.id))
                    if (number + round) % 5 == 0:
                        raise Broken
                written += count
        return written

    async with polled(processes, [stream]):
        written = await asyncio.gather(*(write(number) for number in range(20)))
    entries = await processes[0].entries(stream)
    assert [entry.offset for entry in entries] == list(range(1, 2 + sum(written)))
    assert len({entry.resource_id for entry in entries}) == 1 + sum(written)


async def test_writers_on_several_streams_in_opposite_orders_never_block_each_other(processes: list[Process]) -> None:
    ada = await an_account(processes[0])
    teams = [await a_team(processes[0], ada.id) for _ in range(4)]
    streams = [workspace_stream(team.id) for team in teams]
    chance = random.Random(7)

    async def write(number: int) -> None:
        process = processes[number % 2]
        for _ in range(12):
            chosen = chance.sample(teams, chance.randint(1, len(teams)))
            async with process.work() as work:
                for team in chosen * (4 if number % 7 == 0 else 1):
                    work.tasks.add(a_new_task(process, team.id, ada.id))

    async with polled(processes, streams):
        # Neither a deadlock, which would be Stale, nor a wait for a lock that is too long, which would be Unavailable.
        await asyncio.gather(*(write(number) for number in range(20)))
    heads = await processes[0].journal.heads(streams)
    for stream in streams:
        assert await processes[1].offsets(stream) == list(range(1, heads[stream] + 1))


async def test_a_unit_over_several_streams_stands_in_all_of_them_or_in_none(process: Process) -> None:
    ada, bob = await an_account(process), await an_account(process, "Bob")
    team = await a_team(process, ada.id)
    streams = [workspace_stream(team.id), account_stream(bob.id), workspace_stream(WorkspaceId(bob.id))]
    before = await process.journal.heads(streams)
    for fails in (True, False):
        with suppress(Broken):
            async with process.work() as work:
                found = await work.workspaces.get(team.id)
                found.admit(bob.id, Role.MEMBER, ada.id, process.clock.now())
                work.workspaces.save(found)
                work.tasks.add(a_new_task(process, WorkspaceId(bob.id), bob.id))
                if fails:
                    raise Broken
        after = await process.journal.heads(streams)
        assert after == {stream: head + (not fails) for stream, head in before.items()}


@pytest.mark.parametrize("tasks", [3, MANY])
@pytest.mark.parametrize("flaw", ["version", "constraint", "membership"])
async def test_whatever_is_wrong_with_a_unit_nothing_of_it_is_left(process: Process, tasks: int, flaw: str) -> None:
    ada, bob = await an_account(process), await an_account(process, "Bob")
    team = await a_team(process, ada.id, {bob.id: Role.MEMBER})
    old, new = await a_task(process, team.id, ada.id), [a_new_task(process, team.id, bob.id) for _ in range(tasks)]
    with pytest.raises((Stale, DomainError)) as refused:
        async with process.work() as work:
            await work.access.standing(team.id, bob.id)
            found, _ = await work.tasks.get(old.id, ada.id)
            found.edit(ada.id, process.clock.now(), title="Lost")
            for task in new:
                work.tasks.add(task)
            work.tasks.save(found)
            if flaw == "version":
                await process.tasks.edit(principal(ada), old.id, TaskPatch(title="Faster"))
            elif flaw == "membership":
                await process.workspaces.remove(principal(ada), team.id, bob.id)
            else:
                work.accounts.add(twin_of(process, ada))
    assert isinstance(refused.value, DomainError if flaw == "constraint" else Stale)
    kept = await process.tasks.read(principal(ada), old.id)
    assert kept.title == ("Faster" if flaw == "version" else old.title)
    for task in new:
        with pytest.raises(NotFound):
            await process.tasks.read(principal(ada), task.id)
    types = [entry.type for entry in await process.entries(workspace_stream(team.id))]
    news = {"version": ["task.updated"], "constraint": [], "membership": ["member.removed"]}[flaw]
    assert types == ["workspace.created", "member.added", "task.created", *news]


def twin_of(process: Process, account: Account) -> Account:
    return Account.register(AccountId(uuid4()), str(account.email), "Twin", "a hash", process.clock.now())


@asynccontextmanager
async def held_up(database_url: str, stream: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else holds the lock that every writer of a stream needs; there is one more connection to look around."""
    holding, looking = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    try:
        async with holding.transaction():
            await holding.execute("SELECT FROM streams WHERE name = $1 FOR UPDATE", stream)
            yield looking
    finally:
        await holding.close()
        await looking.close()


@pytest.mark.parametrize("writers", [1, 12])
async def test_units_whose_connection_breaks_leave_nothing(process: Process, database_url: str, writers: int) -> None:
    ada = await an_account(process)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))

    async def write() -> None:
        async with process.work() as work:
            for _ in range(MANY):
                work.tasks.add(a_new_task(process, mine, ada.id))

    async with held_up(database_url, stream) as other, asyncio.timeout(DEADLINE_SECONDS):
        writing = [asyncio.create_task(write()) for _ in range(writers)]
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not all(task.done() for task in writing):
            await other.execute(cut)
            await asyncio.sleep(0.005)
        outcomes = await asyncio.gather(*writing, return_exceptions=True)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes
    assert await process.offsets(stream) == [1]
    await a_task(process, mine, ada.id)
    assert await process.offsets(stream) == [1, 2]


async def test_a_stream_that_is_held_up_holds_up_no_other(process: Process, database_url: str) -> None:
    ada, bob = await an_account(process), await an_account(process, "Bob")
    async with held_up(database_url, workspace_stream(WorkspaceId(ada.id))):
        writing = asyncio.create_task(a_task(process, WorkspaceId(ada.id), ada.id))
        async with asyncio.timeout(stretched(1)):
            await a_task(process, WorkspaceId(bob.id), bob.id)
        with pytest.raises(Unavailable):
            await writing
    assert await process.offsets(workspace_stream(WorkspaceId(ada.id))) == [1]


async def test_everybody_who_waits_for_a_stream_is_told_soon(process: Process, database_url: str) -> None:
    ada = await an_account(process)
    await asyncio.gather(*(a_task(process, WorkspaceId(ada.id), ada.id) for _ in range(12)))  # opens the connections
    async with held_up(database_url, workspace_stream(WorkspaceId(ada.id))), asyncio.timeout(stretched(7)):
        writing = [a_task(process, WorkspaceId(ada.id), ada.id) for _ in range(3)]
        outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes


async def test_a_writer_that_gives_up_while_it_waits_harms_nobody(processes: list[Process]) -> None:
    ada = await an_account(processes[0])
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    chance = random.Random(11)

    async def write(process: Process) -> Task:
        return await a_task(process, mine, ada.id)

    acknowledged: list[Task] = []
    async with polled(processes, [stream]):
        for _ in range(8):
            writing = [asyncio.create_task(write(processes[number % 2])) for number in range(16)]
            for task in chance.sample(writing, 6):
                for _turn in range(chance.randint(0, 12)):
                    await asyncio.sleep(0)
                task.cancel()
            outcomes = await asyncio.gather(*writing, return_exceptions=True)
            acknowledged += [outcome for outcome in outcomes if isinstance(outcome, Task)]
            # Who gives up in the middle of a commit does not learn whether it happened.
            expected = Task | asyncio.CancelledError | OutcomeUnknown
            assert all(isinstance(outcome, expected) for outcome in outcomes), outcomes
    entries = await processes[0].entries(stream)
    assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
    written = [entry.resource_id for entry in entries]
    assert len(acknowledged) >= 80
    assert all(written.count(task.id) == 1 for task in acknowledged)
    assert len(set(written)) == len(written)


@pytest.mark.parametrize("end", ["removal", "demotion"])
async def test_no_write_commits_after_the_right_to_it_has_ended(processes: list[Process], end: str) -> None:
    ada, bob = await an_account(processes[0]), await an_account(processes[0], "Bob")
    for round in range(4):
        team = await a_team(processes[0], ada.id, {bob.id: Role.MEMBER})
        acknowledged, refused = await race_with_the_end(processes, team, ada, bob, end, begin_after=round * 10)
        entries = await processes[0].entries(workspace_stream(team.id))
        (over,) = (e.offset for e in entries if e.type in {"member.removed", "member.role_changed"})
        created = {e.resource_id: e.offset for e in entries if e.type == "task.created"}
        assert created.keys() == set(acknowledged)
        assert all(offset < over for offset in created.values())
        assert all(isinstance(error, NotFound if end == "removal" else Forbidden) for error in refused)
        assert len(acknowledged) + len(refused) == 50


async def race_with_the_end(
    processes: list[Process], team: Workspace, ada: Account, bob: Account, end: str, begin_after: int
) -> tuple[list[object], list[BaseException]]:
    """Fifty writers, and the end of their right: the ids of what was acknowledged, and the refusals."""

    async def write(number: int) -> object:
        tasks = processes[number % 2].tasks
        return (await tasks.open(principal(bob), NewTask("Quick", workspace_id=team.id))).id

    writing = [asyncio.create_task(write(number)) for number in range(50)]
    while sum(task.done() for task in writing) < begin_after:
        await asyncio.sleep(0)
    workspaces = processes[0].workspaces
    if end == "removal":
        await workspaces.remove(principal(ada), team.id, bob.id)
    else:
        await workspaces.change_role(principal(ada), team.id, bob.id, RoleChange(Role.VIEWER))
    outcomes = await asyncio.gather(*writing, return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)], errors


async def test_nobody_is_assigned_after_they_have_left(processes: list[Process]) -> None:
    ada, bob = await an_account(processes[0]), await an_account(processes[0], "Bob")
    team = await a_team(processes[0], ada.id, {bob.id: Role.MEMBER})
    tasks = [await a_task(processes[0], team.id, ada.id) for _ in range(20)]

    async def assign(process: Process, task: Task) -> None:
        await process.tasks.assign(principal(ada), task.id, bob.id)

    writing = [asyncio.create_task(assign(processes[number % 2], task)) for number, task in enumerate(tasks)]
    while not any(task.done() for task in writing):
        await asyncio.sleep(0)
    await processes[1].workspaces.remove(principal(ada), team.id, bob.id)
    await asyncio.gather(*writing, return_exceptions=True)
    types = [entry.type for entry in await processes[0].entries(workspace_stream(team.id))]
    assert "task.assigned" not in types[types.index("member.removed") :]


async def test_bulks_over_the_same_tasks_in_opposite_orders_all_come_through(processes: list[Process]) -> None:
    ada = await an_account(processes[0])
    tasks = [await a_task(processes[0], WorkspaceId(ada.id), ada.id) for _ in range(MANY)]

    async def rename(number: int) -> None:
        ordered = tasks if number % 2 else tasks[::-1]
        bulk = Bulk([BulkUpdate(task.id, TaskPatch(title=f"By {number}")) for task in ordered])
        await processes[number % 2].tasks.bulk(principal(ada), bulk)

    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.gather(*(rename(number) for number in range(4)))
    shown = [await processes[0].tasks.read(principal(ada), TaskId(task.id)) for task in tasks]
    assert len({task.title for task in shown}) == 1
    assert {task.version for task in shown} == {5}


# As many as one statement takes, whose parts are locked in their order too, and as many as make several.
@pytest.mark.parametrize("count", [PARTS_PER_STATEMENT - 1, 2 * MANY])
async def test_units_that_save_the_same_tasks_in_opposite_orders_never_lock_each_other_out(
    new_database: Callable[[], str], count: int
) -> None:
    database_url = new_database()
    async with several_processes(database_url) as processes:
        ada = await an_account(processes[0])
        ids = [(await a_task(processes[0], WorkspaceId(ada.id), ada.id)).id for _ in range(count)]

        async def rename(number: int, round: int, loaded: asyncio.Barrier) -> None:
            with suppress(Stale):
                async with processes[number].work() as work:
                    found = await work.tasks.get_many(ids, ada.id)
                    # From a place of its own on, forwards or backwards.
                    for id in (ids[round:] + ids[:round])[:: 1 if number else -1]:
                        found[id][0].edit(ada.id, processes[0].clock.now(), title=f"By {number} in {round}")
                        work.tasks.save(found[id][0])
                    await loaded.wait()

        for round in range(20):
            loaded = asyncio.Barrier(2)
            await asyncio.gather(*(rename(number, round, loaded) for number in range(2)))
        assert {(await processes[0].tasks.read(principal(ada), id)).version for id in ids} == {21}
    # A connection tells at its end what it has counted, and nobody else was ever in this database.
    connection = await asyncpg.connect(database_url)
    deadlocks = await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    await connection.close()
    assert deadlocks == 0


@pytest.mark.parametrize("tasks", [[1], [2, 1], [MANY], [1, MANY, 1]])
async def test_under_a_key_hints_come_once_everything_is_committed(processes: list[Process], tasks: list[int]) -> None:
    """Units of work with so many new tasks each in one request: one that fails, one without an answer, a good one."""
    inside, outside = processes
    ada = await an_account(inside)
    stream = workspace_stream(WorkspaceId(ada.id))
    inside.broker.follow(stream)
    for fails, answers in ((True, True), (False, False), (False, True)):
        assert (await outside.offsets(stream), inside.hints) == ([1], [])
        with suppress(Broken):
            async with inside.idempotency.attempt(ada.id, uuid4().hex, b"f" * 32) as attempt:
                for count in tasks:
                    async with inside.work() as work:
                        for _ in range(count):
                            work.tasks.add(a_new_task(inside, WorkspaceId(ada.id), ada.id))
                if answers:
                    attempt.record(Answer(201, (), b"{}"))
                assert (await outside.offsets(stream), inside.hints) == ([1], [])
                if fails:
                    raise Broken
    assert await outside.offsets(stream) == list(range(1, 2 + sum(tasks)))
    assert inside.hints == list(await outside.entries(stream))[1:]


async def test_under_a_key_what_is_tried_again_happens_once(processes: list[Process]) -> None:
    ada = await an_account(processes[0])
    inside, outside = processes
    task = await a_task(inside, WorkspaceId(ada.id), ada.id)
    async with inside.idempotency.attempt(ada.id, "a key", b"f" * 32) as attempt:
        await inside.tasks.open(principal(ada), NewTask("First"))
        with pytest.raises(Stale):
            async with inside.work() as work:
                found, _ = await work.tasks.get(task.id, ada.id)
                found.edit(ada.id, inside.clock.now(), title="Overtaken")
                work.tasks.save(found)
                work.tasks.add(a_new_task(inside, WorkspaceId(ada.id), ada.id))
                raise Stale
        await inside.tasks.edit(principal(ada), task.id, TaskPatch(title="Second"))
        attempt.record(Answer(200, (), b"{}"))
    types = [entry.type for entry in await outside.entries(workspace_stream(WorkspaceId(ada.id)))]
    assert types == ["workspace.created", "task.created", "task.created", "task.updated"]
