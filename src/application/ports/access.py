"""The one question every context asks of a workspace before it acts: what is this account in it?"""

from typing import Protocol

from domain.access import Standing
from domain.ids import AccountId, TaskId, WorkspaceId


class Access(Protocol):
    """Memberships as the other contexts see them, inside a unit of work."""

    async def standing(self, workspace: WorkspaceId, account: AccountId) -> Standing:
        """What the account is there; NotFound for a stranger or an absent workspace.

        The unit of work is then applied only if the account still has that role: a membership that was revoked or
        changed meanwhile makes it `Stale`, so no write commits after the revocation.
        """
        ...

    async def assignable(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        """Those of `accounts` who are members other than viewers and whose account is not disabled.

        Their memberships are verified on leaving in the same way as with `standing`.
        """
        ...

    async def members(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        """Those of `accounts` who are members, in whatever role. This is not verified on leaving."""
        ...


class AccessQueries(Protocol):
    """The same question for reading only."""

    async def workspace_of(self, workspace: WorkspaceId, by: AccountId) -> WorkspaceId:
        """The same workspace, if `by` is a member of it; NotFound otherwise."""
        ...

    async def workspace_of_task(self, task: TaskId, by: AccountId) -> WorkspaceId:
        """The workspace of a task, deleted or not, if `by` is a member of it; NotFound otherwise."""
        ...
