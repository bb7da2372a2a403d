"""Links into a workspace, and the removals that an older link does not outlive."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.access import Role
from domain.errors import Conflict
from domain.ids import AccountId, InvitationId, WorkspaceId

INVITATION_USES_MAX = 500
INVITATION_LIFETIME = timedelta(days=7)
INVITATION_LONGEST = 4 * INVITATION_LIFETIME


class InvitationSpent(Conflict):
    """The invitation has run out, was used up or taken back, or its maker may not give that role any more.

    Or it is older than the removal of the one who wants to come in by it.
    """

    code = "invitation_expired"


@dataclass(slots=True)
class Invitation:
    """A link into a workspace; only a digest of its secret is kept, and it changes only through the workspace.

    `since` is the version of the workspace that it came with.
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


@dataclass(frozen=True, slots=True)
class Removal:
    """That somebody was taken out of a workspace, which has been at `version` since.

    The version says what came first, invitation or removal: the clocks of two processes may differ.
    """

    workspace_id: WorkspaceId
    account_id: AccountId
    version: int
    at: datetime
