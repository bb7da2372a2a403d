"""Who may do what in a workspace: the roles and the one table of permissions."""

from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Forbidden


class Permission(StrEnum):
    """A right that a role gives. A caller who lacks it is told its value."""

    READ = "workspace:read"
    COMMENT = "tasks:comment"
    EDIT_TASKS = "tasks:write"
    OPEN_ROOMS = "rooms:write"
    DELETE_ANY_TASK = "tasks:delete"
    MANAGE_MEMBERS = "members:write"
    CHANGE_SETTINGS = "workspace:write"
    OWN = "workspace:own"


class Role(StrEnum):
    """The roles of members of a workspace, from the most to the least powerful."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"

    def outranks(self, other: "Role") -> bool:
        return _RANK[self] > _RANK[other]


@dataclass(frozen=True, slots=True)
class Standing:
    """The role of one account in one workspace, and the permissions that follow from it."""

    role: Role
    viewers_comment: bool = False

    def allows(self, permission: Permission) -> bool:
        if permission is Permission.COMMENT and self.viewers_comment:
            return True
        return permission in _TABLE[self.role]

    def gives(self, role: Role) -> bool:
        """Whether the account may give this role to a member. An owner gives any role, an admin those below admin."""
        return self.role is Role.OWNER or (self.allows(Permission.MANAGE_MEMBERS) and self.role.outranks(role))

    def require(self, permission: Permission) -> None:
        """Forbidden, naming the permission, unless this standing has it."""
        if not self.allows(permission):
            raise Forbidden(
                f"Your role here is {self.role.value}, which does not allow this.",
                extra={"required_permission": permission.value},
            )


_RANK = {Role.VIEWER: 0, Role.MEMBER: 1, Role.ADMIN: 2, Role.OWNER: 3}
_VIEWER = frozenset({Permission.READ})
_MEMBER = _VIEWER | {Permission.COMMENT, Permission.EDIT_TASKS, Permission.OPEN_ROOMS}
_ADMIN = _MEMBER | {Permission.DELETE_ANY_TASK, Permission.MANAGE_MEMBERS, Permission.CHANGE_SETTINGS}
_TABLE = {Role.VIEWER: _VIEWER, Role.MEMBER: _MEMBER, Role.ADMIN: _ADMIN, Role.OWNER: _ADMIN | {Permission.OWN}}
