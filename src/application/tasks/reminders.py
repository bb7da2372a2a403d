"""Reminds people of tasks that are due."""

from datetime import datetime
from uuid import UUID

from application.ports.tasks import TaskWork
from application.ports.unit_of_work import UnitOfWork
from domain.ids import TaskId


class Reminders:
    """Tells that a task is due soon, or overdue, when that time comes."""

    def __init__(self, work: UnitOfWork[TaskWork]) -> None:
        self._work = work

    async def elapse(self, id: UUID, now: datetime) -> None:
        """Tell what is due of a task; see `Due`."""
        async with self._work() as work:
            reminder = await work.tasks.reminder(TaskId(id))
            reminder.elapse(now)
            work.tasks.remind(reminder)
