"""What the workspaces context asks of the store, and what the store shows of workspaces."""

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
    """A workspace as one of its members sees it; `my_role` is that member's role.

    `task_prefix` is what the keys of its tasks begin with.
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
    """An invitation without its secret, which is shown only once."""

    id: UUID
    workspace_id: UUID
    role: Role
    max_uses: int
    uses: int
    invited_by: UUID
    created_at: datetime
    expires_at: datetime


def uses_of(workspace: WorkspaceId, members: Collection[AccountId]) -> Mapping[Use, int]:
    """What members count for: one of the `members` of the workspace, and one of the `workspaces` of the account."""
    if not members:
        return {}
    return {
        Use(workspace, workspace, "members"): len(members),
        **{Use(account, account, "workspaces"): 1 for account in members},
    }


class WorkspaceRepository(Protocol):
    """Workspaces with all their members, inside a unit of work.

    A unit that would leave more members of a workspace, workspaces of an account or open `invitations` into a workspace
    than the quotas allow is QuotaExceeded on leaving, whoever else adds to them at the same time. One that adds to none
    of them never is.
    """

    async def get(self, id: WorkspaceId) -> Workspace:
        """The workspace, or NotFound if it is absent or deleted. Whether the caller may see it, the verbs decide."""
        ...

    def add(self, workspace: Workspace) -> None:
        """Keep a new workspace; a taken slug is `SlugTaken` on leaving."""
        ...

    def save(self, workspace: Workspace) -> None:
        """Keep a changed workspace and its members; `Stale` on leaving if somebody else saved it since."""
        ...

    async def invitation(self, id: InvitationId, workspace: WorkspaceId) -> Invitation:
        """An invitation into that workspace, or NotFound."""
        ...

    async def invitation_by_digest(self, digest: bytes) -> Invitation:
        """The invitation with this secret, or NotFound."""
        ...

    def add_invitation(self, invitation: Invitation) -> None: ...

    def save_invitation(self, invitation: Invitation) -> None:
        """Keep a used or withdrawn invitation; `Stale` on leaving if it was used or withdrawn since it was asked for.

        Its workspace is saved in the same unit.
        """
        ...

    async def removal(self, workspace: WorkspaceId, account: AccountId) -> Removal | None:
        """The last removal of the account from there, for as long as there can be an invitation from before it.

        Whoever builds on it asks after the workspace, and saves that: then none has come in between.
        """
        ...

    def add_removal(self, removal: Removal) -> None:
        """Keep a removal in the place of an earlier one; its workspace is saved in the same unit."""
        ...


class WorkspaceWork(Protocol):
    """The slice of a unit of work that the workspaces context sees."""

    @property
    def workspaces(self) -> WorkspaceRepository: ...


class WorkspaceQueries(Protocol):
    """Workspaces as they are committed, for reading only; every method answers NotFound to strangers."""

    async def view(self, id: WorkspaceId, by: AccountId) -> WorkspaceView: ...

    async def page(self, by: AccountId, cursor: str | None, limit: int) -> Page[WorkspaceView]:
        """The workspaces that `by` is a member of, the personal one first, then by age."""
        ...

    async def members(self, workspace: WorkspaceId, by: AccountId, cursor: str | None, limit: int) -> Page[MemberView]:
        """The members in the order in which they joined."""
        ...

    async def invitations(self, workspace: WorkspaceId, by: AccountId, now: datetime) -> Sequence[InvitationView]:
        """The invitations that admit somebody at `now`, newest first; at most 200. Forbidden to plain members.

        One whose maker may not give its role any more admits nobody.
        """
        ...

    async def usage(self, workspace: WorkspaceId, by: AccountId, now: datetime) -> Mapping[str, int]:
        """How many of each kind are counted for the workspace at `now`, or for `by` in it.

        A kind of which there is none may be missing, and the personal workspace has its owner's own kinds as well.
        """
        ...
