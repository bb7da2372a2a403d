"""Tasks and their comments in memory."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.pages import page_of
from adapters.memory.unit import USAGE, MemoryUnit
from adapters.memory.workspaces import WORKSPACES, standing_in, still
from application.paging import Page, decode_cursor
from application.ports.events import Entry
from application.ports.tasks import (
    COUNTED,
    CommentView,
    TaskFilter,
    TaskNumbers,
    TaskQueries,
    TaskRepository,
    TaskUpkeep,
    TaskView,
    TaskWords,
    counted,
)
from application.ports.unit_of_work import Stale
from domain.access import Standing
from domain.errors import NotFound
from domain.ids import AccountId, CommentId, TaskId, WorkspaceId
from domain.tasks import Comment, Priority, Reminder, Status, Task
from domain.words import words

TASKS: Table[TaskId, Task] = Table("tasks")
COMMENTS: Table[CommentId, Comment] = Table("comments")

_Instant = Annotated[datetime, Meta(tz=True)]
_NEVER = datetime.max.replace(tzinfo=UTC)
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_RANK = {priority: rank for rank, priority in enumerate(Priority)}
_CLOSED = frozenset({Status.DONE, Status.CANCELLED})
_encode = msgspec.json.Encoder(order="deterministic").encode

# The sort key of each order, and its type in a cursor.
_SORT_KEYS: Mapping[str, tuple[Callable[[Task], Any], Any]] = {
    "created_at": (lambda task: task.created_at, _Instant),
    "updated_at": (lambda task: task.updated_at, _Instant),
    "due_at": (lambda task: task.due_at or _NEVER, _Instant),
    "-due_at": (lambda task: task.due_at or _BEFORE_ALL, _Instant),
    "priority": (lambda task: _RANK[task.priority], int),
}


class MemoryTasks(TaskRepository):
    """Tasks inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: TaskId, by: AccountId, deleted: bool = False) -> tuple[Task, Standing]:
        found = self._found(id, by, deleted)
        if found is None:
            raise NotFound
        return found

    async def get_many(self, ids: Collection[TaskId], by: AccountId) -> Mapping[TaskId, tuple[Task, Standing]]:
        return {id: found for id in ids if (found := self._found(id, by))}

    async def any(self, id: TaskId) -> Task:
        task = self._unit.tables[TASKS].get(id)
        if task is None or task.deleted_at:
            raise NotFound
        return self._known(task)

    async def assigned(self, workspace: WorkspaceId | None, account: AccountId, most: int) -> Sequence[Task]:
        return self._open(lambda task: account in task.assignees and workspace in (None, task.workspace_id), most)

    async def watched(self, workspace: WorkspaceId, account: AccountId, most: int) -> Sequence[Task]:
        return self._open(lambda task: account in task.watchers and workspace == task.workspace_id, most)

    def _open(self, is_wanted: Callable[[Task], bool], most: int) -> Sequence[Task]:
        found = (self._known(task) for task in self._unit.tables[TASKS].values() if task.is_open and is_wanted(task))
        return list(islice(found, most))

    def _found(self, id: TaskId, by: AccountId, deleted: bool = False) -> tuple[Task, Standing] | None:
        task = self._unit.tables[TASKS].get(id)
        if task is None or (task.deleted_at and not deleted):
            return None
        standing = standing_in(self._unit.tables, task.workspace_id, by)
        if standing is None:
            return None
        self._unit.require(still(task.workspace_id, by, standing))
        return self._known(task), standing

    def add(self, task: Task) -> None:
        self.save(task)

    def save(self, task: Task) -> None:
        known = self._unit.loaded.get(task.id)
        present = [known]

        def look(tables: Tables) -> None:
            stored = tables[TASKS].get(task.id)
            present[0] = stored.remind_at if stored else None

        def kept(saved: Task) -> Task:
            if saved.remind_at == known:  # time may have changed it meanwhile
                return replace(_kept(saved), remind_at=present[0])
            self._unit.note_due(saved.remind_at)
            return _kept(saved)

        self._unit.saving(task.id, task, TASKS, look, kept, lambda t: counted(t).uses(t.workspace_id))

    async def reminder(self, id: TaskId) -> Reminder:
        task = self._unit.tables[TASKS].get(id)
        if task is None or task.due_at is None or task.remind_at is None:
            raise NotFound
        self._unit.loaded["reminder", id] = task.remind_at
        return Reminder(id, task.workspace_id, task.due_at, task.remind_at, task.version)

    def remind(self, reminder: Reminder) -> None:
        id, was = reminder.id, self._unit.loaded["reminder", reminder.id]

        def still(tables: Tables) -> None:
            if tables[TASKS][id].remind_at != was:
                raise Stale

        def write(tables: Tables) -> None:
            self._unit.note_due(reminder.remind_at)
            tables[TASKS][id] = replace(tables[TASKS][id], remind_at=reminder.remind_at)

        if reminder.has_news:
            self._unit.tell(reminder)
            self._unit.require(still)
            self._unit.note(write)

    def _known(self, task: Task) -> Task:
        """A copy of a task, whose reminder is written only if that has changed."""
        self._unit.loaded[task.id] = task.remind_at
        return copied(task)

    async def comment(self, id: CommentId, task: TaskId) -> Comment:
        found = self._unit.tables[COMMENTS].get(id)
        if found is None or found.task_id != task:
            raise NotFound
        return copied(found)

    def add_comment(self, comment: Comment) -> None:
        self.save_comment(comment)

    def save_comment(self, comment: Comment) -> None:
        kept = copied(comment)
        self._unit.note(lambda tables: tables[COMMENTS].__setitem__(kept.id, kept))

    def remove_comment(self, comment: Comment) -> None:
        id = comment.id
        self._unit.note(lambda tables: tables[COMMENTS].__delitem__(id))


