"""Tasks: their fields, their assignees and watchers, and their comments."""

from domain.tasks.comments import COMMENT_MAX, MENTIONS_MAX, Comment
from domain.tasks.fields import (
    CUSTOM_MAX_BYTES,
    DESCRIPTION_MAX,
    ESTIMATE_MAX_MINUTES,
    LABEL_MAX,
    LABELS_MAX,
    TITLE_MAX,
    Priority,
    Status,
    custom_fields,
    normal_label,
)
from domain.tasks.reminders import HOURS_BEFORE, Reminder, next_reminder
from domain.tasks.task import ASSIGNEES_MAX, TASK, WATCHERS_MAX, AlreadyAssigned, NotAMember, Task, TooManyWatchers

__all__ = [
    "ASSIGNEES_MAX",
    "COMMENT_MAX",
    "CUSTOM_MAX_BYTES",
    "DESCRIPTION_MAX",
    "ESTIMATE_MAX_MINUTES",
    "HOURS_BEFORE",
    "LABELS_MAX",
    "LABEL_MAX",
    "MENTIONS_MAX",
    "TASK",
    "TITLE_MAX",
    "WATCHERS_MAX",
    "AlreadyAssigned",
    "Comment",
    "NotAMember",
    "Priority",
    "Reminder",
    "Status",
    "Task",
    "TooManyWatchers",
    "custom_fields",
    "next_reminder",
    "normal_label",
]
