"""The commands of tasks over a live connection."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from application.ports.tasks import CommentView, TaskView
from application.tasks import NewComment, NewTask, TaskPatch, Tasks
from domain.ids import TaskId
from entrypoints.websocket.calls import Method


class TaskParams(Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a task."""

    id: UUID


class UpdateParams(Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a task, the fields to change, and the version that the task is expected to have, if any."""

    id: UUID
    patch: TaskPatch
    version: int | None = None


class CommentParams(Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a task, and the comment."""

    id: UUID
    comment: NewComment


def task_methods(tasks: Tasks) -> Sequence[Method]:
    """The commands of tasks that can be called over a live connection."""
    return (
        Method("task.create", NewTask, tasks.open, TaskView),
        Method("task.update", UpdateParams, lambda a, p: tasks.edit(a, TaskId(p.id), p.patch, p.version), TaskView),
        Method("task.claim", TaskParams, lambda a, p: tasks.claim(a, TaskId(p.id)), TaskView),
        Method("task.comment", CommentParams, lambda a, p: tasks.comment(a, TaskId(p.id), p.comment), CommentView),
    )
