"""What becomes of the tasks of those who cannot have any more."""

from datetime import datetime

from application.ports.tasks import TaskWork
from domain.ids import AccountId, WorkspaceId

AT_ONCE = 100


async def release(
    work: TaskWork, account: AccountId, workspace: WorkspaceId | None, is_out: bool, by: AccountId | None, now: datetime
) -> bool:
    """Take the open tasks from somebody who cannot have any in the workspace, or anywhere if that is None, any more.

    Who `is_out` of the workspace watches them no longer either. What they have done stays theirs. If they are back by
    now, they keep what was not taken yet. Returns whether that is all; if not, this was a piece of 100 tasks.
    """
    # The tasks first: what is given to somebody who comes back in between is not among them.
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
