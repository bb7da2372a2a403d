"""What time does to a task: people are reminded that it is due soon, and told when it is overdue."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from domain.channels import workspace_stream
from domain.ids import TaskId, WorkspaceId
from domain.kernel import Aggregate, EventType, declared

# How many hours before a task is due people are reminded of it.
HOURS_BEFORE = (24, 1)


def next_reminder(due_at: datetime | None, after: datetime) -> datetime | None:
    """The first time after `after` at which people are told of a task that is due at `due_at`; None for never."""
    if due_at is None or due_at <= after:
        return None
    times = (*(due_at - timedelta(hours=hours) for hours in HOURS_BEFORE), due_at)
    return min(at for at in times if at > after)


@dataclass(slots=True)
class Reminder(Aggregate):
    """The next reminder of a task, which is a part of the task that only time changes.

    It changes nothing that anybody has written. So its events have the present version of the task, which stays the
    same, and no change of the task by somebody fails because of it.
    """

    resource_type: ClassVar[str] = "task"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType(
            "task.due_soon",
            "workspace",
            "The task is due in a day or an hour.",
            {"due_at": "When it has to be done.", "hours": "In how many hours that is: 24 or 1."},
        ),
        EventType("task.overdue", "workspace", "The task is due.", {"due_at": "When it had to be done."}),
    )

    id: TaskId
    workspace_id: WorkspaceId
    due_at: datetime
    remind_at: datetime | None
    task_version: int

    def elapse(self, now: datetime) -> None:
        """Tell what is due at `now`; of several reminders that were missed, the last one."""
        if self.remind_at is None or self.remind_at > now:
            return
        self.remind_at = next_reminder(self.due_at, now)
        if now >= self.due_at:
            self._tell("task.overdue", now, {})
        else:
            hours = min(hours for hours in HOURS_BEFORE if now >= self.due_at - timedelta(hours=hours))
            self._tell("task.due_soon", now, {"hours": hours})

    def _tell(self, type: str, at: datetime, data: Mapping[str, object]) -> None:
        told = {"due_at": self.due_at, **data}
        self._announce(type, workspace_stream(self.workspace_id), self.id, at, None, None, told)
        self._news[-1] = replace(self._news[-1], version=self.task_version)