class MemoryTaskNumbers(TaskNumbers):
    """Counts the numbers of each workspace."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def next(self, workspace: WorkspaceId) -> str:
        found = self._database.committed[WORKSPACES].get(workspace)
        if found is None:
            raise NotFound
        sequence = ("task numbers", workspace)
        self._database.sequences[sequence] += 1
        return f"{found.task_prefix}-{self._database.sequences[sequence]}"


class MemoryTaskUpkeep(TaskUpkeep):
    """Walks all tasks."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def erase(self, workspace: WorkspaceId, most: int) -> int:
        dropped: list[TaskId] = []

        def drop(tables: Tables) -> Sequence[Entry]:
            theirs = (id for id, task in tables[TASKS].items() if task.workspace_id == workspace)
            dropped.extend(islice(theirs, most))
            for id in dropped:
                del tables[TASKS][id]
            for comment in [each for each in tables[COMMENTS].values() if each.task_id in dropped]:
                del tables[COMMENTS][comment.id]
            if not dropped:
                counted = [use for use in tables[USAGE] if use.scope == workspace and use.kind in COUNTED]
                for use in counted:
                    del tables[USAGE][use]
            return ()

        await self._database.apply(drop, lambda _: None)
        return len(dropped)


class MemoryTaskWords(TaskWords):
    """Does nothing: words are not kept in memory, and every search finds them anew."""

    async def find_anew(self, most: int) -> int:
        return 0


