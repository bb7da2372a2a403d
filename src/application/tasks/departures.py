"""Unassigns the tasks of accounts that may no longer have any, and drops those that nobody else ever saw."""

from datetime import datetime

from application.erasure import DELETED, MOST
from application.ports.consumers import Consumer
from application.ports.events import EventView
from application.ports.tasks import TaskUpkeep, TaskWork
from domain.ids import AccountId, WorkspaceId

AT_ONCE = 100


async def release(
    work: TaskWork, account: AccountId, workspace: WorkspaceId | None, is_out: bool, by: AccountId | None, now: datetime
) -> bool:
    """Unassign the account from the open tasks of the workspace, or of all workspaces if that is None.

    An account that `is_out` of the workspace no longer watches them either. Closed tasks stay assigned. If the account
    may have tasks again by now, it keeps those that were not taken yet. Returns whether all is done; if not, this was a
    piece of 100 tasks.
    """
    # The tasks are read before the membership, so none is among them that the account was given after it came back.
    tasks = await work.tasks.assigned(workspace, account, AT_ONCE)
    if workspace is None or not is_out:
        has_left = False
    else:
        tasks = tasks or await work.tasks.watched(workspace, account, AT_ONCE)
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


def erasing(upkeep: TaskUpkeep) -> Consumer[TaskWork]:
    """Drops the tasks in the personal workspace of a deleted account."""

    async def erase(work: TaskWork, event: EventView, now: datetime) -> bool:
        return await upkeep.erase(WorkspaceId(event.resource.id), MOST) == 0

    return Consumer("tasks_erase", DELETED, erase)
