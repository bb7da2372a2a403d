"""The use cases of tasks, their watchers and their comments."""

import re
from collections.abc import Sequence
from uuid import UUID

import msgspec

from application.limits import charge
from application.paging import Page, decode_cursor, encode_cursor
from application.ports.system import Clock, Ids
from application.ports.tasks import CommentView, TaskNumbers, TaskQueries, TaskView, TaskWork
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from application.tasks.filters import filter_of
from application.tasks.messages import (
    Bulk,
    BulkCreate,
    BulkDelete,
    BulkFailure,
    BulkOperation,
    BulkReport,
    BulkResult,
    BulkUpdate,
    Instant,
    Misshapen,
    NewComment,
    NewTask,
    TaskPatch,
    TaskQuery,
    TaskRef,
)
from application.tasks.scopes import TASKS_READ, TASKS_WRITE
from application.tasks.steps import Steps, require_assignable, require_version, view_of, workspace_of
from application.turns import Turn
from domain.access import Permission, Standing
from domain.errors import DomainError, Invalid, NotFound
from domain.ids import AccountId, CommentId, TaskId
from domain.tasks import Task

_MENTION = re.compile(r"@\{?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}?")
_OVERDUE = "overdue tasks"


class Tasks:
    """The use cases of tasks. To an account that is no member of the workspace, its tasks are NotFound."""

    def __init__(
        self, work: UnitOfWork[TaskWork], queries: TaskQueries, numbers: TaskNumbers, clock: Clock, ids: Ids
    ) -> None:
        self._work = work
        self._queries = queries
        self._steps = Steps(numbers, clock, ids)
        self._clock = clock
        self._ids = ids

    async def read(self, actor: Principal, id: TaskId) -> TaskView:
        actor.require(TASKS_READ)
        task = await self._queries.view(id, actor.account_id)
        actor.require_within(task.workspace_id)
        return task

    async def page(
        self, actor: Principal, workspace: UUID | None, query: TaskQuery, sort: str, cursor: str | None, limit: int
    ) -> Page[TaskView]:
        """A page of the tasks that meet `query`, in the given workspace or else the caller's personal one."""
        actor.require(TASKS_READ)
        now = self._clock.now()
        if query.overdue and cursor is not None:
            # Every page uses the time of the first one, because a different time would make a different query.
            now, cursor = decode_cursor(cursor, _OVERDUE, Instant, str)
        wanted = filter_of(actor, query, now)
        page = await self._queries.page(workspace_of(actor, workspace), actor.account_id, wanted, sort, cursor, limit)
        if query.overdue and page.next_cursor is not None:
            return Page(page.data, encode_cursor(_OVERDUE, now, page.next_cursor))
        return page

    @retried
    async def open(self, actor: Principal, new: NewTask) -> TaskView:
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task = await self._steps.open(work, actor, new)
        return view_of(task)

    @retried
    async def edit(self, actor: Principal, id: TaskId, patch: TaskPatch, version: int | None = None) -> TaskView:
        """Apply a merge patch. VersionConflict if `version` is neither None nor the present one."""
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            await self._steps.edit(work, actor, task, standing, patch, version)
        return view_of(task)

    @retried
    async def archive(self, actor: Principal, id: TaskId, version: int | None = None) -> TaskView:
        """Put the task away, so that lists leave it out by default. Doing it twice changes nothing."""
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            standing.require(Permission.EDIT_TASKS)
            require_version(task, version)
            task.archive(actor.account_id, self._clock.now())
            work.tasks.save(task)
        return view_of(task)

    @retried
    async def unarchive(self, actor: Principal, id: TaskId, version: int | None = None) -> TaskView:
        """Undo `archive`. Doing it twice changes nothing."""
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            standing.require(Permission.EDIT_TASKS)
            require_version(task, version)
            task.unarchive(actor.account_id, self._clock.now())
            work.tasks.save(task)
        return view_of(task)

    @retried
    async def delete(self, actor: Principal, id: TaskId, version: int | None = None) -> None:
        """Delete a task of the caller or, with the right to it, any task. It can be restored."""
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            self._steps.delete(work, actor, task, standing, version)

    @retried
    async def restore(self, actor: Principal, id: TaskId) -> TaskView:
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id, deleted=True)
            standing.require(Permission.EDIT_TASKS)
            was_open = task.is_open
            task.restore(actor.account_id, standing, self._clock.now())
            if task.is_open and not was_open:
                await self._steps.part_with_others(work, actor, task)
            work.tasks.save(task)
        return view_of(task)

    @retried
    async def assign(self, actor: Principal, id: TaskId, account: AccountId) -> TaskView:
        """Assign the task to an active member who is no viewer; NotAMember for any other account."""
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            standing.require(Permission.EDIT_TASKS)
            if account not in task.assignees:
                await require_assignable(work, task.workspace_id, [account], "")
                await self._steps.part_with_others(work, actor, task)
                task.assign(account, actor.account_id, self._clock.now())
                work.tasks.save(task)
        return view_of(task)

    @retried
    async def unassign(self, actor: Principal, id: TaskId, account: AccountId) -> TaskView:
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            standing.require(Permission.EDIT_TASKS)
            task.unassign(account, actor.account_id, self._clock.now())
            work.tasks.save(task)
        return view_of(task)

    @retried
    async def claim(self, actor: Principal, id: TaskId) -> TaskView:
        """Assign the caller to a task without assignees. Of several callers at once, one gets it."""
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            standing.require(Permission.EDIT_TASKS)
            if any(account != actor.account_id for account in task.assignees):
                await self._steps.part_with_others(work, actor, task)
            task.claim(actor.account_id, self._clock.now())
            work.tasks.save(task)
        return view_of(task)

    @retried
    async def watch(self, actor: Principal, id: TaskId) -> None:
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, _ = await self._steps.find(work, actor, id)
            task.watch(actor.account_id, self._clock.now())
            work.tasks.save(task)

    @retried
    async def unwatch(self, actor: Principal, id: TaskId) -> None:
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, _ = await self._steps.find(work, actor, id)
            task.unwatch(actor.account_id, actor.account_id, self._clock.now())
            work.tasks.save(task)

    async def comments(self, actor: Principal, id: TaskId, cursor: str | None, limit: int) -> Page[CommentView]:
        actor.require(TASKS_READ)
        if actor.within is not None:  # comments do not say where their task is
            await self.read(actor, id)
        return await self._queries.comments(id, actor.account_id, cursor, limit)

    @retried
    async def comment(self, actor: Principal, id: TaskId, new: NewComment) -> CommentView:
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            standing.require(Permission.COMMENT)
            mentions = await self._mentioned(work, task, new.text)
            now = self._clock.now()
            comment = task.comment(CommentId(self._ids.new()), new.text, mentions, actor.account_id, now)
            work.tasks.add_comment(comment)
            work.tasks.save(task)
        return msgspec.convert(comment, CommentView, from_attributes=True)

    @retried
    async def edit_comment(self, actor: Principal, id: TaskId, comment_id: CommentId, new: NewComment) -> CommentView:
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            standing.require(Permission.COMMENT)
            comment = await work.tasks.comment(comment_id, task.id)
            mentions = await self._mentioned(work, task, new.text)
            task.edit_comment(comment, new.text, mentions, actor.account_id, self._clock.now())
            if task.has_news:
                work.tasks.save_comment(comment)
                work.tasks.save(task)
        return msgspec.convert(comment, CommentView, from_attributes=True)

    @retried
    async def delete_comment(self, actor: Principal, id: TaskId, comment_id: CommentId) -> None:
        actor.require(TASKS_WRITE)
        async with self._work() as work:
            task, standing = await self._steps.find(work, actor, id)
            standing.require(Permission.COMMENT)
            comment = await work.tasks.comment(comment_id, task.id)
            task.delete_comment(comment, actor.account_id, standing, self._clock.now())
            work.tasks.remove_comment(comment)
            work.tasks.save(task)

    async def bulk(self, actor: Principal, bulk: Bulk) -> BulkReport:
        """Apply up to 100 operations: all in one unit of work, or each in its own.

        In one unit, any refusal undoes all and points to its operation. Ten operations count as one request.
        """
        actor.require(TASKS_WRITE)
        await charge(len(bulk.operations) / 10)
        if bulk.mode == "atomic":
            return await self._all(actor, bulk.operations)
        results = []
        for index, operation in enumerate(bulk.operations):
            try:
                (result,) = (await self._all(actor, [operation], index)).results
                results.append(BulkResult(index, result.task, None))
            except DomainError as refusal:
                results.append(BulkResult(index, None, BulkFailure(refusal.code, refusal.detail, refusal.pointer)))
        return BulkReport(results, sum(result.error is not None for result in results))

    @retried
    async def _all(self, actor: Principal, operations: Sequence[BulkOperation], first: int = 0) -> BulkReport:
        async with self._work() as work:
            wanted = {TaskId(o.id) for o in operations if isinstance(o, BulkUpdate | BulkDelete)}
            found = await self._steps.find_many(work, actor, wanted) if wanted else {}
            touched: list[Task | None] = []
            turn = Turn()
            for index, operation in enumerate(operations, first):
                await turn.share()
                try:
                    touched.append(await self._one(work, actor, operation, found))
                except DomainError as refusal:
                    refusal.pointer = f"/operations/{index}{_place(operation, refusal)}"
                    raise
        refs = [TaskRef(task.id, task.key, task.version) if task else None for task in touched]
        return BulkReport([BulkResult(index, ref, None) for index, ref in enumerate(refs)], 0)

    async def _one(
        self, work: TaskWork, actor: Principal, operation: BulkOperation, found: dict[TaskId, tuple[Task, Standing]]
    ) -> Task | None:
        if isinstance(operation, Misshapen):
            raise Invalid(operation.detail, pointer=operation.pointer)
        if isinstance(operation, BulkCreate):
            return await self._steps.open(work, actor, operation.task)
        if TaskId(operation.id) not in found:
            raise NotFound
        task, standing = found[TaskId(operation.id)]
        if isinstance(operation, BulkUpdate):
            await self._steps.edit(work, actor, task, standing, operation.patch, operation.version)
            return task
        self._steps.delete(work, actor, task, standing, operation.version)
        del found[task.id]
        return None

    async def _mentioned(self, work: TaskWork, task: Task, text: str) -> list[AccountId]:
        """The members whom a text mentions. A mention of any other account is only text."""
        named = dict.fromkeys(AccountId(UUID(match)) for match in _MENTION.findall(text))
        members = await work.access.members(task.workspace_id, frozenset(named)) if named else frozenset()
        return [account for account in named if account in members]


def _place(operation: BulkOperation, refusal: DomainError) -> str:
    """The pointer of a refusal inside an operation. A refusal itself points only to a field of the task."""
    match operation:
        case BulkCreate() if refusal.pointer:
            return f"/task{refusal.pointer}"
        case BulkUpdate() if refusal.pointer:
            return f"/patch{refusal.pointer}"
        case _:
            return refusal.pointer or ""