class MemoryTaskQueries(TaskQueries):
    """Tasks for reading only."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        return _view(self._seen(id, by))

    async def page(
        self, workspace: WorkspaceId, by: AccountId, wanted: TaskFilter, sort: str, cursor: str | None, limit: int
    ) -> Page[TaskView]:
        tables = self._database.committed
        if standing_in(tables, workspace, by) is None:
            raise NotFound
        value, type = _SORT_KEYS.get(sort) or _SORT_KEYS[sort.removeprefix("-")]
        query = f"tasks {workspace} {sort} {_encode(wanted).decode()}"
        after = decode_cursor(cursor, query, type, UUID) if cursor is not None else None

        def key(task: Task) -> tuple[Any, UUID]:
            return value(task), task.id

        found = [t for t in tables[TASKS].values() if t.workspace_id == workspace and _meets(t, wanted)]
        if wanted.words is not None:
            found = [t for t in found if any(_has(text, wanted.words) for text in _texts(tables, t))]
        return page_of(found, _view, key, query, after, limit, descending=sort.startswith("-"))

    async def comments(self, task: TaskId, by: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        self._seen(task, by)
        query = f"comments {task}"
        after = decode_cursor(cursor, query, _Instant, UUID) if cursor is not None else None
        found = [comment for comment in self._database.committed[COMMENTS].values() if comment.task_id == task]
        return page_of(found, _comment_view, _age, query, after, limit)

    async def of_person(self, account: AccountId, deleted: bool, cursor: str | None, limit: int) -> Page[TaskView]:
        query = f"{deleted} tasks of {account}"
        after = decode_cursor(cursor, query, UUID) if cursor is not None else None
        tables = self._database.committed
        said = {comment.task_id for comment in tables[COMMENTS].values() if comment.author_id == account}
        found = [
            task
            for task in tables[TASKS].values()
            if bool(task.deleted_at) is deleted
            and standing_in(tables, task.workspace_id, account)
            and (
                task.created_by == account
                or (not deleted and (account in (*task.assignees, *task.watchers) or task.id in said))
            )
        ]
        return page_of(found, _view, lambda task: (task.id,), query, after, limit)

    async def comments_of_person(self, account: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        query = f"comments of {account}"
        after = decode_cursor(cursor, query, UUID) if cursor is not None else None
        tables = self._database.committed
        found = [
            comment
            for comment in tables[COMMENTS].values()
            if comment.author_id == account and self._may_see(tables[TASKS][comment.task_id], account)
        ]
        return page_of(found, _comment_view, lambda comment: (comment.id,), query, after, limit)

    def _may_see(self, task: Task, by: AccountId) -> bool:
        standing = standing_in(self._database.committed, task.workspace_id, by)
        return not task.deleted_at and standing is not None

    def _seen(self, id: TaskId, by: AccountId) -> Task:
        tables = self._database.committed
        task = tables[TASKS].get(id)
        if task is None or task.deleted_at or standing_in(tables, task.workspace_id, by) is None:
            raise NotFound
        return task


def _kept(task: Task) -> Task:
    """A copy of the task to keep. `custom` is turned into the types that JSON has."""
    return replace(copied(task), custom=msgspec.json.decode(msgspec.json.encode(task.custom)))


def _view(task: Task) -> TaskView:
    return msgspec.convert(copied(task), TaskView, from_attributes=True)


def _comment_view(comment: Comment) -> CommentView:
    return msgspec.convert(comment, CommentView, from_attributes=True)


def _age(comment: Comment) -> tuple[datetime, UUID]:
    return comment.created_at, comment.id


def _meets(task: Task, wanted: TaskFilter) -> bool:
    if task.deleted_at or (wanted.open_only and task.status in _CLOSED):
        return False
    if wanted.archived is not None and wanted.archived != (task.archived_at is not None):
        return False
    if wanted.key is not None and wanted.key != task.key:
        return False
    if wanted.status and task.status not in wanted.status:
        return False
    if wanted.priority and task.priority not in wanted.priority:
        return False
    if wanted.assignee and wanted.assignee not in task.assignees:
        return False
    if wanted.unassigned and task.assignees:
        return False
    if wanted.label is not None and wanted.label not in task.labels:
        return False
    if wanted.created_by and wanted.created_by != task.created_by:
        return False
    if wanted.due_before and not (task.due_at and task.due_at < wanted.due_before):
        return False
    return not wanted.due_after or bool(task.due_at and task.due_at >= wanted.due_after)


def _texts(tables: Tables, task: Task) -> Iterator[str]:
    yield f"{task.title} {task.description}"
    yield from (comment.text for comment in tables[COMMENTS].values() if comment.task_id == task.id)


def _has(text: str, prefixes: Sequence[str]) -> bool:
    known = words(text)
    return bool(prefixes) and all(any(word.startswith(prefix) for word in known) for prefix in prefixes)
