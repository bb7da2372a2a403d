"""Lists through a cache are the lists without one, for everybody, whatever is written on whichever process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from dependency_injector import providers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.cached.tasks import CachedTaskQueries
from adapters.memory.cache import MemoryCache
from adapters.memory.database import MemoryDatabase
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock, SequentialIds
from application.paging import Page
from application.ports.tasks import CommentView, TaskFilter, TaskQueries, TaskView
from application.principal import Principal
from application.tasks import NewComment, NewTask, TaskPatch
from application.workspaces import RoleChange
from domain.access import Role
from domain.errors import DomainError, NotFound
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Priority, Status
from domain.workspaces import Workspace
from entrypoints.container import Container, assembled, in_memory, offline
from entrypoints.lifetimes import furnished
from tests.contracts.house import House, eventually
from tests.support.builders import a_comment, a_task, a_team, an_account, principal

PEOPLE = ("owner", "admin", "member", "viewer", "stranger")


@dataclass(frozen=True, slots=True)
class Processes:
    """Two processes on one store; each has a cache of its own, and they share another where there is one."""

    both: tuple[Container, Container]

    @property
    def clock(self) -> MovableClock:
        return self.both[0].clock()  # type: ignore[return-value]

    @property
    def ids(self) -> Any:
        return self.both[0].ids()

    def work(self) -> Any:
        return self.both[0].work()()


@pytest_asyncio.fixture
async def postgres_and_redis_processes(database_url: str, redis_url: str) -> AsyncIterator[Processes]:
    given = msgspec.structs.replace(offline(), database_url=database_url, redis_url=redis_url, database_pool_size=5)
    clock, ids = providers.Object(MovableClock()), providers.Object(SequentialIds())
    one, other = (
        assembled(settings=providers.Object(given), clock=clock, ids=ids, observer=providers.Singleton(MemoryObserver))
        for _ in range(2)
    )
    async with furnished(one), furnished(other):
        yield Processes((one, other))


# --------------------------------------------------------------------------------------------- whatever is written


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody does something by way of one process, while everybody reads a list by way of both."""

    deed: str
    who: str
    whom: str
    process: int
    task: int
    wanted: TaskFilter
    sort: str
    limit: int


DEEDS = (
    *("open", "open", "edit", "finish", "claim", "watch", "comment", "archive", "unarchive", "delete", "restore"),
    *("admit", "remove", "change role", "rename", "nothing"),
)
FILTERS = st.sampled_from(
    [
        TaskFilter(),
        TaskFilter(),
        TaskFilter(status=(Status.TODO,)),
        TaskFilter(priority=(Priority.HIGH, Priority.NONE)),
        TaskFilter(unassigned=True),
        TaskFilter(label="a\n label"),
        TaskFilter(archived=None),
        TaskFilter(archived=True),
        TaskFilter(words=("plan",)),
        TaskFilter(open_only=True),
    ]
)
STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(DEEDS),
        st.sampled_from(PEOPLE),
        st.sampled_from(PEOPLE),
        st.integers(0, 1),
        st.integers(0, 5),
        FILTERS,
        st.sampled_from(["-created_at", "priority"]),
        st.sampled_from([1, 2, 50]),
    ),
    min_size=5,
    max_size=30,
)


