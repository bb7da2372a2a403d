"""The use cases of tasks, their watchers and their comments."""

from application.tasks.departures import erasing, release
from application.tasks.exported import exported_comments, exported_tasks
from application.tasks.feeds import TaskFeeds
from application.tasks.finding import WordsAnew
from application.tasks.messages import (
    Archived,
    Bulk,
    BulkCreate,
    BulkDelete,
    BulkFailure,
    BulkReport,
    BulkResult,
    BulkUpdate,
    NewComment,
    NewTask,
    TaskPatch,
    TaskQuery,
    TaskRef,
)
from application.tasks.notices import NOTICES
from application.tasks.reminders import Reminders
from application.tasks.scopes import TASKS_READ, TASKS_WRITE
from application.tasks.use_cases import Tasks

__all__ = [
    "NOTICES",
    "TASKS_READ",
    "TASKS_WRITE",
    "Archived",
    "Bulk",
    "BulkCreate",
    "BulkDelete",
    "BulkFailure",
    "BulkReport",
    "BulkResult",
    "BulkUpdate",
    "NewComment",
    "NewTask",
    "Reminders",
    "TaskFeeds",
    "TaskPatch",
    "TaskQuery",
    "TaskRef",
    "Tasks",
    "WordsAnew",
    "erasing",
    "exported_comments",
    "exported_tasks",
    "release",
]
