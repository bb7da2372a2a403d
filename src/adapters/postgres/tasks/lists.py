"""The statement of a list of tasks, built from the conditions that the list has."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, Text, Uuid, and_, bindparam, func, or_, select, tuple_
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import TSQUERY

from adapters.postgres.pages import measured
from adapters.postgres.statement import Statement
from adapters.postgres.tables import comments, tasks
from adapters.postgres.tasks.terms import IS_ASSIGNED, IS_OPEN, VIEW_COLUMNS, VISIBLE
from application.ports.tasks import TaskFilter
from domain.tasks import LABEL_MAX

# About how many bytes of JSON a task has: its texts and arrays, and 600 bytes for everything else.
SIZE = (
    600
    + func.octet_length(tasks.c.title)
    + func.octet_length(tasks.c.description)
    + func.octet_length(tasks.c.custom)
    + func.cardinality(tasks.c.labels) * LABEL_MAX
    + (func.cardinality(tasks.c.assignees) + func.cardinality(tasks.c.watchers)) * 39
)
WIDE = (tasks.c.description, tasks.c.custom, tasks.c.labels, tasks.c.watchers)

_QUERY = func.cast(bindparam("words", type_=Text), TSQUERY)
# The tasks whose comments match, as an array, so that an index finds them. The query is a subquery, so that it is not
# known when the statement is planned: PostgreSQL would assume that a prefix matches 2 % of all comments, and read all.
_COMMENTED = (
    select(comments.c.task_id).where(comments.c.words.bool_op("@@")(select(_QUERY).scalar_subquery())).scalar_subquery()
)
_NEVER = sql("'infinity'::timestamptz")
_DUE = func.coalesce(tasks.c.due_at, _NEVER)  # the expression of the index
# The sort keys of lists, and their types in a cursor.
SORT_KEYS: Mapping[str, tuple[ColumnElement[Any], type]] = {
    "created_at": (tasks.c.created_at, datetime),
    "updated_at": (tasks.c.updated_at, datetime),
    "due_at": (_DUE, datetime),
    "priority": (tasks.c.priority_rank, int),
}
# Conditions that are always the same expression.
_FIXED_CONDITIONS: Mapping[str, ColumnElement[bool]] = {
    "assignee": IS_ASSIGNED,
    "unassigned": func.cardinality(tasks.c.assignees) == 0,
    "open_only": IS_OPEN,
    "dated": _DUE < _NEVER,
    "undated": _DUE == _NEVER,
}
# The conditions that have an index of their own. It reads fewer tasks than the index of the order, in which the
# matching tasks may be the last.
_FOUND = frozenset({"assignee", "words"})
# The conditions that are part of the statement only if they are set.
CONDITIONS = tuple(name for name in TaskFilter.__struct_fields__ if name != "archived")


def parts_of(conditions: tuple[str, ...], sort: str) -> Sequence[tuple[str, ...]]:
    """The conditions of each part of a list.

    Sorted by falling due date, the list has two parts: tasks without a due date come last in the list, but first when
    the index is read backwards.
    """
    if sort == "-due_at" and {"due_before", "due_after"}.isdisjoint(conditions):
        return ((*conditions, "dated"), (*conditions, "undated"))
    return (conditions,)


def is_walked(conditions: Sequence[str], archived: bool | None, sort: str) -> bool:
    """Whether an index has exactly the tasks of this list in its order, so that no other row is read."""
    name = sort.removeprefix("-")
    if "key" in conditions:
        return True
    if archived is False and name == "due_at":
        return {"due_before", "due_after", "dated", "undated"}.issuperset(conditions)
    walked = {True: ("created_at",), False: ("created_at", "priority"), None: ()}
    return not conditions and name in walked[archived]


@lru_cache(maxsize=1024)
def listing(conditions: Sequence[str], archived: bool | None, sort: str, continued: bool) -> Statement:
    """The statement with just these conditions, so that each combination has its own plan. Compiled once."""
    name = sort.removeprefix("-")
    key, _ = SORT_KEYS[name]
    if name != "created_at" and not _FOUND.isdisjoint(conditions):
        key = func.greatest(key)  # the same value, but no index has this expression
    falling = sort.startswith("-")
    statement = (
        select(*VIEW_COLUMNS)
        .where(tasks.c.workspace_id == bindparam("workspace"), VISIBLE)
        .where(*(_condition(name) for name in conditions))
    )
    if archived is not None:
        statement = statement.where(tasks.c.archived_at.is_not(None) if archived else tasks.c.archived_at.is_(None))
    if continued:
        after = tuple_(bindparam("after_key", type_=key.type), bindparam("after_id", type_=Uuid))
        place = tuple_(key, tasks.c.id)
        statement = statement.where(place < after if falling else place > after)
    order = (tasks.c.id,) if "undated" in conditions else (key, tasks.c.id)
    return measured(statement, SIZE, WIDE, *order, descending=falling, is_walked=is_walked(conditions, archived, sort))


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
