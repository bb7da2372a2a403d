"""Workspaces: the tenant to which all but market data belongs, with its members and invitations."""

from domain.workspaces.invitations import (
    INVITATION_LIFETIME,
    INVITATION_LONGEST,
    INVITATION_USES_MAX,
    Invitation,
    InvitationForAnother,
    InvitationSpent,
    Removal,
)
from domain.workspaces.names import NAME_MAX, task_prefix
from domain.workspaces.workspace import (
    LOSSES,
    WORKSPACE,
    Member,
    PersonalWorkspace,
    SlugTaken,
    SoleOwner,
    Workspace,
    WorkspaceKind,
)

__all__ = [
    "INVITATION_LIFETIME",
    "INVITATION_LONGEST",
    "INVITATION_USES_MAX",
    "LOSSES",
    "NAME_MAX",
    "WORKSPACE",
    "Invitation",
    "InvitationForAnother",
    "InvitationSpent",
    "Member",
    "PersonalWorkspace",
    "Removal",
    "SlugTaken",
    "SoleOwner",
    "Workspace",
    "WorkspaceKind",
    "task_prefix",
]
