"""The one question that every context asks before it acts: which role has this account in this workspace?"""

from collections.abc import Collection, Mapping
from typing import Protocol
from uuid import UUID

from domain.access import Standing
from domain.ids import AccountId, WorkspaceId


class Access(Protocol):
    """Memberships as the other contexts see them, inside a unit of work."""

    async def standing(self, workspace: WorkspaceId, account: AccountId) -> Standing:
        """The account's role there and its permissions; NotFound if it is no member or the workspace does not exist.

        The unit of work is applied only if the account still has that role. A membership that was revoked or changed
        meanwhile makes the unit `Stale`, so no write commits after the revocation.
        """
        ...

    async def assignable(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        """Those of `accounts` that are members, not viewers, not disabled, and not to be deleted.

        The unit of work verifies this on leaving, in the same way as with `standing`.
        """
        ...

    async def readers(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        """Those of `accounts` that are members, in any role, not disabled, and not to be deleted.

        The unit of work verifies this on leaving, in the same way as with `standing`.
        """
        ...

    async def members(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        """Those of `accounts` that are members, in any role. The unit of work does not verify this on leaving."""
        ...

    async def are_together(self, one: AccountId, other: AccountId) -> bool:
        """Whether both are members of some workspace. The unit of work does not verify this on leaving."""
        ...


class AccessQueries(Protocol):
    """The same question outside a unit of work, for reading only."""

    async def workspaces_of(
        self, asked: Collection[tuple[UUID, AccountId]]
    ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
        """The workspace of each place. The place is the id of a task, deleted or not, or of the workspace itself.

        Each place is asked together with an account. A pair is missing from the answer if the place does not exist or
        the account is no member of its workspace.
        """
        ...

    async def state(self, place: UUID, by: AccountId) -> str:
        """A tag of the present state of a workspace, or of the workspace of a task, deleted or not.

        NotFound if the place does not exist or the account is no member. The tag changes with every change of anything
        that belongs to the workspace, and when the store is restored to an earlier time. A call after a commit, by any
        process, never returns a tag from before that commit.
        """
        ...
