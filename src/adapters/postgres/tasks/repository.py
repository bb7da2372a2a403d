"""Tasks and comments inside a unit of work."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import compress, product
from operator import attrgetter, ne
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import Text, bindparam, delete, func, insert, literal_column, select, true, update
from sqlalchemy.dialects.postgresql import TSVECTOR

from adapters.postgres.access import STILL_MEMBER
from adapters.postgres.failures import REFUSALS
from adapters.postgres.statement import Lookup, Part, Statement, bound
from adapters.postgres.tables import comments, tasks, workspaces
from adapters.postgres.tasks.terms import IS_ASSIGNED, IS_OPEN, IS_WATCHED, KEY, MEMBER
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.tasks import TaskRepository, counted
from application.ports.unit_of_work import Stale
from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, CommentId, TaskId, WorkspaceId
from domain.tasks import Comment, Priority, Reminder, Status, Task
from domain.words import WORDS_RULE, words

_FIELDS = tuple(f.name for f in fields(Task) if f.init and f.name != "version")
_fields_of = attrgetter(*_FIELDS)
_COLUMNS = tuple(tasks.c[name] for name in _FIELDS)
_STATUS, _PRIORITY, _CUSTOM = (_FIELDS.index(name) for name in ("status", "priority", "custom"))
# A text and not an array, because asyncpg encodes it far faster. Words contain nothing that needs quoting.
_WORDS = func.cast(bindparam("words", type_=Text), TSVECTOR)
_FIXED = {"id", "workspace_id", "key", "created_by", "created_at"}

_LOADED = (
    select(*_COLUMNS, tasks.c.version, MEMBER.c.role, workspaces.c.viewers_comment)
    .select_from(KEY)
    .join(tasks, tasks.c.id == KEY.c.id)
    .join(MEMBER, true())
    .join(workspaces, workspaces.c.id == tasks.c.workspace_id)
)
_GET_ANY = Lookup(KEY, _LOADED)
_GET = Lookup(KEY, _LOADED.where(tasks.c.deleted_at.is_(None)))
_ANY = Statement(select(*_COLUMNS, tasks.c.version).where(tasks.c.id == bindparam("id"), tasks.c.deleted_at.is_(None)))
_IN_WORKSPACE = tasks.c.workspace_id == bindparam("workspace")
_SOME_OPEN = select(*_COLUMNS, tasks.c.version).where(tasks.c.deleted_at.is_(None), IS_OPEN).limit(bindparam("most"))
_ASSIGNED = Statement(_SOME_OPEN.where(_IN_WORKSPACE, IS_ASSIGNED))
_ASSIGNED_ANYWHERE = Statement(_SOME_OPEN.where(IS_ASSIGNED))
_WATCHED = Statement(_SOME_OPEN.where(_IN_WORKSPACE, IS_WATCHED))


# Words are written together with the version of the rule that has split them.
_FOUND_BY: dict[str, Any] = {"words": _WORDS, "words_rule": literal_column(str(WORDS_RULE))}

# The number was reserved before the database was restored, and was used again since. Another try gets the next number.
REFUSALS["uq_tasks_workspace_id_key"] = Stale
_INSERT = Statement(insert(tasks).values(bound(*_FIELDS, "version") | _FOUND_BY))

_TEXTS = ("title", "description")
_SELDOM = (*_TEXTS, "remind_at")
_WRITTEN = tuple(name for name in (*_FIELDS, "version") if name not in _FIXED and name not in _SELDOM)


def _update(*changed: str) -> Statement:
    written = bound(*_WRITTEN, *changed) | ({} if set(_TEXTS).isdisjoint(changed) else _FOUND_BY)
    return Statement(
        update(tasks).where(tasks.c.id == bindparam("task"), tasks.c.version == bindparam("loaded")).values(written)
    )


# By what of `_SELDOM` has changed. Unchanged texts are not written, because texts and their words are most of the work,
# and neither is an unchanged reminder, because time may have changed it meanwhile.
_UPDATES: Mapping[tuple[bool, ...], Statement] = {
    changed: _update(*compress(_SELDOM, changed)) for changed in product((False, True), repeat=len(_SELDOM))
}
_REMINDER = Statement(
    select(tasks.c.id, tasks.c.workspace_id, tasks.c.due_at, tasks.c.remind_at, tasks.c.version).where(
        tasks.c.id == bindparam("id"), tasks.c.remind_at.is_not(None)
    )
)
_UPDATE_REMINDER = Statement(
    update(tasks)
    .where(tasks.c.id == bindparam("task"), tasks.c.remind_at == bindparam("was"))
    .values(remind_at=bindparam("next"))
)

_COMMENT_FIELDS = tuple(f.name for f in fields(Comment))
_COMMENT = Statement(
    select(*(comments.c[name] for name in _COMMENT_FIELDS)).where(
        comments.c.id == bindparam("id"), comments.c.task_id == bindparam("task")
    )
)
# The task was found before the comment was written, so it can only have vanished meanwhile.
REFUSALS["fk_comments_task_id"] = NotFound
_INSERT_COMMENT = Statement(insert(comments).values(bound(*_COMMENT_FIELDS) | _FOUND_BY))
_UPDATE_COMMENT = Statement(
    update(comments)
    .where(comments.c.id == bindparam("comment"))
    .values(bound("text", "mentions", "updated_at") | _FOUND_BY)
)
_DELETE_COMMENT = Statement(delete(comments).where(comments.c.id == bindparam("comment")))


class PostgresTasks(TaskRepository):
    """Tasks inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: TaskId, by: AccountId, deleted: bool = False) -> tuple[Task, Standing]:
        row = await self._unit.look_up(_GET_ANY if deleted else _GET, id, by)
        if row is None:
            raise NotFound
        return self._loaded(row, by)

    async def get_many(self, ids: Collection[TaskId], by: AccountId) -> Mapping[TaskId, tuple[Task, Standing]]:
        rows = await self._unit.fetch(_GET, **_GET.values([(id, by) for id in ids]))
        return {row[0]: self._loaded(row, by) for row in rows}

    async def any(self, id: TaskId) -> Task:
        row = await self._unit.fetchrow(_ANY, id=id)
        if row is None:
            raise NotFound
        return self._known(_task(row))

    async def assigned(self, workspace: WorkspaceId | None, account: AccountId, most: int) -> Sequence[Task]:
        statement = _ASSIGNED if workspace else _ASSIGNED_ANYWHERE
        rows = await self._unit.fetch(statement, workspace=workspace, assignee=[account], most=most)
        return [self._known(_task(row)) for row in rows]

    async def watched(self, workspace: WorkspaceId, account: AccountId, most: int) -> Sequence[Task]:
        rows = await self._unit.fetch(_WATCHED, workspace=workspace, watcher=[account], most=most)
        return [self._known(_task(row)) for row in rows]

    def _known(self, task: Task) -> Task:
        self._unit.loaded[task.id] = counted(task), task.title, task.description, task.remind_at
        return task

    def _loaded(self, row: asyncpg.Record, by: AccountId) -> tuple[Task, Standing]:
        *columns, role, viewers_comment, _ = row
        task = self._known(_task(columns))
        self._unit.guard(STILL_MEMBER, workspace=task.workspace_id, account=by, role=role)
        return task, Standing(Role(role), viewers_comment)

    def add(self, task: Task) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            values = _values(task)
            values["words"] = found_by(task.title, task.description)
            self._unit.count(counted(task).uses(task.workspace_id))
            self._unit.note_due(task.remind_at)
            return [_INSERT.part(values)]

        self._unit.saving(task, writes)

    def save(self, task: Task) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            after = counted(task)
            # If another unit has loaded the task, this write is stale.
            before, *known = self._unit.loaded.get(task.id, (after, None, None, None))
            changed = tuple(map(ne, (task.title, task.description, task.remind_at), known))
            values = _values(task)
            values["task"], values["loaded"] = task.id, loaded
            if changed[-1]:
                self._unit.note_due(task.remind_at)
            if any(changed[:-1]):
                values["words"] = found_by(task.title, task.description)
            if after != before:
                self._unit.count(after.uses(task.workspace_id), before.uses(task.workspace_id))
            return [_UPDATES[changed].part(values)]

        self._unit.saving(task, writes)

    async def reminder(self, id: TaskId) -> Reminder:
        row = await self._unit.fetchrow(_REMINDER, id=id)
        if row is None:
            raise NotFound
        reminder = Reminder(*row)
        self._unit.loaded["reminder", id] = reminder.remind_at
        return reminder

    def remind(self, reminder: Reminder) -> None:
        was = self._unit.loaded["reminder", reminder.id]

        def writes(loaded: int) -> Iterable[Part]:
            self._unit.note_due(reminder.remind_at)
            return [_UPDATE_REMINDER.part({"task": reminder.id, "was": was, "next": reminder.remind_at})]

        self._unit.saving(reminder, writes)

    async def comment(self, id: CommentId, task: TaskId) -> Comment:
        row = await self._unit.fetchrow(_COMMENT, id=id, task=task)
        if row is None:
            raise NotFound
        return Comment(*row)

    def add_comment(self, comment: Comment) -> None:
        values = {name: getattr(comment, name) for name in _COMMENT_FIELDS}
        self._unit.note(_INSERT_COMMENT, **values, words=found_by(comment.text))

    def save_comment(self, comment: Comment) -> None:
        self._unit.note(
            _UPDATE_COMMENT,
            comment=comment.id,
            text=comment.text,
            mentions=comment.mentions,
            updated_at=comment.updated_at,
            words=found_by(comment.text),
        )

    def remove_comment(self, comment: Comment) -> None:
        self._unit.note(_DELETE_COMMENT, comment=comment.id)


def _task(columns: Iterable[Any]) -> Task:
    *values, version = columns
    values[_STATUS] = Status(values[_STATUS])
    values[_PRIORITY] = Priority(values[_PRIORITY])
    values[_CUSTOM] = msgspec.json.decode(values[_CUSTOM])
    return Task(*values, version=version)


def _values(task: Task) -> dict[str, Any]:
    values = dict(zip(_FIELDS, _fields_of(task), strict=True))
    values["version"] = task.version
    values["custom"] = msgspec.json.encode(task.custom).decode()
    return values


def found_by(*texts: str) -> str:
    """The words of the texts, in the text form of a tsvector."""
    return " ".join(words(" ".join(texts)))
