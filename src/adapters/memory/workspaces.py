"""Workspaces, members and invitations in memory."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.identity import ACCOUNTS
from adapters.memory.pages import page_of
from adapters.memory.unit import USAGE, MemoryUnit
from application.paging import Page, decode_cursor
from application.ports.unit_of_work import Stale
from application.ports.workspaces import (
    INVITATIONS_SHOWN,
    InvitationView,
    MemberView,
    WorkspaceQueries,
    WorkspaceRepository,
    WorkspaceView,
    uses_of,
)
from domain.access import Permission, Role, Standing
from domain.errors import NotFound, QuotaExceeded
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.workspaces import Invitation, Member, Removal, SlugTaken, Workspace, WorkspaceKind

_Instant = Annotated[datetime, Meta(tz=True)]

WORKSPACES: Table[WorkspaceId, Workspace] = Table("workspaces")
INVITATIONS: Table[InvitationId, Invitation] = Table("invitations")
REMOVALS: Table[tuple[WorkspaceId, AccountId], Removal] = Table("removals")


def standing_in(tables: Tables, workspace: WorkspaceId, account: AccountId) -> Standing | None:
    """The standing of the account in the workspace; None if it is not a member or the workspace does not exist."""
    found = tables[WORKSPACES].get(workspace)
    member = found.members.get(account) if found else None
    return Standing(member.role, found.viewers_comment) if found and member else None


def still(workspace: WorkspaceId, account: AccountId, standing: Standing) -> Callable[[Tables], None]:
    """A guard: Stale, unless the account has this standing."""

    def check(tables: Tables) -> None:
        if standing_in(tables, workspace, account) != standing:
            raise Stale

    return check


class MemoryWorkspaces(WorkspaceRepository):
    """Workspaces inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: WorkspaceId) -> Workspace:
        found = self._unit.tables[WORKSPACES].get(id)
        if found is None or found.deleted_at:
            raise NotFound
        return copied(found)

    async def of_account(self, account: AccountId, most: int) -> Sequence[Workspace]:
        theirs = [each for each in self._unit.tables[WORKSPACES].values() if account in each.members]
        return [copied(workspace) for workspace in theirs[:most]]

    async def owned_alone(self, account: AccountId) -> Sequence[tuple[WorkspaceId, str]]:
        return [
            (workspace.id, workspace.name)
            for workspace in sorted(self._unit.tables[WORKSPACES].values(), key=lambda workspace: workspace.id)
            if len(workspace.members) > 1
            and [member.account_id for member in workspace.members.values() if member.role is Role.OWNER] == [account]
        ]

    def add(self, workspace: Workspace) -> None:
        self.save(workspace)

    def save(self, workspace: Workspace) -> None:
        def check(tables: Tables) -> None:
            for other in tables[WORKSPACES].values():
                if other.slug == workspace.slug and other.id != workspace.id and not other.deleted_at:
                    raise SlugTaken("This slug is taken.", pointer="/slug")

        self._unit.saving(workspace.id, workspace, WORKSPACES, check, uses=lambda w: uses_of(w.id, w.members))

    async def invitation(self, id: InvitationId, workspace: WorkspaceId) -> Invitation:
        found = self._unit.tables[INVITATIONS].get(id)
        if found is None or found.workspace_id != workspace:
            raise NotFound
        return self._loaded(found)

    async def invitation_by_digest(self, digest: bytes) -> Invitation:
        for invitation in self._unit.tables[INVITATIONS].values():
            if invitation.digest == digest:
                return self._loaded(invitation)
        raise NotFound

    def _loaded(self, invitation: Invitation) -> Invitation:
        self._unit.loaded[invitation.id] = copied(invitation)
        return copied(invitation)

    def add_invitation(self, invitation: Invitation) -> None:
        most = self._unit.quotas["invitations"]

        def check(tables: Tables) -> None:
            workspace = tables[WORKSPACES][invitation.workspace_id]
            if len(_open_invitations(tables, workspace, invitation.created_at)) >= most:
                raise QuotaExceeded("invitations", most)

        self._unit.require(check)
        self._write(invitation)

    def save_invitation(self, invitation: Invitation) -> None:
        loaded = self._unit.loaded[invitation.id]

        def check(tables: Tables) -> None:
            if tables[INVITATIONS].get(invitation.id) != loaded:
                raise Stale

        self._unit.require(check)
        self._write(invitation)

    def _write(self, invitation: Invitation) -> None:
        kept = copied(invitation)
        self._unit.note(lambda tables: tables[INVITATIONS].__setitem__(kept.id, kept))

    async def removal(self, workspace: WorkspaceId, account: AccountId) -> Removal | None:
        return self._unit.tables[REMOVALS].get((workspace, account))

    def add_removal(self, removal: Removal) -> None:
        key = removal.workspace_id, removal.account_id
        self._unit.note(lambda tables: tables[REMOVALS].__setitem__(key, removal))


