"""When people are reminded of a task, and that this changes nothing that anybody wrote."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.access import Role, Standing
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Reminder, Status, Task, next_reminder

ADA, ID, PLACE = AccountId(UUID(int=1)), TaskId(UUID(int=2)), WorkspaceId(UUID(int=3))
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def a_task(due_at: datetime | None = None) -> Task:
    return Task.open(ID, PLACE, "OPS-1", ADA, NOW, title="Write the rollout plan", due_at=due_at)


@pytest.mark.parametrize(
    ("due_in", "remind_in"),
    [(None, None), (3 * DAY, 2 * DAY), (DAY, 23 * HOUR), (23 * HOUR, 22 * HOUR), (HOUR, HOUR), (0 * HOUR, None)],
)
def test_people_are_reminded_a_day_and_an_hour_before_and_at_the_time(
    due_in: timedelta | None, remind_in: timedelta | None
) -> None:
    due_at = None if due_in is None else NOW + due_in
    expected = None if remind_in is None else NOW + remind_in
    assert next_reminder(due_at, NOW) == a_task(due_at).remind_at == expected


def test_a_task_that_is_done_or_deleted_reminds_nobody_until_it_is_open_again() -> None:
    task, owner = a_task(NOW + 3 * DAY), Standing(Role.OWNER, viewers_comment=True)
    task.edit(ADA, NOW, status=Status.DONE)
    assert task.remind_at is None
    task.edit(ADA, NOW + 2 * DAY, status=Status.TODO)
    assert task.remind_at == NOW + 3 * DAY - HOUR, "what was missed meanwhile is not told any more"
    task.delete(ADA, owner, NOW + 2 * DAY)
    assert task.remind_at is None
    task.restore(ADA, owner, NOW + 2 * DAY)
    assert task.remind_at == NOW + 3 * DAY - HOUR


def test_an_edit_of_something_else_leaves_out_no_reminder_that_is_late() -> None:
    task = a_task(NOW + 2 * DAY)
    task.edit(ADA, NOW + DAY + HOUR, title="Write it", status=Status.IN_PROGRESS)
    assert task.remind_at == NOW + DAY
    task.edit(ADA, NOW + DAY + HOUR, due_at=NOW + 9 * DAY)
    assert task.remind_at == NOW + 8 * DAY


@pytest.mark.parametrize(
    ("now", "type", "hours", "next_in"),
    [
        (NOW + DAY, "task.due_soon", 24, 47 * HOUR),
        (NOW + 47 * HOUR, "task.due_soon", 1, 48 * HOUR),
        (NOW + 48 * HOUR - HOUR / 2, "task.due_soon", 1, 48 * HOUR),
        (NOW + 9 * DAY, "task.overdue", None, None),
    ],
)
def test_of_several_reminders_that_were_missed_the_last_is_told_and_the_version_stays(
    now: datetime, type: str, hours: int | None, next_in: timedelta | None
) -> None:
    reminder = Reminder(ID, PLACE, NOW + 2 * DAY, NOW + DAY, task_version=7)
    reminder.elapse(NOW + DAY - HOUR)
    assert not reminder.has_news
    for _ in range(2):
        reminder.elapse(now)
    (event,) = reminder.take_news()
    assert (event.type, event.data.get("hours"), event.version, event.actor) == (type, hours, 7, None)
    assert (event.resource_type, event.resource_id, event.stream) == ("task", ID, f"workspace:{PLACE}")
    assert reminder.remind_at == (None if next_in is None else NOW + next_in)
