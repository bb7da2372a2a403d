"""The routes of workspaces, their members and invitations."""

from collections.abc import Mapping

from litestar import Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from application.paging import PAGE_DEFAULT, Page
from application.ports.workspaces import InvitationView, MemberView, WorkspaceView
from application.quotas import QuotaUse
from application.workspaces import (
    WORKSPACE_ADMIN,
    WORKSPACE_READ,
    Acceptance,
    InvitationMade,
    NewInvitation,
    NewWorkspace,
    RoleChange,
    Transfer,
    WorkspacePatch,
    Workspaces,
)
from domain.ids import AccountId, InvitationId, WorkspaceId
from entrypoints.http.facts import AN_ID, Facts
from entrypoints.http.request import ApiRequest, PageCursor, PageLimit


def workspace_routes(workspaces: Workspaces) -> Router:
    """Routes under `/workspaces` and `/invitations`."""

    @get("/workspaces")
    async def list_workspaces(
        request: ApiRequest, cursor: PageCursor = None, limit: PageLimit = PAGE_DEFAULT
    ) -> Page[WorkspaceView]:
        """The caller's workspaces, the personal one first."""
        return await workspaces.page(request.actor, cursor, limit)

    @post("/workspaces", facts=Facts(example={"name": "Operations", "slug": "operations"}))
    async def create_workspace(request: ApiRequest, data: JSONBody[NewWorkspace]) -> WorkspaceView:
        """Create a team workspace, which the caller owns."""
        return await workspaces.create(request.actor, data)

    @get("/workspaces/{id:uuid}")
    async def read_workspace(request: ApiRequest, id: FromPath[WorkspaceId]) -> WorkspaceView:
        """One workspace, with the caller's role in it."""
        return await workspaces.read(request.actor, id)

    @patch(
        "/workspaces/{id:uuid}",
        facts=Facts(example={"name": "Field operations", "viewers_comment": True}, current=WorkspaceView),
    )
    async def change_workspace(
        request: ApiRequest, id: FromPath[WorkspaceId], data: JSONBody[WorkspacePatch]
    ) -> WorkspaceView:
        """Rename a workspace or change its settings; with `If-Match`, only that version."""
        return await workspaces.change(request.actor, id, data, request.version)

    @delete("/workspaces/{id:uuid}", facts=Facts(current=WorkspaceView))
    async def delete_workspace(request: ApiRequest, id: FromPath[WorkspaceId]) -> None:
        """Delete a team workspace. Only an owner can."""
        await workspaces.delete(request.actor, id, request.version)

    @post("/workspaces/{id:uuid}/transfer", status_code=200, facts=Facts(example={"account_id": AN_ID}))
    async def transfer_workspace(
        request: ApiRequest, id: FromPath[WorkspaceId], data: JSONBody[Transfer]
    ) -> WorkspaceView:
        """Transfer the caller's ownership to another member. The caller becomes an admin."""
        return await workspaces.transfer(request.actor, id, data)

    @get("/workspaces/{id:uuid}/members")
    async def list_members(
        request: ApiRequest, id: FromPath[WorkspaceId], cursor: PageCursor = None, limit: PageLimit = PAGE_DEFAULT
    ) -> Page[MemberView]:
        """The members in the order in which they joined."""
        return await workspaces.members(request.actor, id, cursor, limit)

    @patch(
        "/workspaces/{id:uuid}/members/{account_id:uuid}",
        status_code=204,
        facts=Facts(example={"role": "admin"}),
    )
    async def change_member(
        request: ApiRequest, id: FromPath[WorkspaceId], account_id: FromPath[AccountId], data: JSONBody[RoleChange]
    ) -> None:
        """Change the role of a member. Only an owner can change a member of the same role."""
        await workspaces.change_role(request.actor, id, account_id, data)

    @delete("/workspaces/{id:uuid}/members/{account_id:uuid}")
    async def remove_member(request: ApiRequest, id: FromPath[WorkspaceId], account_id: FromPath[AccountId]) -> None:
        """Remove a member, or leave. The last owner cannot be removed."""
        await workspaces.remove(request.actor, id, account_id)

    @get("/workspaces/{id:uuid}/usage")
    async def workspace_usage(request: ApiRequest, id: FromPath[WorkspaceId]) -> Mapping[str, QuotaUse]:
        """How much of each quota is used. `open_tasks` counts those of the caller."""
        return await workspaces.usage(request.actor, id)

    @get("/workspaces/{id:uuid}/invitations", facts=Facts(scope=WORKSPACE_ADMIN))
    async def list_invitations(request: ApiRequest, id: FromPath[WorkspaceId]) -> Page[InvitationView]:
        """The invitations that can still be accepted, newest first."""
        return await workspaces.invitations(request.actor, id)

    @post(
        "/workspaces/{id:uuid}/invitations",
        facts=Facts(is_secret=True, example={"role": "member", "max_uses": 5}),
    )
    async def invite(request: ApiRequest, id: FromPath[WorkspaceId], data: JSONBody[NewInvitation]) -> InvitationMade:
        """Create an invitation. Only this answer shows its token."""
        return await workspaces.invite(request.actor, id, data)

    @delete("/workspaces/{id:uuid}/invitations/{invitation_id:uuid}")
    async def withdraw_invitation(
        request: ApiRequest, id: FromPath[WorkspaceId], invitation_id: FromPath[InvitationId]
    ) -> None:
        """Withdraw an invitation."""
        await workspaces.withdraw(request.actor, id, invitation_id)

    @post(
        "/invitations/accept",
        status_code=200,
        facts=Facts(example={"token": "kR3v8yT1nQ5wZ7xB2mC4dF6gH9jL0pS_aE-uIoYrTzA"}, refuses={404}),
    )
    async def accept_invitation(request: ApiRequest, data: JSONBody[Acceptance]) -> WorkspaceView:
        """Join a workspace by an invitation. Repeating this does no harm."""
        return await workspaces.accept(request.actor, data)

    return Router(
        "/",
        route_handlers=[
            list_workspaces,
            create_workspace,
            read_workspace,
            change_workspace,
            delete_workspace,
            transfer_workspace,
            list_members,
            change_member,
            remove_member,
            workspace_usage,
            list_invitations,
            invite,
            withdraw_invitation,
            accept_invitation,
        ],
        tags=["workspaces"],
        opt={
            "about": "Workspaces, their members and the invitations into them.",
            "scopes": (WORKSPACE_READ, WORKSPACE_ADMIN),
        },
    )
