"""The kinds of events of a task, with their fields."""

from domain.kernel import EventType, declared
from domain.tasks.fields import EDITABLE

_WHO = {"account_id": "Whom it concerns."}
_COMMENT = {"comment_id": "Which comment."}
_SAID = {**_COMMENT, "author_id": "Who said it.", "text": "What was said.", "mentions": "The members that it names."}

EVENTS = declared(
    EventType(
        "task.created",
        "workspace",
        "Somebody opened a task.",
        {
            "workspace_id": "Its workspace.",
            "key": "What people call it.",
            "title": "Its title.",
            "description": "Its description.",
            "status": "Its status.",
            "priority": "Its priority.",
            "labels": "Its labels.",
            "assignees": "Who has it.",
            "watchers": "Who watches it.",
            "due_at": "When it has to be done, or null.",
            "start_at": "When it begins, or null.",
            "estimate_minutes": "How long it takes, or null.",
            "custom": "Fields of one's own.",
            "created_by": "Who opened it.",
            "created_at": "When that was.",
            "updated_at": "When it last changed.",
            "completed_at": "When it became done, or null.",
            "archived_at": "When it was put away, or null.",
        },
    ),
    EventType("task.updated", "workspace", "Fields changed.", changes=(*sorted(EDITABLE), "completed_at")),
    EventType("task.assigned", "workspace", "Somebody was given the task.", _WHO, ("assignees",)),
    EventType("task.unassigned", "workspace", "The task was taken from somebody.", _WHO, ("assignees",)),
    EventType("task.claimed", "workspace", "Somebody took the task, which nobody had.", _WHO, ("assignees",)),
    EventType("task.watched", "workspace", "Somebody watches the task.", _WHO),
    EventType("task.unwatched", "workspace", "Somebody watches it no longer.", _WHO),
    EventType("task.archived", "workspace", "The task was put away.", changes=("archived_at",)),
    EventType("task.unarchived", "workspace", "The task was taken out again.", changes=("archived_at",)),
    EventType("task.deleted", "workspace", "The task was hidden; it can be restored."),
    EventType("task.restored", "workspace", "A deleted task is there again."),
    EventType("task.comment.created", "workspace", "Somebody commented.", _SAID),
    EventType(
        "task.comment.updated", "workspace", "A comment was rewritten by its author.", _SAID, ("text", "mentions")
    ),
    EventType("task.comment.deleted", "workspace", "A comment was removed.", _COMMENT),
)
