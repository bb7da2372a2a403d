"""The one question every context asks of a workspace before it acts: what is this account in it?"""

from collections.abc import Collection, Mapping
from typing import Protocol
from uuid import UUID

from domain.access import Standing
from domain.ids import AccountId, WorkspaceId


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

        That is verified on leaving in the same way as with `standing`.
        """
        ...

    async def members(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        """Those of `accounts` who are members, in whatever role. This is not verified on leaving."""
        ...


class AccessQueries(Protocol):
    """The same question for reading only."""

    async def workspaces_of(
        self, asked: Collection[tuple[UUID, AccountId]]
    ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
        """The workspace of each of these places: of a task, deleted or not, that it is in; of a workspace, itself.

        Each place is asked for an account. Left out are those that are absent, or in a workspace that the account is no
        member of.
        """
        ...

    async def state(self, place: UUID, by: AccountId) -> str:
        """What names the present state of a workspace, or of the one that a task is in, deleted or not.

        NotFound for a stranger or an absent place. It is another one after every change of anything that belongs to the
        workspace, and after the store was put back to an earlier time. Whoever asks after a commit, of whichever
        process, is not told of the time before it.
        """
        ...
