"""The terms that statements about tasks share."""

from sqlalchemy import ARRAY, Uuid, and_, bindparam

from adapters.postgres.access import membership
from adapters.postgres.statement import lookup_keys
from adapters.postgres.tables import members, tasks
from application.ports.tasks import TaskView
from domain.tasks import Status

# The keys of a lookup: a task, and an account that has to be a member of its workspace.
KEY = lookup_keys("id", "account")
MEMBER = membership(tasks.c.workspace_id, KEY.c.account)
IS_OPEN = and_(tasks.c.status != Status.DONE.value, tasks.c.status != Status.CANCELLED.value)
IS_ASSIGNED = tasks.c.assignees.bool_op("@>")(bindparam("assignee", type_=ARRAY(Uuid)))
IS_WATCHED = tasks.c.watchers.bool_op("@>")(bindparam("watcher", type_=ARRAY(Uuid)))

VIEW_COLUMNS = tuple(tasks.c[name] for name in TaskView.__struct_fields__)
VISIBLE = and_(
    tasks.c.deleted_at.is_(None),
    members.c.workspace_id == tasks.c.workspace_id,
    members.c.account_id == bindparam("account"),
)
