"""Tasks and comments for reading only."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import ColumnElement, Uuid, bindparam, exists, func, select, true, union

from adapters.postgres.database import Database
from adapters.postgres.long_reads import LongReads
from adapters.postgres.pages import measured, page_of
from adapters.postgres.statement import Lookup, Statement
from adapters.postgres.tables import comments, members, tasks
from adapters.postgres.tasks.lists import CONDITIONS, SIZE, SORT_KEYS, WIDE, is_walked, listing, parts_of
from adapters.postgres.tasks.terms import IS_ASSIGNED, IS_WATCHED, KEY, MEMBER, VIEW_COLUMNS, VISIBLE
from application.paging import Page, decode_cursor, encode_cursor
from application.ports.tasks import CommentView, TaskFilter, TaskQueries, TaskView
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Priority

_CUSTOM_SEEN = TaskView.__struct_fields__.index("custom")
_COMMENT_VIEW_COLUMNS = tuple(comments.c[name] for name in CommentView.__struct_fields__)
_VIEW = Lookup(
    KEY,
    select(*VIEW_COLUMNS)
    .select_from(KEY)
    .join(tasks, tasks.c.id == KEY.c.id)
    .join(MEMBER, true())
    .where(tasks.c.deleted_at.is_(None)),
)
_IS_VISIBLE = Statement(select(tasks.c.id).where(tasks.c.id == bindparam("id"), VISIBLE))
_IS_MEMBER = Statement(
    select(members.c.role).where(
        members.c.workspace_id == bindparam("workspace"), members.c.account_id == bindparam("account")
    )
)
_COMMENT_SIZE = 250 + func.octet_length(comments.c.text) + func.cardinality(comments.c.mentions) * 39
_COMMENTS = measured(
    select(*_COMMENT_VIEW_COLUMNS).where(comments.c.task_id == bindparam("task"), comments.c.id > bindparam("after")),
    _COMMENT_SIZE,
    [comments.c.text],
    comments.c.id,
    is_walked=True,
)
_ME = bindparam("account", type_=Uuid)
_MAY_SEE = exists().where(members.c.workspace_id == tasks.c.workspace_id, members.c.account_id == _ME)
_CONCERNING = union(
    select(tasks.c.id).where(tasks.c.created_by == _ME),
    select(tasks.c.id).where(IS_ASSIGNED),
    select(tasks.c.id).where(IS_WATCHED),
    select(comments.c.task_id).where(comments.c.author_id == _ME),
)


def _of_person(*conditions: ColumnElement[bool]) -> Statement:
    wanted = select(*VIEW_COLUMNS).where(*conditions, tasks.c.id > bindparam("after"), _MAY_SEE)
    return measured(wanted, SIZE, WIDE, tasks.c.id)


_OF_PERSON = _of_person(tasks.c.id.in_(_CONCERNING), tasks.c.deleted_at.is_(None))
_OF_PERSON_DELETED = _of_person(tasks.c.created_by == _ME, tasks.c.deleted_at.is_not(None))
_COMMENTS_OF_PERSON = measured(
    select(*_COMMENT_VIEW_COLUMNS)
    .join(tasks, tasks.c.id == comments.c.task_id)
    .where(comments.c.author_id == _ME, comments.c.id > bindparam("after"), tasks.c.deleted_at.is_(None), _MAY_SEE),
    _COMMENT_SIZE,
    [comments.c.text],
    comments.c.id,
)
_BEFORE_ALL = UUID(int=0)
_EVERYTHING = TaskFilter()
_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


_decode = msgspec.json.Decoder().decode


def _view(row: asyncpg.Record) -> TaskView:
    *values, _ = row
    values[_CUSTOM_SEEN] = _decode(values[_CUSTOM_SEEN])
    return TaskView(*values)


class PostgresTaskQueries(TaskQueries):
    """Tasks for reading only; views are made from rows directly.

    A list that an index has in its order is an ordinary read. Any other list is one of the `long_reads`.
    """

    def __init__(self, database: Database, long_reads: LongReads) -> None:
        self._database = database
        self._long_reads = long_reads

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        row = await self._database.look_up(_VIEW, id, by)
        if row is None:
            raise NotFound
        return _view(row)

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
            kind = SORT_KEYS[name][1]
            values["after_key"], values["after_id"] = decode_cursor(cursor, query, kind | None, UUID)
            if values["after_key"] is None:
                values["after_key"] = datetime.max.replace(tzinfo=UTC)
                parts = parts[-1:]
        is_long = not is_walked(conditions, wanted.archived, sort)

        async def fetch(limit: int, most: int) -> Sequence[asyncpg.Record]:
            rows: list[asyncpg.Record] = []
            for part in parts:
                if len(rows) < limit:
                    statement = listing(part, wanted.archived, sort, cursor is not None and part == parts[0])
                    limited = values | {"limit": limit - len(rows), "most": most}
                    if is_long:
                        rows += await self._long_reads.fetch(by, statement, limited)
                    else:
                        rows += await self._database.fetch(statement, **limited)
            return rows

        def cursor_behind(last: TaskView) -> str:
            key = _RANKS[last.priority] if name == "priority" else getattr(last, name)
            return encode_cursor(query, key, last.id)

        page = await page_of(fetch, limit, _view, cursor_behind)
        if not page.data and await self._database.fetchrow(_IS_MEMBER, workspace=workspace, account=by) is None:
            raise NotFound
        return page

    async def of_person(self, account: AccountId, deleted: bool, cursor: str | None, limit: int) -> Page[TaskView]:
        query = f"{deleted} tasks of {account}"
        after = _BEFORE_ALL if cursor is None else decode_cursor(cursor, query, UUID)[0]
        statement, wanted = _OF_PERSON_DELETED, {"account": account, "after": after}
        if not deleted:
            statement, wanted = _OF_PERSON, {**wanted, "assignee": [account], "watcher": [account]}
        return await page_of(
            lambda limit, most: self._database.fetch(statement, **wanted, limit=limit, most=most),
            limit,
            _view,
            lambda last: encode_cursor(query, last.id),
        )

    async def comments_of_person(self, account: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        query = f"comments of {account}"
        wanted = {"account": account, "after": _BEFORE_ALL if cursor is None else decode_cursor(cursor, query, UUID)[0]}
        return await page_of(
            lambda limit, most: self._database.fetch(_COMMENTS_OF_PERSON, **wanted, limit=limit, most=most),
            limit,
            lambda row: CommentView(*row[:-1]),
            lambda last: encode_cursor(query, last.id),
        )

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
