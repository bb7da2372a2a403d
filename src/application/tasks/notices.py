"""Whom events of tasks concern."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from application.ports.events import EventView
from application.ports.notices import Notice, Told, following
from application.ports.tasks import TaskWork
from domain.channels import workspace_stream
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.kernel import Event
from domain.tasks import Task

_OPENED, _ASSIGNED = "task.created", "task.assigned"
_SAID, _REWRITTEN = "task.comment.created", "task.comment.updated"


async def _assigned(work: TaskWork, event: EventView, after: AccountId | None, most: int) -> Told | None:
    """Those who were given the task and have it still."""
    given = _accounts(event.data["assignees"] if event.type == _OPENED else [event.data["account_id"]])
    task = await _there(work, event)
    if task is None:
        return None
    return await _told(work, task, given.intersection(task.assignees), after, most, {"due_at": task.due_at})


async def _mentioned(work: TaskWork, event: EventView, after: AccountId | None, most: int) -> Told | None:
    """Those whom a comment names; if it was rewritten, those whom it did not name before."""
    task = await _there(work, event)
    if task is None:
        return None
    old, new = event.changes.get("mentions", ((), event.data["mentions"] if event.type == _SAID else ()))
    return await _told(work, task, _accounts(new) - _accounts(old), after, most, _comment(event))


async def _commented(work: TaskWork, event: EventView, after: AccountId | None, most: int) -> Told | None:
    """Those who watch the task, without those whom the comment names: they are told that."""
    task = await _there(work, event)
    if task is None:
        return None
    others = {*task.watchers} - _accounts(event.data["mentions"])
    return await _told(work, task, others, after, most, _comment(event))


async def _due(work: TaskWork, event: EventView, after: AccountId | None, most: int) -> Told | None:
    """Those who have the task, or else who opened it, unless it is done or due at another time by now."""
    task = await _there(work, event)
    if task is None or not task.is_open or task.due_at != _instant(event.data["due_at"]):
        return None
    whom = task.assignees or [task.created_by]
    return await _told(work, task, whom, after, most, {**event.data, "due_at": task.due_at})


async def _there(work: TaskWork, event: EventView) -> Task | None:
    try:
        return await work.tasks.any(TaskId(event.resource.id))
    except NotFound:
        return None


async def _told(
    work: TaskWork,
    task: Task,
    whom: Collection[AccountId],
    after: AccountId | None,
    most: int,
    details: Mapping[str, object],
) -> Told:
    accounts, after = following(whom, after, most)
    readers = await work.access.readers(task.workspace_id, frozenset(accounts))
    title = f"{task.key} {task.title}"
    workspace = task.workspace_id
    return Told("task", task.id, title, sorted(readers), after, workspace, details, workspace=workspace)


def _comment(event: EventView) -> Mapping[str, object]:
    return {"comment_id": event.data["comment_id"]}


def _instant(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def _accounts(ids: object) -> set[AccountId]:
    assert isinstance(ids, Sequence)
    return {AccountId(UUID(str(id))) for id in ids}


def _is_given_to_others(event: Event) -> bool:
    if event.type == _ASSIGNED:
        return event.data["account_id"] != event.actor
    return _are_others(event, "assignees")


def _are_others(event: Event, field: str) -> bool:
    accounts = event.data[field]
    assert isinstance(accounts, Sequence)
    return any(account != event.actor for account in accounts)


def _is_seen_by_others(event: Event) -> bool:
    # Nobody else is in a personal workspace, which has the id of its owner.
    return event.actor is None or event.stream != workspace_stream(WorkspaceId(event.actor))


def _names_somebody(event: Event) -> bool:
    return (event.type == _SAID and _are_others(event, "mentions")) or "mentions" in event.changes


NOTICES = (
    Notice(
        "task.assigned",
        frozenset({_OPENED, _ASSIGNED}),
        "You were given a task.",
        _assigned,
        _is_given_to_others,
        by_mail=True,
    ),
    Notice(
        "task.mentioned",
        frozenset({_SAID, _REWRITTEN}),
        "A comment on a task mentions you.",
        _mentioned,
        _names_somebody,
        by_mail=True,
    ),
    Notice(
        "task.commented",
        frozenset({_SAID}),
        "Somebody commented on a task that you watch.",
        _commented,
        _is_seen_by_others,
    ),
    Notice("task.due_soon", frozenset({"task.due_soon"}), "A task of yours is due in a day or an hour.", _due),
    Notice("task.overdue", frozenset({"task.overdue"}), "A task of yours is overdue.", _due),
)
