"""The ports of the workspaces context to the store, and the views of workspaces that the store returns."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from application.paging import Page
from application.quotas import Use
from domain.access import Role
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.workspaces import Invitation, Removal, Workspace, WorkspaceKind

INVITATIONS_SHOWN = 200


class WorkspaceView(Struct, frozen=True):
    """A workspace as one of its members sees it. `my_role` is that member's role.

    The keys of its tasks begin with `task_prefix`.
    """

    id: UUID
    name: str
    slug: str
    task_prefix: str
    kind: WorkspaceKind
    viewers_comment: bool
    my_role: Role
    member_count: int
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int


class MemberView(Struct, frozen=True):
    """A member of a workspace, with the public part of their profile."""

    account_id: UUID
    display_name: str
    role: Role
    joined_at: datetime


class InvitationView(Struct, frozen=True):
    """An invitation without its secret. With an `email` it was mailed to that address, and is for its account alone."""

    id: UUID
    workspace_id: UUID
    role: Role
    max_uses: int
    uses: int
    invited_by: UUID
    created_at: datetime
    expires_at: datetime
    email: str | None


def uses_of(workspace: WorkspaceId, members: Collection[AccountId]) -> Mapping[Use, int]:
    """The quotas that members use: each is one of the workspace's `members` and of the account's `workspaces`."""
    if not members:
        return {}
    return {
        Use(workspace, workspace, "members"): len(members),
        **{Use(account, account, "workspaces"): 1 for account in members},
    }


class WorkspaceRepository(Protocol):
    """Workspaces with all their members, inside a unit of work.

    A unit that would leave more members of a workspace, workspaces of an account or open `invitations` to a workspace
    than the quotas allow is QuotaExceeded on leaving, even if several units add to them at the same time. A unit that
    adds to none of them never is.
    """

    async def get(self, id: WorkspaceId) -> Workspace:
        """The workspace, or NotFound if it is absent or deleted. Its methods decide whether the caller may see it."""
        ...

    async def of_account(self, account: AccountId, most: int) -> Sequence[Workspace]:
        """The workspaces that the account is a member of, in no order; at most `most`."""
        ...

    async def owned_alone(self, account: AccountId) -> Sequence[tuple[WorkspaceId, str]]:
        """The ids and names of workspaces with several members of which this account is the only owner, by id."""
        ...

    def add(self, workspace: Workspace) -> None:
        """Store a new workspace; a taken slug is `SlugTaken` on leaving."""
        ...

    def save(self, workspace: Workspace) -> None:
        """Store a changed workspace and its members.

        `Stale` on leaving if another unit of work has saved the workspace since it was read.
        """
        ...

    async def invitation(self, id: InvitationId, workspace: WorkspaceId) -> Invitation:
        """An invitation to that workspace, or NotFound."""
        ...

    async def invitation_by_digest(self, digest: bytes) -> Invitation:
        """The invitation with this secret, or NotFound."""
        ...

    def add_invitation(self, invitation: Invitation) -> None: ...

    def save_invitation(self, invitation: Invitation) -> None:
        """Store a used or withdrawn invitation. Its workspace has to be saved in the same unit.

        `Stale` on leaving if another unit of work has used or withdrawn the invitation since it was read.
        """
        ...

    async def removal(self, workspace: WorkspaceId, account: AccountId) -> Removal | None:
        """The last removal of the account from the workspace, kept as long as an invitation from before it can exist.

        A caller that builds on it reads the workspace first, and saves it. Then no removal can come in between.
        """
        ...

    def add_removal(self, removal: Removal) -> None:
        """Store a removal in the place of an earlier one. Its workspace has to be saved in the same unit."""
        ...


class WorkspaceWork(Protocol):
    """The slice of a unit of work that the workspaces context sees."""

    @property
    def workspaces(self) -> WorkspaceRepository: ...


class WorkspaceQueries(Protocol):
    """Committed workspaces, for reading only. Every method raises NotFound if `by` is no member of the workspace."""

    async def view(self, id: WorkspaceId, by: AccountId) -> WorkspaceView: ...

    async def page(
        self, by: AccountId, cursor: str | None, limit: int, within: UUID | None = None
    ) -> Page[WorkspaceView]:
        """The workspaces that `by` is a member of, the personal one first, then by age.

        With `within` only the workspace of that id, if `by` is a member of it.
        """
        ...

    async def members(self, workspace: WorkspaceId, by: AccountId, cursor: str | None, limit: int) -> Page[MemberView]:
        """The members in the order in which they joined."""
        ...

    async def invitations(self, workspace: WorkspaceId, by: AccountId, now: datetime) -> Sequence[InvitationView]:
        """The invitations that can be used at `now`, newest first; at most 200. Forbidden to members and viewers.

        An invitation whose maker may no longer give its role cannot be used.
        """
        ...

    async def usage(self, workspace: WorkspaceId, by: AccountId, now: datetime) -> Mapping[str, int]:
        """The number of each kind that the quotas count at `now` for the workspace, or for `by` in it.

        A kind with a count of 0 may be missing. The personal workspace also has the kinds of its owner's account.
        """
        ...
