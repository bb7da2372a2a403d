"""What every TaskNumbers promises: keys that nobody else ever gets, and that nobody waits for."""

import asyncio

import pytest

from application.ports.idempotency import Answer
from application.ports.tasks import TaskNumbers
from application.tasks import NewTask, Tasks
from domain.errors import NotFound
from domain.ids import WorkspaceId
from tests.contracts.house import House
from tests.support.builders import a_task, a_team, an_account, principal

AT_ONCE = 10  # as many as the pool of the house has connections


async def taken(numbers: TaskNumbers, workspace: WorkspaceId, count: int) -> list[int]:
    """The numbers of so many keys, taken one after the other."""
    return [int((await numbers.next(workspace)).rpartition("-")[2]) for _ in range(count)]


async def test_keys_are_the_prefix_of_the_workspace_and_a_rising_number(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    assert [await house.task_numbers.next(team.id) for _ in range(3)] == ["OPE-1", "OPE-2", "OPE-3"]
    numbers = await taken(house.task_numbers, team.id, 200)
    assert numbers == sorted(set(numbers))


async def test_every_workspace_counts_for_itself(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    for _ in range(2):
        await house.task_numbers.next(WorkspaceId(ada.id))
    assert await house.task_numbers.next(WorkspaceId(bob.id)) == "BW-1"
    assert await house.task_numbers.next(WorkspaceId(ada.id)) == "AW-3"


async def test_a_workspace_that_does_not_exist_has_no_numbers(house: House) -> None:
    nowhere = WorkspaceId(house.ids.new())
    for _ in range(2):
        with pytest.raises(NotFound):
            await house.task_numbers.next(nowhere)


async def test_twenty_who_take_twenty_at_once_all_get_their_own(house: House) -> None:
    ada = await an_account(house)
    found = await asyncio.gather(*(taken(house.task_numbers, WorkspaceId(ada.id), 20) for _ in range(20)))
    assert len({number for each in found for number in each}) == 400
    assert all(each == sorted(each) for each in found)


async def test_two_processes_never_give_the_same_number(house: House) -> None:
    ada = await an_account(house)
    both = [house.task_numbers, house.task_numbers_elsewhere]
    found = await asyncio.gather(*(taken(both[racer % 2], WorkspaceId(ada.id), 20) for racer in range(20)))
    assert len({number for each in found for number in each}) == 400
    assert all(each == sorted(each) for each in found)


async def test_a_process_that_begins_after_three_tasks_leaves_no_gap(house: House) -> None:
    ada = await an_account(house)
    assert await taken(house.task_numbers, WorkspaceId(ada.id), 3) == [1, 2, 3]
    assert await taken(house.task_numbers_elsewhere, WorkspaceId(ada.id), 1) == [4]


async def test_a_number_is_gone_whatever_becomes_of_the_unit_of_work(house: House) -> None:
    ada = await an_account(house)
    mine, failure = WorkspaceId(ada.id), RuntimeError("nothing of this shall stay")
    with pytest.raises(RuntimeError):
        async with house.work() as work:
            await work.access.standing(mine, ada.id)
            assert await house.task_numbers.next(mine) == "AW-1"
            raise failure
    async with house.idempotency.attempt(ada.id, "key", b"undone"):
        assert await house.task_numbers.next(mine) == "AW-2"
    assert await house.task_numbers.next(mine) == "AW-3"


async def test_who_gives_up_waiting_takes_nothing_from_the_others(house: House) -> None:
    ada = await an_account(house)
    waiting = [asyncio.create_task(house.task_numbers.next(WorkspaceId(ada.id))) for _ in range(20)]
    await asyncio.sleep(0)
    for one in waiting[::2]:
        one.cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    keys = [key for key in found if isinstance(key, str)]
    assert len(keys) >= 10
    assert len(set(keys)) == len(keys)


async def test_requests_with_a_key_that_hold_every_connection_still_get_numbers(house: House) -> None:
    people = [await an_account(house, f"Racer {number}") for number in range(AT_ONCE)]
    tasks = Tasks(house.work, house.task_queries, house.task_numbers, house.clock, house.ids)
    all_begun = asyncio.Barrier(AT_ONCE)

    async def open_one(number: int) -> str:
        ada = people[number]
        async with house.idempotency.attempt(ada.id, "key", b"open") as attempt:
            await all_begun.wait()
            task = await tasks.open(principal(ada), NewTask("Once"))
            attempt.record(Answer(201, (), b""))
        return task.key

    async with asyncio.timeout(20):
        assert await asyncio.gather(*map(open_one, range(AT_ONCE))) == [f"R{number}W-1" for number in range(AT_ONCE)]


async def test_a_key_stays_with_its_task(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.edit(ada.id, house.clock.now(), title="Other")
        work.tasks.save(found)
    assert (await house.task_queries.view(task.id, ada.id)).key == task.key
