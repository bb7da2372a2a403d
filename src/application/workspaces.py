"""The use cases of workspaces, their members and their invitations."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from application.erasure import DELETED, history_of
from application.invitations import InvitingWork, MailedInvitations
from application.paging import PAGE_MAX, Page
from application.ports.access import AccessQueries
from application.ports.consumers import Consumer, ConsumerWork
from application.ports.events import EventView
from application.ports.exports import Exported
from application.ports.feeds import Asked, Feeds, Ground
from application.ports.secrets import Secrets
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import UnitOfWork, retried
from application.ports.upkeep import Upkeep
from application.ports.workspaces import InvitationView, MemberView, WorkspaceQueries, WorkspaceView, WorkspaceWork
from application.principal import Principal
from application.quotas import Quotas, QuotaUse
from application.scopes import Scope
from application.typed import typed
from domain.access import Role
from domain.channels import Channel, ChannelKind, Loss, workspace_stream
from domain.errors import VersionConflict
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.text import EMAIL_MAX
from domain.workspaces import (
    INVITATION_LIFETIME,
    INVITATION_LONGEST,
    INVITATION_USES_MAX,
    LOSSES,
    NAME_MAX,
    WORKSPACE,
    Workspace,
    WorkspaceKind,
)

# A removal matters as long as an invitation from before it can exist, and one more day because clocks may differ.
REMOVAL_DAYS = INVITATION_LONGEST.days + 1

WORKSPACE_READ = Scope("workspace:read", "Read workspaces, their members and what of their quotas is used.")
WORKSPACE_ADMIN = Scope("workspace:admin", "Change workspaces, their members and their invitations.")
EVENTS_READ = Scope("events:read", "Read and follow everything that happens in a workspace, its tasks included.")

Name = Annotated[str, typed(NAME_MAX, examples=["Operations"])]
Slug = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=40,
        pattern="^[a-z0-9][a-z0-9-]*[a-z0-9]$",
        description="Unique in the installation.",
        examples=["operations"],
    ),
]


class NewWorkspace(Struct, frozen=True, forbid_unknown_fields=True):
    """A team workspace to create. Without a `slug` it gets a generated one."""

    name: Name
    slug: Slug | UnsetType = UNSET


class WorkspacePatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of a workspace. Absent fields stay as they are. `viewers_comment` lets viewers write comments."""

    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    viewers_comment: bool | UnsetType = UNSET


class RoleChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The new role of a member."""

    role: Role


class Transfer(Struct, frozen=True, forbid_unknown_fields=True):
    """The member who becomes an owner of the workspace instead of the caller."""

    account_id: UUID


class NewInvitation(Struct, frozen=True, forbid_unknown_fields=True):
    """An invitation to make: the role it gives, how often it can be used, and until when, by default for 7 days.

    With an `email` it is mailed to that address, for the account with it alone, and can be used once.
    """

    role: Role = Role.MEMBER
    max_uses: Annotated[int, Meta(ge=1, le=INVITATION_USES_MAX)] = 1
    expires_at: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET
    email: Annotated[str, typed(EMAIL_MAX, examples=["grace@example.org"])] | UnsetType = UNSET


class InvitationMade(Struct, frozen=True):
    """A new invitation with its secret, which is shown only here. Anybody who has the secret can join.

    The `token` of one that was mailed is empty, because nobody but its reader may know the secret.
    """

    invitation: InvitationView
    token: str


class Acceptance(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of an invitation."""

    token: Annotated[str, Meta(min_length=16, max_length=128)]