class Team:
    """A team whose tasks are read and written, and who is in it."""

    def __init__(self, processes: Processes, team: Workspace, people: dict[str, Principal]) -> None:
        self._processes = processes
        self._team = team
        self._people = people
        self._tasks: list[TaskId] = []
        self._nowhere = TaskId(processes.ids.new())

    @classmethod
    async def gather(cls, processes: Processes) -> "Team":
        people = {name: principal(await an_account(processes, name)) for name in PEOPLE}
        members = {people[role.value].account_id: role for role in Role if role is not Role.OWNER}
        return cls(processes, await a_team(processes, people["owner"].account_id, members), people)

    async def do(self, step: Step) -> None:
        """Check that everybody reads what is there before, after and, one or the other, during a deed."""
        before = await self._read_by_all(step, "stored_task_queries")
        assert await self._read_by_all(step, "task_queries") == before
        during, _ = await asyncio.gather(self._read_by_all(step, "task_queries"), self._write(step))
        after = await self._read_by_all(step, "stored_task_queries")
        assert all(read in (then, now) for read, then, now in zip(during, before, after, strict=True))
        assert await self._read_by_all(step, "task_queries") == after

    async def _read_by_all(self, step: Step, port: str) -> list[Any]:
        queries = [getattr(process, port)() for process in self._processes.both]
        lists = [asked for q in queries for who in PEOPLE for asked in self._lists(q, who, step)]
        return list(await asyncio.gather(*map(self._read, lists)))

    def _lists(self, queries: TaskQueries, who: str, step: Step) -> list[Awaitable[Page[Any]]]:
        """Tasks, and the comments of one of them."""
        by = self._people[who].account_id
        return [
            queries.page(self._team.id, by, step.wanted, step.sort, None, step.limit),
            queries.comments(self._task(step), by, None, step.limit),
        ]

    async def _read(self, reading: Awaitable[Page[Any]]) -> object:
        try:
            page = await reading
        except NotFound:
            return NotFound
        return list(page.data), page.next_cursor

    def _task(self, step: Step) -> TaskId:
        """One of those that were opened, or one that is nowhere."""
        return self._tasks[step.task % len(self._tasks)] if self._tasks else self._nowhere

    async def _write(self, step: Step) -> None:
        process = self._processes.both[step.process]
        tasks, who, whom = process.tasks(), self._people[step.who], self._people[step.whom]
        task = self._task(step)
        deeds: dict[str, Callable[[], Awaitable[object]]] = {
            "open": lambda: tasks.open(who, NewTask("Plan", workspace_id=self._team.id, labels=["a\n label"])),
            "edit": lambda: tasks.edit(who, task, TaskPatch(priority=Priority.HIGH, description=str(step))),
            "finish": lambda: tasks.edit(who, task, TaskPatch(status=Status.DONE)),
            "claim": lambda: tasks.claim(who, task),
            "watch": lambda: tasks.watch(who, task),
            "comment": lambda: tasks.comment(who, task, NewComment("Looks good.")),
            "archive": lambda: tasks.archive(who, task),
            "unarchive": lambda: tasks.unarchive(who, task),
            "delete": lambda: tasks.delete(who, task),
            "restore": lambda: tasks.restore(who, task),
            "admit": lambda: self._admit(whom),
            "remove": lambda: process.workspaces().remove(who, self._team.id, whom.account_id),
            "change role": lambda: process.workspaces().change_role(
                who, self._team.id, whom.account_id, RoleChange(Role.VIEWER)
            ),
            "rename": lambda: self._rename(who, str(step.task)),
            "nothing": lambda: asyncio.sleep(0),
        }
        try:
            made = await deeds[step.deed]()
        except DomainError:  # not everybody may do everything, which is for others to test
            return
        if isinstance(made, TaskView) and step.deed == "open":
            self._tasks.append(TaskId(made.id))

    async def _admit(self, whom: Principal) -> None:
        async with self._processes.work() as work:
            team = await work.workspaces.get(self._team.id)
            team.admit(whom.account_id, Role.MEMBER, None, self._processes.clock.now())
            work.workspaces.save(team)

    async def _rename(self, who: Principal, name: str) -> None:
        async with self._processes.work() as work:
            team = await work.workspaces.get(self._team.id)
            team.change(who.account_id, self._processes.clock.now(), name=name)
            work.workspaces.save(team)


@given(steps=STEPS)
@settings(max_examples=60, derandomize=True, deadline=None)
async def test_in_memory_everybody_reads_what_they_would_read_without_a_cache(steps: list[Step]) -> None:
    database, ids = providers.Object(MemoryDatabase(MovableClock())), providers.Object(SequentialIds())
    team = await Team.gather(Processes((in_memory(database=database, ids=ids), in_memory(database=database, ids=ids))))
    for step in steps:
        await team.do(step)


@given(steps=STEPS)
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_on_postgresql_and_redis_everybody_reads_what_they_would_read_without_a_cache(
    postgres_and_redis_processes: Processes, steps: list[Step]
) -> None:
    team = await Team.gather(postgres_and_redis_processes)
    for step in steps:
        await team.do(step)


# ------------------------------------------------------------------------------------------------ one thing at a time


