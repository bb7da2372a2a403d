"""The one place that knows several contexts: what happens in one because of something in another."""

from datetime import datetime
from typing import Protocol

from application.ports.identity import IdentityWork
from application.ports.tasks import TaskWork
from application.ports.workspaces import WorkspaceWork
from domain.identity import Account
from domain.ids import AccountId, WorkspaceId
from domain.workspaces import Workspace, WorkspaceKind


class DepartureWork(WorkspaceWork, TaskWork, Protocol):
    """What a departure from a workspace touches: the membership and the tasks that were given to the member."""


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


async def release_tasks(
    work: DepartureWork, workspace: WorkspaceId, account: AccountId, by: AccountId, at: datetime
) -> None:
    """Take the open tasks from somebody who works in the workspace no longer; what they have done stays theirs."""
    for task in await work.tasks.assigned(workspace, account):
        task.unassign(account, by, at)
        work.tasks.save(task)