class Workspaces:
    """The use cases of workspaces. To an account that is no member, a workspace is NotFound."""

    def __init__(
        self,
        work: UnitOfWork[InvitingWork],
        queries: WorkspaceQueries,
        secrets: Secrets,
        quotas: Quotas,
        mailed: MailedInvitations,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._work = work
        self._queries = queries
        self._secrets = secrets
        self._quotas = quotas
        self._mailed = mailed
        self._clock = clock
        self._ids = ids

    async def read(self, actor: Principal, id: WorkspaceId) -> WorkspaceView:
        actor.require(WORKSPACE_READ)
        actor.require_within(id)
        return await self._queries.view(id, actor.account_id)

    async def page(self, actor: Principal, cursor: str | None, limit: int) -> Page[WorkspaceView]:
        actor.require(WORKSPACE_READ)
        return await self._queries.page(actor.account_id, cursor, limit, actor.place)

    async def members(self, actor: Principal, id: WorkspaceId, cursor: str | None, limit: int) -> Page[MemberView]:
        actor.require(WORKSPACE_READ)
        actor.require_within(id)
        return await self._queries.members(id, actor.account_id, cursor, limit)

    async def usage(self, actor: Principal, id: WorkspaceId) -> Mapping[str, QuotaUse]:
        """How many of each kind the workspace has and may have. `open_tasks` are those of the caller."""
        actor.require(WORKSPACE_READ)
        actor.require_within(id)
        used = await self._queries.usage(id, actor.account_id, self._clock.now())
        limits = self._quotas.of("workspace")
        return {kind: QuotaUse(max(0, used.get(kind, 0)), limit) for kind, limit in limits.items()}

    @retried
    async def create(self, actor: Principal, new: NewWorkspace) -> WorkspaceView:
        """Create a team workspace, which the caller owns."""
        actor.require(WORKSPACE_ADMIN)
        actor.require_anywhere()
        id = WorkspaceId(self._ids.new())
        # The slug contains the whole id, because a part of it need not be unique.
        slug = f"w-{id.hex}" if new.slug is UNSET else new.slug
        async with self._work() as work:
            workspace = Workspace.create(id, new.name, slug, WorkspaceKind.TEAM, actor.account_id, self._clock.now())
            work.workspaces.add(workspace)
        return _view(workspace, actor)

    @retried
    async def change(
        self, actor: Principal, id: WorkspaceId, patch: WorkspacePatch, version: int | None = None
    ) -> WorkspaceView:
        """Rename it or change its settings. VersionConflict if `version` is neither None nor the present one."""
        actor.require(WORKSPACE_ADMIN)
        actor.require_within(id)
        async with self._work() as work:
            workspace = await work.workspaces.get(id)
            workspace.role_of(actor.account_id)
            _require_version(workspace, version, actor)
            workspace.change(
                actor.account_id,
                self._clock.now(),
                None if patch.name is UNSET else patch.name,
                None if patch.slug is UNSET else patch.slug,
                None if patch.viewers_comment is UNSET else patch.viewers_comment,
            )
            work.workspaces.save(workspace)
        return _view(workspace, actor)

    @retried
    async def delete(self, actor: Principal, id: WorkspaceId, version: int | None = None) -> None:
        actor.require(WORKSPACE_ADMIN)
        actor.require_within(id)
        async with self._work() as work:
            workspace = await work.workspaces.get(id)
            workspace.role_of(actor.account_id)
            _require_version(workspace, version, actor)
            workspace.delete(actor.account_id, self._clock.now())
            work.workspaces.save(workspace)

    @retried
    async def change_role(self, actor: Principal, id: WorkspaceId, account: AccountId, change: RoleChange) -> None:
        actor.require(WORKSPACE_ADMIN)
        actor.require_within(id)
        async with self._work() as work:
            workspace = await work.workspaces.get(id)
            workspace.change_role(account, change.role, actor.account_id, self._clock.now())
            work.workspaces.save(workspace)

    @retried
    async def remove(self, actor: Principal, id: WorkspaceId, account: AccountId) -> None:
        """End a membership: the caller's own (leaving) or another member's. Its consequences follow afterwards.

        A member who left can join again by an invitation from before. A removed one cannot.
        """
        actor.require(WORKSPACE_ADMIN)
        actor.require_within(id)
        async with self._work() as work:
            workspace = await work.workspaces.get(id)
            removal = workspace.remove(account, actor.account_id, self._clock.now())
            if removal is not None:
                work.workspaces.add_removal(removal)
            work.workspaces.save(workspace)

    @retried
    async def transfer(self, actor: Principal, id: WorkspaceId, transfer: Transfer) -> WorkspaceView:
        actor.require(WORKSPACE_ADMIN)
        actor.require_within(id)
        async with self._work() as work:
            workspace = await work.workspaces.get(id)
            workspace.transfer(AccountId(transfer.account_id), actor.account_id, self._clock.now())
            work.workspaces.save(workspace)
        return _view(workspace, actor)

    async def invitations(self, actor: Principal, id: WorkspaceId) -> Page[InvitationView]:
        """The invitations that can still be used, on one page: there are at most 200."""
        actor.require(WORKSPACE_ADMIN)
        actor.require_within(id)
        return Page(await self._queries.invitations(id, actor.account_id, self._clock.now()), None)

    @retried
    async def invite(self, actor: Principal, id: WorkspaceId, new: NewInvitation) -> InvitationMade:
        """Make an invitation. Its secret is in the answer, or in a mail if it is for an address, and stored nowhere."""
        actor.require(WORKSPACE_ADMIN)
        actor.require_within(id)
        token, now = self._secrets.new(), self._clock.now()
        expires_at = now + INVITATION_LIFETIME if new.expires_at is UNSET else new.expires_at
        async with self._work() as work:
            workspace = await work.workspaces.get(id)
            invitation = workspace.invite(
                InvitationId(self._ids.new()),
                new.role,
                self._secrets.digest(token),
                new.max_uses,
                expires_at,
                actor.account_id,
                now,
                None if new.email is UNSET else new.email,
            )
            await self._mailed.mail(work, workspace, invitation, token, now)
            work.workspaces.add_invitation(invitation)
            work.workspaces.save(workspace)
        view = msgspec.convert(invitation, InvitationView, from_attributes=True)
        return InvitationMade(view, token if invitation.email is None else "")

    @retried
    async def withdraw(self, actor: Principal, id: WorkspaceId, invitation_id: InvitationId) -> None:
        actor.require(WORKSPACE_ADMIN)
        actor.require_within(id)
        async with self._work() as work:
            workspace = await work.workspaces.get(id)
            workspace.role_of(actor.account_id)
            invitation = await work.workspaces.invitation(invitation_id, id)
            workspace.withdraw(invitation, actor.account_id, self._clock.now())
            if workspace.has_news:
                work.workspaces.save_invitation(invitation)
                work.workspaces.save(workspace)

    @retried
    async def accept(self, actor: Principal, acceptance: Acceptance) -> WorkspaceView:
        """Join by an invitation. A caller who is a member already keeps the role, even if the invitation has ended.

        One that was mailed is InvitationForAnother to an account with another address. EmailUnverified if that has to
        be verified first.
        """
        actor.require(WORKSPACE_ADMIN)
        async with self._work() as work:
            invitation = await work.workspaces.invitation_by_digest(self._secrets.digest(acceptance.token))
            workspace = await work.workspaces.get(invitation.workspace_id)
            actor.require_within(workspace.id)
            removal = await work.workspaces.removal(workspace.id, actor.account_id)
            email = await self._mailed.address_of(work, invitation, actor.account_id)
            workspace.accept(invitation, actor.account_id, self._clock.now(), removal, email)
            if workspace.has_news:
                work.workspaces.save_invitation(invitation)
                work.workspaces.save(workspace)
        return _view(workspace, actor)


def begin_personal(work: WorkspaceWork, owner: AccountId, name: str, at: datetime) -> None:
    """Create the personal workspace of a new account. It has the account's id, so that it need not be looked up."""
    id, slug = WorkspaceId(owner), f"p-{owner.hex}"
    work.workspaces.add(Workspace.create(id, f"{name}'s workspace", slug, WorkspaceKind.PERSONAL, owner, at))


async def _leave(work: WorkspaceWork, event: EventView, now: datetime) -> bool:
    """Take a deleted account out of its workspaces, five at a time. Those in which it was alone end with it."""
    account = AccountId(event.resource.id)
    theirs = await work.workspaces.of_account(account, 5)
    for workspace in theirs:
        workspace.lose(account, now)
        work.workspaces.save(workspace)
    return not theirs


LEAVING = Consumer("workspaces_leave", DELETED, _leave)


def erasing(upkeep: Upkeep) -> Consumer[ConsumerWork]:
    """Drops the journal of the personal workspace of a deleted account, and of what is in it."""
    return history_of("workspaces_erase", upkeep, lambda account: workspace_stream(WorkspaceId(account)))


def exported(queries: WorkspaceQueries) -> Exported:
    """The workspaces that somebody is in, with their role there."""

    async def page(account: AccountId, cursor: str | None) -> Page[WorkspaceView]:
        return await queries.page(account, cursor, PAGE_MAX)

    return Exported("workspaces", page)


def _view(workspace: Workspace, actor: Principal) -> WorkspaceView:
    return WorkspaceView(
        id=workspace.id,
        name=workspace.name,
        slug=workspace.slug,
        task_prefix=workspace.task_prefix,
        kind=workspace.kind,
        viewers_comment=workspace.viewers_comment,
        my_role=workspace.role_of(actor.account_id),
        member_count=len(workspace.members),
        created_by=workspace.created_by,
        created_at=workspace.created_at,
        updated_at=workspace.updated_at,
        version=workspace.version,
    )


def _require_version(workspace: Workspace, version: int | None, actor: Principal) -> None:
    if version is not None and version != workspace.version:
        raise VersionConflict(_view(workspace, actor), workspace.version)


class WorkspaceFeeds(Feeds):
    """`workspace:{id}`: all events of the workspace, for its members."""

    kinds: Sequence[ChannelKind] = (WORKSPACE,)
    losses: Sequence[Loss] = LOSSES
    scope = EVENTS_READ

    def __init__(self, access: AccessQueries) -> None:
        self._access = access

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        return Ground(workspace_stream(WorkspaceId(place.id)))

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        homes = await self._access.workspaces_of([(place.id, account) for place, account in asked])
        # The id may be that of a task, whose workspace has a different id.
        return {
            (place, account): Ground(workspace_stream(WorkspaceId(place.id)))
            for place, account in asked
            if homes.get((place.id, account)) == place.id
        }
