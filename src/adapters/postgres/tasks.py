"""Tasks and comments in PostgreSQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Text,
    Uuid,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from adapters.postgres.access import STILL_MEMBER, membership
from adapters.postgres.database import Database
from adapters.postgres.failures import REFUSALS
from adapters.postgres.long_reads import LongReads
from adapters.postgres.pages import measured, page_of
from adapters.postgres.statement import Lookup, Part, Statement, lookup_keys
from adapters.postgres.tables import comments, members, tasks, workspaces
from adapters.postgres.unit_of_work import PostgresUnit
from application.paging import Page, decode_cursor, encode_cursor
from application.ports.tasks import CommentView, TaskFilter, TaskQueries, TaskRepository, TaskView, uses_of
from application.ports.unit_of_work import Stale
from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, CommentId, TaskId, WorkspaceId
from domain.tasks import LABEL_MAX, Comment, Priority, Status, Task
from domain.words import WORDS_RULE, words

_FIELDS = tuple(f.name for f in fields(Task) if f.init and f.name != "version")
_COLUMNS = tuple(tasks.c[name] for name in _FIELDS)
_STATUS, _PRIORITY, _CUSTOM = (_FIELDS.index(name) for name in ("status", "priority", "custom"))
# As text rather than an array: words contain nothing that would need quoting, and asyncpg encodes it far faster.
_WORDS = func.cast(bindparam("words", type_=Text), TSVECTOR)
_FIXED = {"id", "workspace_id", "key", "created_by", "created_at"}

# A task, for a member of its workspace.
_KEY = lookup_keys("id", "account")
_MEMBER = membership(tasks.c.workspace_id, _KEY.c.account)
_LOADED = (
    select(*_COLUMNS, tasks.c.version, _MEMBER.c.role, workspaces.c.viewers_comment)
    .select_from(_KEY)
    .join(tasks, tasks.c.id == _KEY.c.id)
    .join(_MEMBER, true())
    .join(workspaces, workspaces.c.id == tasks.c.workspace_id)
)
_GET_ANY = Lookup(_KEY, _LOADED)
_GET = Lookup(_KEY, _LOADED.where(tasks.c.deleted_at.is_(None)))
_IS_OPEN = and_(tasks.c.status != Status.DONE.value, tasks.c.status != Status.CANCELLED.value)
_IS_ASSIGNED = tasks.c.assignees.bool_op("@>")(bindparam("assignee", type_=ARRAY(Uuid)))
_IS_WATCHED = tasks.c.watchers.bool_op("@>")(bindparam("watcher", type_=ARRAY(Uuid)))
_IN_WORKSPACE = tasks.c.workspace_id == bindparam("workspace")
_SOME_OPEN = select(*_COLUMNS, tasks.c.version).where(tasks.c.deleted_at.is_(None), _IS_OPEN).limit(bindparam("most"))
_ASSIGNED = Statement(_SOME_OPEN.where(_IN_WORKSPACE, _IS_ASSIGNED))
_ASSIGNED_ANYWHERE = Statement(_SOME_OPEN.where(_IS_ASSIGNED))
_WATCHED = Statement(_SOME_OPEN.where(_IN_WORKSPACE, _IS_WATCHED))


def _bound(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


# What is found is found by the rule of now.
_FOUND_BY: dict[str, Any] = {"words": _WORDS, "words_rule": literal_column(str(WORDS_RULE))}
# A number that was reserved before the database was restored, and was handed out again since: the next one may do.
REFUSALS["uq_tasks_workspace_id_key"] = Stale
_INSERT = Statement(insert(tasks).values(_bound(*_FIELDS, "version") | _FOUND_BY))

_TEXTS = ("title", "description")
_WRITTEN = tuple(name for name in (*_FIELDS, "version") if name not in _FIXED and name not in _TEXTS)


def _update(*texts: str) -> Statement:
    written = _bound(*_WRITTEN, *texts) | (_FOUND_BY if texts else {})
    return Statement(
        update(tasks).where(tasks.c.id == bindparam("task"), tasks.c.version == bindparam("loaded")).values(written)
    )


# By the texts that changed: those that did not are most of a task, and so is the work of finding their words.
_UPDATES: Mapping[tuple[str, ...], Statement] = {
    texts: _update(*texts) for texts in ((), _TEXTS[:1], _TEXTS[1:], _TEXTS)
}

_COMMENT_FIELDS = tuple(f.name for f in fields(Comment))
_COMMENT = Statement(
    select(*(comments.c[name] for name in _COMMENT_FIELDS)).where(
        comments.c.id == bindparam("id"), comments.c.task_id == bindparam("task")
    )
)
# Only a thing that vanished meanwhile can be missing: what is written was found before.
REFUSALS["fk_comments_task_id"] = NotFound
_INSERT_COMMENT = Statement(insert(comments).values(_bound(*_COMMENT_FIELDS) | _FOUND_BY))
_UPDATE_COMMENT = Statement(
    update(comments)
    .where(comments.c.id == bindparam("comment"))
    .values(_bound("text", "mentions", "updated_at") | _FOUND_BY)
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

    async def assigned(self, workspace: WorkspaceId | None, account: AccountId, most: int) -> Sequence[Task]:
        statement = _ASSIGNED if workspace else _ASSIGNED_ANYWHERE
        rows = await self._unit.fetch(statement, workspace=workspace, assignee=[account], most=most)
        return [self._known(_task(row)) for row in rows]

    async def watched(self, workspace: WorkspaceId, account: AccountId, most: int) -> Sequence[Task]:
        rows = await self._unit.fetch(_WATCHED, workspace=workspace, watcher=[account], most=most)
        return [self._known(_task(row)) for row in rows]

    def _known(self, task: Task) -> Task:
        self._unit.loaded[task.id] = uses_of(task), (task.title, task.description)
        return task

    def _loaded(self, row: asyncpg.Record, by: AccountId) -> tuple[Task, Standing]:
        *columns, role, viewers_comment, _ = row
        task = self._known(_task(columns))
        self._unit.guard(STILL_MEMBER, workspace=task.workspace_id, account=by, role=role)
        return task, Standing(Role(role), viewers_comment)

    def add(self, task: Task) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            yield _INSERT.part(_values(task) | {"words": found_by(task.title, task.description)})
            self._unit.count(uses_of(task))

        self._unit.saving(task, writes)

    def save(self, task: Task) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            after = uses_of(task)
            before, texts_before = self._unit.loaded.get(task.id, (after, (None, None)))  # one of another unit is stale
            texts = tuple(name for name, old in zip(_TEXTS, texts_before, strict=True) if getattr(task, name) != old)
            values = _values(task) | {"task": task.id, "loaded": loaded}
            if texts:
                values["words"] = found_by(task.title, task.description)
            yield _UPDATES[texts].part(values)
            if after != before:
                self._unit.count(after, before)

        self._unit.saving(task, writes)

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
    values = {name: getattr(task, name) for name in _FIELDS}
    values["version"] = task.version
    values["custom"] = msgspec.json.encode(task.custom).decode()
    return values


def found_by(*texts: str) -> str:
    """The words of the texts, as a tsvector is written."""
    return " ".join(words(" ".join(texts)))


_VIEW_COLUMNS = tuple(tasks.c[name] for name in TaskView.__struct_fields__)
_CUSTOM_SEEN = TaskView.__struct_fields__.index("custom")
_COMMENT_VIEW_COLUMNS = tuple(comments.c[name] for name in CommentView.__struct_fields__)
_VISIBLE = and_(
    tasks.c.deleted_at.is_(None),
    members.c.workspace_id == tasks.c.workspace_id,
    members.c.account_id == bindparam("account"),
)
_VIEW = Lookup(
    _KEY,
    select(*_VIEW_COLUMNS)
    .select_from(_KEY)
    .join(tasks, tasks.c.id == _KEY.c.id)
    .join(_MEMBER, true())
    .where(tasks.c.deleted_at.is_(None)),
)
_IS_VISIBLE = Statement(select(tasks.c.id).where(tasks.c.id == bindparam("id"), _VISIBLE))
_IS_MEMBER = Statement(
    select(members.c.role).where(
        members.c.workspace_id == bindparam("workspace"), members.c.account_id == bindparam("account")
    )
)
# What of their JSON is not text, about; and all of their text.
_SIZE = (
    600
    + func.octet_length(tasks.c.title)
    + func.octet_length(tasks.c.description)
    + func.octet_length(tasks.c.custom)
    + func.cardinality(tasks.c.labels) * LABEL_MAX
    + (func.cardinality(tasks.c.assignees) + func.cardinality(tasks.c.watchers)) * 39
)
_WIDE = (tasks.c.description, tasks.c.custom, tasks.c.labels, tasks.c.watchers)
_COMMENT_SIZE = 250 + func.octet_length(comments.c.text) + func.cardinality(comments.c.mentions) * 39
_COMMENTS = measured(
    select(*_COMMENT_VIEW_COLUMNS).where(comments.c.task_id == bindparam("task"), comments.c.id > bindparam("after")),
    _COMMENT_SIZE,
    [comments.c.text],
    comments.c.id,
)
_BEFORE_ALL = UUID(int=0)

_QUERY = func.cast(bindparam("words", type_=Text), TSQUERY)
# As an array, whose tasks an index finds as that of words finds the others. The query is a subquery of its own: if
# PostgreSQL knows it beforehand, it takes a prefix for 2 % of all comments, and rather reads them one by one.
_COMMENTED = (
    select(comments.c.task_id).where(comments.c.words.bool_op("@@")(select(_QUERY).scalar_subquery())).scalar_subquery()
)
_NEVER = sql("'infinity'::timestamptz")
_DUE = func.coalesce(tasks.c.due_at, _NEVER)  # as the index has it
# What a list can be sorted by, and how its cursors keep the key of the last item.
_SORT_KEYS: Mapping[str, tuple[ColumnElement[Any], type]] = {
    "created_at": (tasks.c.created_at, datetime),
    "updated_at": (tasks.c.updated_at, datetime),
    "due_at": (_DUE, datetime),
    "priority": (tasks.c.priority_rank, int),
}
# Conditions that are always the same expression.
_FIXED_CONDITIONS: Mapping[str, ColumnElement[bool]] = {
    "assignee": _IS_ASSIGNED,
    "unassigned": func.cardinality(tasks.c.assignees) == 0,
    "open_only": _IS_OPEN,
    "dated": _DUE < _NEVER,
    "undated": _DUE == _NEVER,
}
_EVERYTHING = TaskFilter()
# What has an index of its own, by which fewer tasks are read than by the order of all, where they may be the last ones.
_FOUND = frozenset({"assignee", "words"})
# Those that are part of the statement only if they are set.
CONDITIONS = tuple(name for name in TaskFilter.__struct_fields__ if name != "archived")
_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


def _view(columns: Sequence[Any]) -> TaskView:
    values = list(columns)
    values[_CUSTOM_SEEN] = msgspec.json.decode(values[_CUSTOM_SEEN])
    return TaskView(*values)


class PostgresTaskQueries(TaskQueries):
    """Tasks for reading only, from row to view without a detour.

    A list that an index has in just its order is read like anything else; for the others there are the `long_reads`.
    """

    def __init__(self, database: Database, long_reads: LongReads) -> None:
        self._database = database
        self._long_reads = long_reads

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        row = await self._database.look_up(_VIEW, id, by)
        if row is None:
            raise NotFound
        return _view(row[:-1])

    async def page(
        self, workspace: WorkspaceId, by: AccountId, wanted: TaskFilter, sort: str, cursor: str | None, limit: int
    ) -> Page[TaskView]:
        name = sort.removeprefix("-")
        query = f"tasks {workspace} {sort} {msgspec.json.encode(wanted).decode()}"
        values = {
            "workspace": workspace,
            "key": wanted.key,
            "account": by,
            "status": wanted.status,
            "priority": wanted.priority,
            "assignee": [wanted.assignee],
            "label": wanted.label,
            "created_by": wanted.created_by,
            "due_before": wanted.due_before,
            "due_after": wanted.due_after,
            "words": " & ".join(f"'{word}':*" for word in wanted.words or ()),
        }
        conditions = tuple(f for f in CONDITIONS if getattr(wanted, f) != getattr(_EVERYTHING, f))
        parts = parts_of(conditions, sort)
        if cursor is not None:
            kind = _SORT_KEYS[name][1]
            values["after_key"], values["after_id"] = decode_cursor(cursor, query, kind | None, UUID)
            if values["after_key"] is None:
                values["after_key"] = datetime.max.replace(tzinfo=UTC)
                parts = parts[-1:]
        is_long = not is_walked(conditions, wanted.archived, sort)

        async def fetch(limit: int, most: int) -> Sequence[asyncpg.Record]:
            rows: list[asyncpg.Record] = []
            for part in parts:
                if len(rows) < limit:
                    statement = _page(part, wanted.archived, sort, cursor is not None and part == parts[0])
                    limited = values | {"limit": limit - len(rows), "most": most}
                    if is_long:
                        rows += await self._long_reads.fetch(by, statement, limited)
                    else:
                        rows += await self._database.fetch(statement, **limited)
            return rows

        def cursor_behind(last: TaskView) -> str:
            key = _RANKS[last.priority] if name == "priority" else getattr(last, name)
            return encode_cursor(query, key, last.id)

        page = await page_of(fetch, limit, lambda row: _view(row[:-1]), cursor_behind)
        if not page.data and await self._database.fetchrow(_IS_MEMBER, workspace=workspace, account=by) is None:
            raise NotFound
        return page

    async def comments(self, task: TaskId, by: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        query = f"comments {task}"
        after = _BEFORE_ALL if cursor is None else decode_cursor(cursor, query, UUID)[0]
        page = await page_of(
            lambda limit, most: self._database.fetch(_COMMENTS, task=task, after=after, limit=limit, most=most),
            limit,
            lambda row: CommentView(*row[:-1]),
            lambda last: encode_cursor(query, last.id),
        )
        if await self._database.fetchrow(_IS_VISIBLE, id=task, account=by) is None:
            raise NotFound
        return page


def parts_of(conditions: tuple[str, ...], sort: str) -> Sequence[tuple[str, ...]]:
    """The conditions of each part of a list: tasks without a due date are last, and in the index behind the latest."""
    if sort == "-due_at" and {"due_before", "due_after"}.isdisjoint(conditions):
        return ((*conditions, "dated"), (*conditions, "undated"))
    return (conditions,)


def is_walked(conditions: Sequence[str], archived: bool | None, sort: str) -> bool:
    """Whether an index has just what this list shows, in its order, so that no row is read that it does not show."""
    name = sort.removeprefix("-")
    if "key" in conditions:
        return True
    if archived is False and name == "due_at":
        return {"due_before", "due_after"}.issuperset(conditions)
    walked = {True: ("created_at",), False: ("created_at", "priority"), None: ()}
    return not conditions and name in walked[archived]


@lru_cache(maxsize=1024)
def _page(conditions: Sequence[str], archived: bool | None, sort: str, continued: bool) -> Statement:
    """The list with just these conditions in it, so that each has the plan it deserves; compiled once."""
    name = sort.removeprefix("-")
    key, _ = _SORT_KEYS[name]
    if name != "created_at" and not _FOUND.isdisjoint(conditions):
        key = func.greatest(key)  # the same, of which there is no index
    falling = sort.startswith("-")
    statement = (
        select(*_VIEW_COLUMNS)
        .where(tasks.c.workspace_id == bindparam("workspace"), _VISIBLE)
        .where(*(_condition(name) for name in conditions))
    )
    if archived is not None:
        statement = statement.where(tasks.c.archived_at.is_not(None) if archived else tasks.c.archived_at.is_(None))
    if continued:
        after = tuple_(bindparam("after_key", type_=key.type), bindparam("after_id", type_=Uuid))
        place = tuple_(key, tasks.c.id)
        statement = statement.where(place < after if falling else place > after)
    order = (tasks.c.id,) if "undated" in conditions else (key, tasks.c.id)
    return measured(statement, _SIZE, _WIDE, *order, descending=falling)


def _condition(name: str) -> ColumnElement[bool]:
    def one_of(column: Column[Any]) -> ColumnElement[bool]:
        return column == func.any(bindparam(column.name, type_=ARRAY(Text)))

    match name:
        case "key":
            return tasks.c.key == bindparam("key")
        case "status":
            return one_of(tasks.c.status)
        case "priority":
            return one_of(tasks.c.priority)
        case "label":
            return bindparam("label", type_=Text) == func.any(tasks.c.labels)
        case "created_by":
            return tasks.c.created_by == bindparam("created_by")
        case "due_before":
            return bindparam("due_before", type_=tasks.c.due_at.type) > _DUE
        case "due_after":
            return and_(bindparam("due_after", type_=tasks.c.due_at.type) <= _DUE, _DUE < _NEVER)
        case "words":
            return or_(tasks.c.words.bool_op("@@")(_QUERY), tasks.c.id == func.any(func.array(_COMMENTED)))
        case _:
            return _FIXED_CONDITIONS[name]
