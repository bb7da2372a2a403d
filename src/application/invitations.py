"""Invitations that are mailed to an address, for the account with it alone."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from application.limits import Limits
from application.mail import Postbox
from application.ports.events import EventView
from application.ports.limits import Policy
from application.ports.mail import Letter, MailWork
from application.ports.notices import Notice, Told
from application.ports.workspaces import WorkspaceWork
from domain.errors import NotFound
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.text import without_links
from domain.workspaces import Invitation, Workspace

MAILED_PER_ACCOUNT = Policy("invitations_mailed", 50, 60 * 60_000)
MAILED_PER_PAIR = Policy("invitations_mailbox", 5, 60 * 60_000, "You have invited this address many times lately.")
# Nobody is refused by this, so it is not among those that are counted.
MAILED_PER_MAILBOX = Policy("invitations_anybody", 20, 60 * 60_000)
POLICIES = (MAILED_PER_ACCOUNT, MAILED_PER_PAIR)


class InvitingWork(WorkspaceWork, MailWork, Protocol):
    """The slice that invitations see, some of which are mailed."""


class MailedInvitations:
    """Mails invitations, and says who may use them.

    `named` tells the name of an account, and `has_address` whether an address is that of an account. It has to be
    verified if `needs_verified`.
    """

    def __init__(
        self,
        postbox: Postbox,
        limits: Limits,
        named: Callable[[Any, AccountId], Awaitable[str]],
        has_address: Callable[[Any, AccountId, str, bool], Awaitable[bool]],
        needs_verified: bool,
    ) -> None:
        self._postbox = postbox
        self._limits = limits
        self._named = named
        self._has_address = has_address
        self._needs_verified = needs_verified

    async def mail(
        self, work: InvitingWork, workspace: Workspace, invitation: Invitation, token: str, now: datetime
    ) -> None:
        """Mail its secret to the address that an invitation is for. Nothing if it is for none.

        Exhausted if its maker has mailed many lately, or many to this address. Of what all others have mailed there
        nobody is told: above a bound for the mailbox the invitation is there, and not mailed.
        """
        if invitation.email is not None:
            await self._limits.require(MAILED_PER_ACCOUNT, str(invitation.invited_by))
            await self._limits.require(MAILED_PER_PAIR, f"{invitation.invited_by}:{invitation.email}")
            if not await self._limits.allows(MAILED_PER_MAILBOX, invitation.email):
                return
            inviter = await self._named(work, invitation.invited_by)
            data = {
                # Both names may be of anybody's choice.
                "inviter": without_links(inviter),
                "workspace": without_links(workspace.name),
                "until": f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC",
                "token": token,
            }
            self._postbox.post(work, Letter("invitation", invitation.email, data), now)

    async def address_of(self, work: InvitingWork, invitation: Invitation, account: AccountId) -> str | None:
        """The address of the account if the invitation is for it.

        EmailUnverified if it is, but has to be verified first.
        """
        if invitation.email is None:
            return None
        is_theirs = await self._has_address(work, account, invitation.email, self._needs_verified)
        return invitation.email if is_theirs else None


def member_invited(
    account_at: Callable[[Any, str, bool], Awaitable[AccountId | None]], needs_verified: bool
) -> Notice[InvitingWork]:
    """The notice to the account with the address that an invitation was mailed to, as long as that lets it in.

    `account_at` tells which account has an address, which has to be verified for that if `needs_verified`.
    """

    async def told(work: InvitingWork, event: EventView, after: AccountId | None, most: int) -> Told | None:
        try:
            workspace = await work.workspaces.get(WorkspaceId(event.resource.id))
            id = InvitationId(UUID(str(event.data["invitation_id"])))
            invitation = await work.workspaces.invitation(id, workspace.id)
        except NotFound:
            return None
        if invitation.email is None or invitation.withdrawn_at is not None or invitation.uses:
            return None
        account = await account_at(work, invitation.email, needs_verified)
        if account is None or account in workspace.members:
            return None
        details = {"workspace_id": workspace.id, "role": invitation.role, "expires_at": invitation.expires_at}
        return Told("invitation", invitation.id, workspace.name, [account], None, workspace.id, details)

    return Notice(
        "member.invited",
        frozenset({"invitation.created"}),
        "You were invited to a workspace; the mail about it has the link.",
        told,
        lambda event: bool(event.data["is_mailed"]),
    )
