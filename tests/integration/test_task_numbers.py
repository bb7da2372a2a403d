"""Numbers of tasks come in blocks: how often PostgreSQL is asked for them, and what happens when it does not answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from msgspec.structs import replace

from adapters.memory.observer import MemoryObserver
from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.task_numbers import BLOCK_MAX, PostgresTaskNumbers
from application.ports.unit_of_work import Stale
from domain.errors import NotFound, Unavailable
from domain.ids import WorkspaceId
from entrypoints.container import assembled, offline
from tests.support.builders import a_new_task, a_task, a_team, an_account
from tests.support.promised import stretched


class Turnstile(Database):
    """Counts what goes through, and lets nothing through while it is closed."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 2, MemoryObserver())
        self.passed = 0
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def fetchrow(self, statement: Statement, **values: Any) -> asyncpg.Record | None:
        self.passed += 1
        await self.is_open.wait()
        return await super().fetchrow(statement, **values)


class House:
    """A PostgreSQL with one team in it, and numbers for its tasks."""

    team: WorkspaceId

    def __init__(self, url: str) -> None:
        self.container = assembled(settings=replace(offline(), database_url=url))
        self.work, self.clock, self.ids = self.container.work(), self.container.clock(), self.container.ids()
        self.turnstile = Turnstile(url)
        self.numbers = PostgresTaskNumbers(self.turnstile)

    async def another_team(self) -> WorkspaceId:
        return (await a_team(self, (await an_account(self)).id)).id


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    house = House(database_url)
    await house.container.database().open()
    await house.turnstile.open()
    house.team = await house.another_team()
    yield house
    await house.turnstile.close()
    await house.container.database().close()


async def test_a_busy_workspace_asks_once_in_sixty_four_tasks(house: House) -> None:
    for _ in range(2 * BLOCK_MAX - 1):  # 1 + 2 + 4 + … + 64
        await house.numbers.next(house.team)
    assert house.turnstile.passed == 7
    for _ in range(3 * BLOCK_MAX):
        await house.numbers.next(house.team)
    assert house.turnstile.passed == 10


async def test_a_crowd_waits_for_one_reservation_and_not_for_one_each(house: House) -> None:
    house.turnstile.is_open.clear()
    waiting = [asyncio.create_task(house.numbers.next(house.team)) for _ in range(31)]
    await asyncio.sleep(0)
    house.turnstile.is_open.set()
    assert sorted(await asyncio.gather(*waiting)) == sorted(f"OPE-{number}" for number in range(1, 32))
    assert house.turnstile.passed == 5  # 1 + 2 + 4 + 8 + 16


async def test_a_reservation_goes_on_when_the_one_who_began_it_leaves(house: House) -> None:
    house.turnstile.is_open.clear()
    first, second = [asyncio.create_task(house.numbers.next(house.team)) for _ in range(2)]
    while not house.turnstile.passed:
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    house.turnstile.is_open.set()
    assert await second == "OPE-1"
    assert house.turnstile.passed == 1


async def test_a_failure_is_told_to_everybody_separately_and_forgotten(house: House, database_url: str) -> None:
    away = Database(database_url, 1, MemoryObserver())
    numbers = PostgresTaskNumbers(away)
    refused = await asyncio.gather(*(numbers.next(house.team) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(refusal, Unavailable) for refusal in refused)
    assert len({id(refusal) for refusal in refused}) == 5
    await away.open()
    assert await numbers.next(house.team) == "OPE-1"
    await away.close()


async def test_a_workspace_can_come_after_the_first_who_asked_for_it(house: House) -> None:
    ada = await an_account(house)
    nowhere = WorkspaceId(house.ids.new())
    with pytest.raises(NotFound):
        await house.numbers.next(nowhere)
    assert await house.numbers.next(WorkspaceId(ada.id)) == "AW-1"


async def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(house: House) -> None:
    numbers = PostgresTaskNumbers(house.turnstile, remembered_max=2)
    one, two, three = house.team, await house.another_team(), await house.another_team()
    for team in (one, two, one, three):
        await numbers.next(team)
    assert list(numbers._blocks) == [one, three]
    assert await numbers.next(one) == "OPE-3"  # which was left of its second block
    assert await numbers.next(two) == "OPE-2"
    assert list(numbers._blocks) == [three, two]


async def test_a_number_waits_for_no_transaction_that_writes_in_the_workspace(house: House, database_url: str) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    task = await a_task(house, mine, ada.id)
    writer = await asyncpg.connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    try:
        await writer.execute("UPDATE workspaces SET name = 'Other', version = version + 1 WHERE id = $1", mine)
        await writer.execute("UPDATE members SET role = 'admin' WHERE workspace_id = $1", mine)
        await writer.execute("UPDATE tasks SET title = 'Other' WHERE id = $1", task.id)
        await writer.execute("UPDATE streams SET head = head + 1")
        async with asyncio.timeout(stretched(1)):
            assert await house.numbers.next(mine) == "AW-1"
    finally:
        await transaction.rollback()
        await writer.close()


async def test_numbers_never_go_back_in_a_process_under_which_the_database_was_restored(
    house: House, database_url: str
) -> None:
    before = [await house.numbers.next(house.team) for _ in range(20)]
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("UPDATE task_numbers SET last = 3")
    finally:
        await connection.close()
    after = [await house.numbers.next(house.team) for _ in range(60)]
    assert len({*before, *after}) == 80
    assert [int(key.partition("-")[2]) for key in before + after] == list(range(1, 81))


async def test_a_number_that_another_process_has_used_since_is_passed_over(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    twin = a_new_task(house, WorkspaceId(ada.id), ada.id)
    twin.key = task.key
    with pytest.raises(Stale):
        async with house.work() as work:
            work.tasks.add(twin)