class MemoryWorkspaceQueries(WorkspaceQueries):
    """Workspaces for reading only."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def view(self, id: WorkspaceId, by: AccountId) -> WorkspaceView:
        return _view(self._seen(id, by), by)

    async def page(
        self, by: AccountId, cursor: str | None, limit: int, within: UUID | None = None
    ) -> Page[WorkspaceView]:
        query = f"workspaces {by} {within}"
        after = decode_cursor(cursor, query, bool, _Instant, UUID) if cursor is not None else None
        workspaces = self._database.committed[WORKSPACES].values()
        mine = [each for each in workspaces if by in each.members and within in {None, each.id}]
        return page_of(mine, lambda workspace: _view(workspace, by), _age, query, after, limit)

    async def members(self, workspace: WorkspaceId, by: AccountId, cursor: str | None, limit: int) -> Page[MemberView]:
        query = f"members {workspace}"
        after = decode_cursor(cursor, query, _Instant, UUID) if cursor is not None else None
        members, accounts = self._seen(workspace, by).members, self._database.committed[ACCOUNTS]

        def view(member: Member) -> MemberView:
            name = accounts[member.account_id].display_name
            return MemberView(member.account_id, name, member.role, member.joined_at)

        return page_of(members.values(), view, _seniority, query, after, limit)

    async def invitations(self, workspace: WorkspaceId, by: AccountId, now: datetime) -> Sequence[InvitationView]:
        seen = self._seen(workspace, by)
        Standing(seen.members[by].role).require(Permission.MANAGE_MEMBERS)
        open = _open_invitations(self._database.committed, seen, now)
        open.sort(key=lambda invitation: (invitation.created_at, invitation.id), reverse=True)
        return [msgspec.convert(i, InvitationView, from_attributes=True) for i in open[:INVITATIONS_SHOWN]]

    async def usage(self, workspace: WorkspaceId, by: AccountId, now: datetime) -> Mapping[str, int]:
        tables, seen = self._database.committed, self._seen(workspace, by)
        kept = {
            use.kind: n for use, n in tables[USAGE].items() if use.scope == workspace and use.subject in (workspace, by)
        }
        return kept | {"invitations": len(_open_invitations(tables, seen, now))}

    def _seen(self, id: WorkspaceId, by: AccountId) -> Workspace:
        workspace = self._database.committed[WORKSPACES].get(id)
        if workspace is None or by not in workspace.members:
            raise NotFound
        return workspace


def _open_invitations(tables: Tables, workspace: Workspace, now: datetime) -> list[Invitation]:
    """The invitations of the workspace that can be accepted at that time."""
    return [
        invitation
        for invitation in tables[INVITATIONS].values()
        if invitation.workspace_id == workspace.id
        and not invitation.withdrawn_at
        and invitation.uses < invitation.max_uses
        and now < invitation.expires_at
        and (maker := workspace.members.get(invitation.invited_by))
        and Standing(maker.role).gives(invitation.role)
    ]


def _age(workspace: Workspace) -> tuple[bool, datetime, UUID]:
    return workspace.kind is not WorkspaceKind.PERSONAL, workspace.created_at, workspace.id


def _seniority(member: Member) -> tuple[datetime, UUID]:
    return member.joined_at, member.account_id


def _view(workspace: Workspace, by: AccountId) -> WorkspaceView:
    return WorkspaceView(
        id=workspace.id,
        name=workspace.name,
        slug=workspace.slug,
        task_prefix=workspace.task_prefix,
        kind=workspace.kind,
        viewers_comment=workspace.viewers_comment,
        my_role=workspace.role_of(by),
        member_count=len(workspace.members),
        created_by=workspace.created_by,
        created_at=workspace.created_at,
        updated_at=workspace.updated_at,
        version=workspace.version,
    )
