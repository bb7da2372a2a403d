"""The one place that knows several contexts: what happens in one because of something in another."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.ports.consumers import Consumer
from application.ports.events import EventView
from application.ports.identity import IdentityWork
from application.ports.tasks import TaskWork
from application.ports.workspaces import WorkspaceWork
from domain.identity import Account
from domain.ids import AccountId, WorkspaceId
from domain.workspaces import Workspace, WorkspaceKind

TASKS_AT_ONCE = 100


class RegistrationWork(IdentityWork, WorkspaceWork, Protocol):
    """What a registration touches: the account and its workspace."""


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
    """Take the open tasks from somebody who cannot have any in the workspace any more.

    What they have done stays theirs. If they are back by now, they keep what was not taken yet.
    """
    workspace, account = WorkspaceId(event.resource.id), AccountId(UUID(str(event.data["account_id"])))
    # The tasks first: what is given to somebody who comes back in between is not among them.
    tasks = await work.tasks.assigned(workspace, account, TASKS_AT_ONCE)
    if await work.access.assignable(workspace, frozenset({account})):
        return True
    for task in tasks:
        task.unassign(account, None if event.actor is None else AccountId(event.actor), now)
        work.tasks.save(task)
    return len(tasks) < TASKS_AT_ONCE


RELEASE = Consumer("tasks_release", frozenset({"member.removed", "member.role_changed"}), release_tasks)
