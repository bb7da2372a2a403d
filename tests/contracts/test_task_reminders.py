"""The reminder of a task is a part of it that only time changes: neither a person nor time undoes the other."""

from datetime import timedelta

import pytest

from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.ids import WorkspaceId
from domain.tasks import Task
from tests.contracts.house import House
from tests.support.builders import a_task, an_account

DAY = timedelta(days=1)


async def a_due_task(house: House) -> Task:
    ada = await an_account(house)
    return await a_task(house, WorkspaceId(ada.id), ada.id, due_at=house.clock.now() + 2 * DAY)


async def remind(house: House, task: Task) -> None:
    async with house.work() as work:
        reminder = await work.tasks.reminder(task.id)
        reminder.elapse(house.clock.now())
        work.tasks.remind(reminder)


async def rename(house: House, task: Task, title: str, **values: object) -> Task:
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, task.created_by)
        found.edit(task.created_by, house.clock.now(), title=title, **values)
        work.tasks.save(found)
    return found


async def test_a_task_is_due_when_its_next_reminder_is(house: House) -> None:
    task = await a_due_task(house)
    assert (await house.task_deadlines.look(house.clock.now(), 9)).first_at == house.clock.now() + DAY
    house.clock.advance(DAY)
    assert [late.id for late in await house.task_deadlines.late(house.clock.now(), 9)] == [task.id]
    await remind(house, task)
    assert (await house.task_deadlines.look(house.clock.now(), 9)).first_at == house.clock.now() + timedelta(hours=23)
    house.clock.advance(DAY)
    await remind(house, task)
    assert await house.task_deadlines.late(house.clock.now(), 9) == []
    with pytest.raises(NotFound):
        await remind(house, task)


async def test_a_reminder_fails_nobody_who_changes_the_task_and_is_not_told_again_because_of_that(
    house: House,
) -> None:
    task = await a_due_task(house)
    house.clock.advance(DAY)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, task.created_by)
        found.edit(task.created_by, house.clock.now(), title="Write it")
        await remind(house, task)
        work.tasks.save(found)
    async with house.work() as work:
        kept = await work.tasks.any(task.id)
    assert (kept.version, kept.title, kept.remind_at) == (2, "Write it", house.clock.now() + timedelta(hours=23))
    entries = await house.journal.read(f"workspace:{task.workspace_id}", 0, 9)
    assert [entry.type for entry in entries if entry.resource_id == task.id] == [
        "task.created",
        "task.due_soon",
        "task.updated",
    ]


async def test_of_two_who_remind_at_once_one_is_stale_and_so_is_one_whose_task_is_due_later_by_now(
    house: House,
) -> None:
    task = await a_due_task(house)
    house.clock.advance(DAY)
    with pytest.raises(Stale):
        async with house.work() as work:
            late = await work.tasks.reminder(task.id)
            late.elapse(house.clock.now())
            await remind(house, task)
            work.tasks.remind(late)
    house.clock.advance(DAY)
    with pytest.raises(Stale):
        async with house.work() as work:
            late = await work.tasks.reminder(task.id)
            late.elapse(house.clock.now())
            await rename(house, task, "Write it", due_at=house.clock.now() + 9 * DAY)
            work.tasks.remind(late)
    assert (await house.task_deadlines.look(house.clock.now(), 9)).first_at == house.clock.now() + 8 * DAY
