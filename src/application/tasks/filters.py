"""Translates the conditions of a query into those of the store."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from application.ports.tasks import TaskFilter
from application.principal import Principal
from application.tasks.messages import Archived, TaskQuery
from domain.errors import Invalid
from domain.tasks import normal_label
from domain.words import asked

_ARCHIVED: Mapping[Archived, bool | None] = {"false": False, "true": True, "any": None}


def filter_of(actor: Principal, query: TaskQuery, now: datetime) -> TaskFilter:
    """The filter of an actor's query at `now`; Invalid, with the parameter as pointer, if a condition is not valid."""
    assignee: UUID | None = None
    if query.assignee == "me":
        assignee = actor.account_id
    elif query.assignee not in (None, "none"):
        try:
            assignee = UUID(query.assignee)
        except ValueError:
            raise Invalid("An account id, `me` or `none` fits here.", pointer="?assignee") from None
    for pointer, instant in (("?due_before", query.due_before), ("?due_after", query.due_after)):
        if instant is not None and instant.tzinfo is None:
            raise Invalid("A time has to tell its offset from UTC, such as `Z`.", pointer=pointer)
    words = asked(query.q) if query.q is not None else None
    if words is not None and not words:
        raise Invalid("There is no word in this.", pointer="?q")
    before = query.due_before
    if query.overdue:
        before = min(before, now) if before else now
    return TaskFilter(
        status=query.status,
        priority=query.priority,
        assignee=assignee,
        unassigned=query.assignee == "none",
        label=None if query.label is None else normal_label(query.label, "?label"),
        created_by=query.created_by,
        due_before=before,
        due_after=query.due_after,
        open_only=query.overdue,
        key=query.key and query.key.upper(),
        archived=_ARCHIVED[query.archived],
        words=None if words is None else tuple(sorted(words)),
    )
