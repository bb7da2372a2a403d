"""What the pool of connections does for those who use it: it tells of every call, on whose account it was."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest
import pytest_asyncio
from dependency_injector import providers
from msgspec.structs import replace

from adapters.memory.observer import MemoryObserver
from application.ports.idempotency import Answer
from application.ports.observer import Service
from application.ports.tasks import TaskView
from application.principal import Principal, correlation
from application.tasks import NewComment, NewTask, TaskPatch
from domain.access import Role
from domain.errors import NotFound, Unavailable
from domain.ids import TaskId, WorkspaceId
from domain.tasks import DESCRIPTION_MAX
from entrypoints.container import assembled, offline
from tests.support.builders import an_account, principal


class Accounts(MemoryObserver):
    """Remembers what each request called, and how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, list[str]] = defaultdict(list)
        self.errors: list[str] = []

    def called(self, service: Service, operation: str, began: float, error: BaseException | None = None) -> None:
        if operation != "acquire":  # told only by those for whom no connection was there
            self.of[correlation.get().request_id].append(operation)
        if error is not None:
            self.errors.append(f"{operation}: {type(error).__name__}")


class House:
    """The assembly on PostgreSQL with somebody in it, and the accounts of who called what."""

    actor: Principal
    task: TaskId

    def __init__(self, database_url: str, **settings: int) -> None:
        self.accounts = Accounts()
        self.container = assembled(
            settings=replace(offline(), database_url=database_url, **settings),
            observer=providers.Object(self.accounts),
        )
        self.work, self.clock, self.ids = self.container.work(), self.container.clock(), self.container.ids()

    async def request(self, name: str, act: Callable[[], Awaitable[object]]) -> None:
        """Do this as a request of this name."""
        self.accounts.request("POST", name, "")
        await act()

    async def a_task(self) -> TaskId:
        return TaskId((await self.container.tasks().open(self.actor, NewTask("A task"))).id)

    async def write(self, task: TaskId | None = None) -> None:
        """Comment on this task, or on the one that there is from the beginning."""
        await self.container.tasks().comment(self.actor, task or self.task, NewComment("Done?"))


def busy(house: House) -> int:
    """How many connections are in use."""
    size, idle, _ = house.container.database().pool_state()
    return int(size - idle)


@asynccontextmanager
async def furnished(url: str, **settings: int) -> AsyncIterator[House]:
    """The house with its pools open, and somebody in it who has a task."""
    house = House(url, **settings)
    databases = house.container.database(), house.container.numbers_database()
    for database in databases:
        await database.open()
    try:
        house.actor = principal(await an_account(house))
        house.task = await house.a_task()
        yield house
    finally:
        for database in databases:
            await database.close()


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with furnished(database_url) as house:
        yield house


async def test_every_call_is_told_under_one_of_few_names(house: House) -> None:
    await house.request("writing", house.write)
    assert house.accounts.of["writing"] == ["SELECT tasks", "commit"]


async def test_a_unit_looks_an_account_up_once_whatever_it_asks_of_it(house: House) -> None:
    mine, account = WorkspaceId(house.actor.account_id), frozenset({house.actor.account_id})

    async def ask() -> None:
        async with house.work() as work:
            assert await work.access.members(mine, account) == account
            assert await work.access.assignable(mine, account) == account

    await house.request("asking", ask)
    assert house.accounts.of["asking"] == ["SELECT members"]


async def test_who_looks_up_at_one_time_shares_a_statement_and_nothing_else(house: House) -> None:
    stranger = await an_account(house, "Bob")
    found: dict[str, TaskView] = {}

    async def look(id: TaskId) -> None:
        found[correlation.get().request_id] = await house.container.task_queries().view(id, house.actor.account_id)

    async def look_in_vain() -> None:
        with pytest.raises(NotFound):
            await house.container.task_queries().view(house.task, stranger.id)

    wanted = {f"r{number}": await house.a_task() for number in range(5)}
    house.accounts.of.clear()
    async with asyncio.TaskGroup() as group:
        for name, task in wanted.items():
            group.create_task(house.request(name, partial(look, task)))
        group.create_task(house.request("vain", look_in_vain))
    assert {name: view.id for name, view in found.items()} == wanted
    assert house.accounts.of == {"": ["group SELECT tasks"]} | {name: ["SELECT tasks"] for name in (*wanted, "vain")}


async def test_who_holds_a_connection_looks_up_on_it_as_there_may_be_no_other(database_url: str) -> None:
    async with furnished(database_url, database_pool_size=1) as house:
        by = house.actor.account_id
        house.accounts.of.clear()
        async with house.work() as work:
            assert house.task in await work.tasks.get_many([house.task], by)
            assert (await work.access.standing(WorkspaceId(by), by)).role is Role.OWNER
        assert house.accounts.of == {"": ["SELECT tasks", "SELECT members"]}


async def test_who_waits_for_a_group_commit_is_charged_for_it_and_nobody_for_the_others(
    house: House, database_url: str
) -> None:
    requests = {f"r{number}": await house.a_task() for number in range(5)}
    blocker = await asyncpg.connect(database_url)
    async with asyncio.TaskGroup() as group, blocker.transaction():
        await blocker.execute("LOCK streams IN EXCLUSIVE MODE")
        for name, task in requests.items():
            group.create_task(house.request(name, partial(house.write, task)))
        # All have read, one holds a connection to commit on, and the others wait for that without one.
        while any(not house.accounts.of[name] for name in requests) or busy(house) > 1:
            await asyncio.sleep(0.01)
    await blocker.close()
    for name in requests:
        assert house.accounts.of[name] == ["SELECT tasks", "commit"]
    assert house.accounts.of[""][-1] == "group commit"


async def test_what_goes_together_into_one_commit_is_bounded_in_bytes(house: House, database_url: str) -> None:
    # Each character has six bytes in the JSON of its event, and the first does not wait for the others.
    patch = TaskPatch(description="\x01" * DESCRIPTION_MAX)
    requests = {f"r{number}": await house.a_task() for number in range(21)}
    tasks = house.container.tasks()
    blocker = await asyncpg.connect(database_url)
    house.accounts.of.clear()
    async with asyncio.TaskGroup() as group, blocker.transaction():
        await blocker.execute("LOCK streams IN EXCLUSIVE MODE")
        for name, task in requests.items():
            group.create_task(house.request(name, partial(tasks.edit, house.actor, task, patch)))
        while any(not house.accounts.of[name] for name in requests) or busy(house) > 1:
            await asyncio.sleep(0.01)
    await blocker.close()
    assert house.accounts.of[""].count("group commit") == 2


async def test_a_request_with_a_key_is_charged_for_its_transaction(house: House) -> None:
    async def keyed() -> None:
        async with house.container.idempotency().attempt(house.actor.account_id, "key", b"") as attempt:
            await house.write()
            attempt.record(Answer(201, (), b""))

    await house.request("keyed", keyed)
    assert house.accounts.of["keyed"] == [
        *("begin", "lock key", "SELECT idempotency"),
        *("SELECT tasks", "write", "INSERT idempotency", "commit"),
    ]


async def test_what_fails_is_told_with_its_cause(house: House, database_url: str) -> None:
    blocker = await asyncpg.connect(database_url)
    async with blocker.transaction():
        await blocker.execute("LOCK streams IN EXCLUSIVE MODE")
        with pytest.raises(Unavailable):
            await house.write()
    await blocker.close()
    assert house.accounts.errors == ["commit: LockNotAvailableError"]
