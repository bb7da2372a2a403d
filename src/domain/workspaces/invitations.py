"""Invitations to a workspace, and removals from it. A removed account cannot use an older invitation."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.access import Role
from domain.errors import Conflict, Forbidden
from domain.ids import AccountId, InvitationId, WorkspaceId

INVITATION_USES_MAX = 500
INVITATION_LIFETIME = timedelta(days=7)
INVITATION_LONGEST = 4 * INVITATION_LIFETIME


class InvitationSpent(Conflict):
    """The invitation can no longer be used.

    It has expired, was used up or withdrawn, or its maker may not give that role any more. Or the account that wants to
    join was removed after the invitation was made.
    """

    code = "invitation_expired"


class InvitationForAnother(Forbidden):
    """The invitation was mailed to an address that is not the one of the account."""

    code = "invitation_for_another"


@dataclass(slots=True)
class Invitation:
    """A link by which people join a workspace. Only the methods of the workspace change it.

    `digest` is the digest of its secret, which is not stored. `since` is the version of the workspace in which it was
    made. With an `email` it is for the account with that address alone.
    """

    id: InvitationId
    workspace_id: WorkspaceId
    role: Role
    digest: bytes
    max_uses: int
    uses: int
    invited_by: AccountId
    created_at: datetime
    expires_at: datetime
    since: int
    withdrawn_at: datetime | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """The removal of an account from a workspace, which gave the workspace `version`.

    The version tells which came first, an invitation or the removal, because the clocks of two processes may differ.
    """

    workspace_id: WorkspaceId
    account_id: AccountId
    version: int
    at: datetime