class Watched(TaskQueries):
    """Lists whose reading is counted, and waits until it is `open`."""

    def __init__(self, inner: TaskQueries) -> None:
        self._inner = inner
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        return await self._inner.view(id, by)

    async def page(
        self, workspace: WorkspaceId, by: AccountId, wanted: TaskFilter, sort: str, cursor: str | None, limit: int
    ) -> Page[TaskView]:
        self.reads += 1
        await self.open.wait()
        return await self._inner.page(workspace, by, wanted, sort, cursor, limit)

    async def comments(self, task: TaskId, by: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        self.reads += 1
        await self.open.wait()
        return await self._inner.comments(task, by, cursor, limit)

    async def of_person(self, account: AccountId, deleted: bool, cursor: str | None, limit: int) -> Page[TaskView]:
        return await self._inner.of_person(account, deleted, cursor, limit)

    async def comments_of_person(self, account: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        return await self._inner.comments_of_person(account, cursor, limit)


@pytest.fixture
def watched(house: House) -> Watched:
    return Watched(house.task_queries)


@pytest.fixture
def cached(house: House, watched: Watched) -> CachedTaskQueries:
    cache = MemoryCache(10_000_000, house.clock, MemoryObserver())
    return CachedTaskQueries(watched, house.access_queries, cache)


async def first_page(queries: TaskQueries, team: Workspace, by: AccountId, **wanted: Any) -> Page[TaskView]:
    return await queries.page(team.id, by, TaskFilter(**wanted), "-created_at", None, 2)


async def test_a_list_is_read_once_for_all_members_until_something_changes(
    house: House, watched: Watched, cached: CachedTaskQueries
) -> None:
    ada, bob = [await an_account(house, name) for name in ("Ada", "Bob")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    for number in range(3):
        await a_task(house, team.id, ada.id, title=f"Task {number}")
    pages = [await first_page(cached, team, by) for by in (ada.id, bob.id, ada.id)]
    assert watched.reads == 1
    plain = await first_page(house.task_queries, team, ada.id)
    for page in pages:
        assert list(page.data) == list(plain.data)
        assert (len(page.data), page.data[0], page.data[1:]) == (2, plain.data[0], plain.data[1:])
        assert page.next_cursor == plain.next_cursor
    assert len({page.version for page in pages}) == 1
    task = await a_task(house, team.id, ada.id, title="New")
    changed = await first_page(cached, team, bob.id)
    assert changed.data[0].id == task.id
    assert watched.reads == 2
    assert changed.version != pages[0].version


async def test_comments_are_read_once_for_all_members_until_something_changes(
    house: House, watched: Watched, cached: CachedTaskQueries
) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    task, other = [await a_task(house, team.id, ada.id) for _ in range(2)]
    for _ in range(3):
        await a_comment(house, task.id, ada.id)
    pages = [await cached.comments(task.id, by, None, 2) for by in (ada.id, bob.id, ada.id)]
    assert watched.reads == 1
    plain = await house.task_queries.comments(task.id, ada.id, None, 2)
    for page in pages:
        assert (list(page.data), page.next_cursor) == (list(plain.data), plain.next_cursor)
    assert len({page.version for page in pages}) == 1
    assert (await cached.comments(other.id, ada.id, None, 2)).version != pages[0].version
    with pytest.raises(NotFound):
        await cached.comments(task.id, eve.id, None, 2)

    reads = watched.reads
    later = await cached.comments(task.id, ada.id, plain.next_cursor, 2)
    assert (len(later.data), later.version, watched.reads) == (1, None, reads + 1)
    await a_comment(house, task.id, ada.id)
    changed = await cached.comments(task.id, bob.id, None, 4)
    assert (len(changed.data), watched.reads) == (4, reads + 2)


async def test_lists_of_different_queries_and_workspaces_have_different_versions(
    house: House, cached: CachedTaskQueries
) -> None:
    ada, bob = [await an_account(house, name) for name in ("Ada", "Bob")]
    team = await a_team(house, ada.id)
    mine, his = (WorkspaceId(account.id) for account in (ada, bob))
    everything = TaskFilter()
    pages = [
        await cached.page(team.id, ada.id, everything, "-created_at", None, 50),
        await cached.page(team.id, ada.id, everything, "created_at", None, 50),
        await cached.page(team.id, ada.id, everything, "-created_at", None, 49),
        await cached.page(team.id, ada.id, TaskFilter(assignee=ada.id), "-created_at", None, 50),
        await cached.page(team.id, ada.id, TaskFilter(assignee=bob.id), "-created_at", None, 50),
        await cached.page(mine, ada.id, everything, "-created_at", None, 50),
        await cached.page(his, bob.id, everything, "-created_at", None, 50),
    ]
    versions = {page.version for page in pages}
    assert len(versions) == len(pages)
    assert None not in versions


async def test_what_nobody_asks_for_twice_is_not_kept(
    house: House, watched: Watched, cached: CachedTaskQueries
) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    for _ in range(3):
        await a_task(house, team.id, ada.id)
    cursor = (await first_page(cached, team, ada.id)).next_cursor
    for wanted, place in (
        (TaskFilter(words=("plan",)), None),
        (TaskFilter(open_only=True, due_before=house.clock.now()), None),
        (TaskFilter(), cursor),
    ):
        before = watched.reads
        for _ in range(2):
            page = await cached.page(team.id, ada.id, wanted, "-created_at", place, 2)
            assert page.version is None
        assert watched.reads == before + 2


async def test_a_list_that_was_changed_while_it_was_read_is_not_kept(
    house: House, watched: Watched, cached: CachedTaskQueries
) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    watched.open.clear()
    readers = [asyncio.create_task(first_page(cached, team, ada.id)) for _ in range(3)]
    await eventually(lambda: watched.reads == 1)
    task = await a_task(house, team.id, ada.id)
    watched.open.set()
    for page in await asyncio.gather(*readers):
        assert [view.id for view in page.data] == [task.id]
        assert page.version is None
    before = watched.reads
    assert (await first_page(cached, team, ada.id)).version is not None
    assert watched.reads == before + 1


async def test_who_loses_the_membership_while_reading_for_others_leaves_them_their_list(
    house: House, watched: Watched, cached: CachedTaskQueries
) -> None:
    ada, bob = [await an_account(house, name) for name in ("Ada", "Bob")]
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    task = await a_task(house, team.id, ada.id)
    watched.open.clear()
    loser = asyncio.create_task(first_page(cached, team, bob.id))
    await eventually(lambda: watched.reads == 1)
    other = asyncio.create_task(first_page(cached, team, ada.id))
    async with house.work() as work:
        found = await work.workspaces.get(team.id)
        found.remove(bob.id, ada.id, house.clock.now())
        work.workspaces.save(found)
    watched.open.set()
    with pytest.raises(NotFound):
        await loser
    assert [view.id for view in (await other).data] == [task.id]
