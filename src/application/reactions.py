"""The occasions on which something in one context has consequences in others: the one place that knows several."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.ports.consumers import Consumer, ConsumerWork
from application.ports.events import EventView
from application.ports.identity import IdentityWork
from application.ports.tasks import TaskWork
from application.ports.workspaces import WorkspaceWork
from application.tasks import release
from application.workspaces import begin_personal
from domain.identity import Account, FailedLogin, Session
from domain.ids import AccountId, WorkspaceId
from domain.tasks import Task
from domain.workspaces import Workspace

# Those that announce events, each with the types that it announces.
AGGREGATES = (Account, FailedLogin, Session, Workspace, Task)


class EveryWork(IdentityWork, WorkspaceWork, TaskWork, ConsumerWork, Protocol):
    """One unit of work serves all use cases; each of them sees only its own slice of it."""


def registered(work: WorkspaceWork, account: Account) -> None:
    """There is a new account, in the same unit of work."""
    begin_personal(work, account.id, account.display_name, account.created_at)


async def departed(work: TaskWork, event: EventView, now: datetime) -> bool:
    """Somebody is out of a workspace, has another role in it, or can do nothing any more; returns whether that is all.

    It follows the event that says so, in pieces; see `Consumer`.
    """
    by = None if event.actor is None else AccountId(event.actor)
    if event.type == _DISABLED:
        account, workspace = AccountId(event.resource.id), None
    else:
        account, workspace = AccountId(UUID(str(event.data["account_id"]))), WorkspaceId(event.resource.id)
    return await release(work, account, workspace, event.type == _REMOVED, by, now)


_REMOVED, _DISABLED = "member.removed", "account.disabled"
# Cursors that are kept have this name.
DEPARTED = Consumer("tasks_release", frozenset({_REMOVED, "member.role_changed", _DISABLED}), departed)
