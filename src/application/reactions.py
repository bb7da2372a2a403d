"""The one place that knows several contexts: what happens in one because of something in another."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.ports.consumers import Consumer, ConsumerWork
from application.ports.events import EventView
from application.ports.identity import IdentityWork
from application.ports.tasks import TaskWork
from application.ports.workspaces import WorkspaceWork
from domain.identity import Account, FailedLogin, Session
from domain.ids import AccountId, WorkspaceId
from domain.tasks import Task
from domain.workspaces import Workspace, WorkspaceKind

TASKS_AT_ONCE = 100

# Those that announce events, each with the types that it announces.
AGGREGATES = (Account, FailedLogin, Session, Workspace, Task)


class RegistrationWork(IdentityWork, WorkspaceWork, Protocol):
    """What a registration touches: the account and its workspace."""


class EveryWork(RegistrationWork, TaskWork, ConsumerWork, Protocol):
    """One unit of work serves all use cases; each of them sees only its own slice of it."""


def give_personal_workspace(work: RegistrationWork, account: Account) -> None:
    """Begin every account with a workspace of its own, whose id is the account's, so that nobody has to look it up."""
    work.workspaces.add(
        Workspace.create(
            WorkspaceId(account.id),
            f"{account.display_name}'s workspace",
            f"p-{account.id.hex}",
            WorkspaceKind.PERSONAL,
            account.id,
            account.created_at,
        )
    )


async def release_tasks(work: TaskWork, event: EventView, now: datetime) -> bool:
    """Take the open tasks from somebody who cannot have any in the workspace, or anywhere, any more.

    Who is out of it watches them no longer either. What they have done stays theirs. If they are back by now, they keep
    what was not taken yet.
    """
    by = None if event.actor is None else AccountId(event.actor)
    workspace, account = _whom(event)
    # The tasks first: what is given to somebody who comes back in between is not among them.
    tasks = await work.tasks.assigned(workspace, account, TASKS_AT_ONCE)
    if workspace is None or event.type != _REMOVED:
        has_left = False
    else:
        tasks = tasks or await work.tasks.watched(workspace, account, TASKS_AT_ONCE)
        has_left = not await work.access.members(workspace, frozenset({account}))
    for place in {task.workspace_id for task in tasks}:
        if await work.access.assignable(place, frozenset({account})):
            continue
        for task in tasks:
            if task.workspace_id == place:
                task.unassign(account, by, now)
                if has_left:
                    task.unwatch(account, by, now)
                work.tasks.save(task)
    return not any(task.has_news for task in tasks)


def _whom(event: EventView) -> tuple[WorkspaceId | None, AccountId]:
    """Who cannot have tasks any more, and in which workspace, or None for all."""
    if event.type == _DISABLED:
        return None, AccountId(event.resource.id)
    return WorkspaceId(event.resource.id), AccountId(UUID(str(event.data["account_id"])))


_REMOVED, _DISABLED = "member.removed", "account.disabled"
RELEASE = Consumer("tasks_release", frozenset({_REMOVED, "member.role_changed", _DISABLED}), release_tasks)
