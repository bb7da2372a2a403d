"""The steps of the use cases of tasks inside a unit of work: one for a request, several for a bulk."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from application.ports.system import Clock, Ids
from application.ports.tasks import TaskNumbers, TaskView, TaskWork
from application.principal import Principal
from application.tasks.messages import (
    NewTask,
    TaskPatch,
)
from domain.access import Permission, Standing
from domain.errors import Invalid, VersionConflict
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import NotAMember, Task, custom_fields


class Steps:
    """The changes that a request or an operation of a bulk makes to a task. Each checks permissions, and saves."""

    def __init__(self, numbers: TaskNumbers, clock: Clock, ids: Ids) -> None:
        self._numbers = numbers
        self._clock = clock
        self._ids = ids

    async def open(self, work: TaskWork, actor: Principal, new: NewTask) -> Task:
        workspace = workspace_of(actor, None if new.workspace_id is UNSET else new.workspace_id)
        standing = await work.access.standing(workspace, actor.account_id)
        standing.require(Permission.EDIT_TASKS)
        assignees = [AccountId(a) for a in new.assignee_ids]
        if assignees:
            await require_assignable(work, workspace, assignees, "/assignee_ids")
        task = Task.open(
            TaskId(self._ids.new()),
            workspace,
            await self._numbers.next(workspace),
            actor.account_id,
            self._clock.now(),
            assignees,
            title=new.title,
            description=new.description,
            status=new.status,
            priority=new.priority,
            labels=new.labels,
            due_at=_utc(new.due_at, "/due_at"),
            start_at=_utc(new.start_at, "/start_at"),
            estimate_minutes=new.estimate_minutes,
            custom=new.custom,
        )
        work.tasks.add(task)
        return task

    async def find(self, work: TaskWork, actor: Principal, id: TaskId, deleted: bool = False) -> tuple[Task, Standing]:
        """The task and the actor's standing, as `TaskRepository.get`; NotFound if the credential is for elsewhere."""
        task, standing = await work.tasks.get(id, actor.account_id, deleted)
        actor.require_within(task.workspace_id)
        return task, standing

    async def find_many(
        self, work: TaskWork, actor: Principal, ids: Collection[TaskId]
    ) -> dict[TaskId, tuple[Task, Standing]]:
        """Like `find`, for several tasks at once. Those that would be NotFound are missing."""
        found = await work.tasks.get_many(ids, actor.account_id)
        place = actor.place
        return {id: pair for id, pair in found.items() if place in {None, pair[0].workspace_id}}

    async def edit(
        self, work: TaskWork, actor: Principal, task: Task, standing: Standing, patch: TaskPatch, version: int | None
    ) -> None:
        standing.require(Permission.EDIT_TASKS)
        require_version(task, version)
        values = {name: v for name in patch.__struct_fields__ if (v := getattr(patch, name)) is not UNSET}
        for name in ("due_at", "start_at"):
            if name in values:
                values[name] = _utc(values[name], f"/{name}")
        if patch.custom is not UNSET:
            values["custom"] = _merged(task.custom, custom_fields(patch.custom))
        was_open = task.is_open
        task.edit(actor.account_id, self._clock.now(), **values)
        if task.is_open and not was_open:
            await self.part_with_others(work, actor, task)
        work.tasks.save(task)

    async def part_with_others(self, work: TaskWork, actor: Principal, task: Task) -> None:
        """Unassign the accounts that left the workspace while the task was closed or deleted.

        For an open task, the departure itself does so.
        """
        by, now = actor.account_id, self._clock.now()
        others = frozenset({*task.assignees, *task.watchers} - {by})
        members = await work.access.members(task.workspace_id, others)
        able = await work.access.assignable(task.workspace_id, members.intersection(task.assignees))
        for account in [account for account in task.assignees if account in others - able]:
            task.unassign(account, by, now)
        for account in [account for account in task.watchers if account in others - members]:
            task.unwatch(account, by, now)

    def delete(self, work: TaskWork, actor: Principal, task: Task, standing: Standing, version: int | None) -> None:
        standing.require(Permission.EDIT_TASKS)
        require_version(task, version)
        task.delete(actor.account_id, standing, self._clock.now())
        work.tasks.save(task)


def workspace_of(actor: Principal, workspace: UUID | None) -> WorkspaceId:
    """The given workspace, or else the one that the credential is for, or the personal one with the account's id.

    NotFound if the credential is for another one.
    """
    workspace = workspace or actor.place or actor.account_id
    actor.require_within(workspace)
    return WorkspaceId(workspace)


def view_of(task: Task) -> TaskView:
    return msgspec.convert(task, TaskView, from_attributes=True)


def require_version(task: Task, version: int | None) -> None:
    if version is not None and version != task.version:
        raise VersionConflict(view_of(task), task.version)


async def require_assignable(
    work: TaskWork, workspace: WorkspaceId, accounts: Sequence[AccountId], pointer: str
) -> None:
    allowed = await work.access.assignable(workspace, frozenset(accounts))
    for index, account in enumerate(accounts):
        if account not in allowed:
            raise NotAMember(
                "Only an active member who is no viewer can be assigned.",
                pointer=f"{pointer}/{index}" if pointer else None,
            )


def _merged(present: object, patch: object) -> Any:
    """The present value after a JSON merge patch (RFC 7396): objects merge, null removes, other values replace."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(present) if isinstance(present, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _utc(at: datetime | None, pointer: str) -> datetime | None:
    """The same instant in UTC and whole milliseconds, the precision in which instants are shown."""
    if at is None:
        return None
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        raise Invalid("This is beyond the calendar.", pointer=pointer) from None
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
