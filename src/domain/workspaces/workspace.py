"""The aggregate of a workspace: every change of it, its members and its invitations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from domain.access import Permission, Role, Standing
from domain.channels import ChannelClass, ChannelKind, Loss, account_stream, by_id, workspace_stream
from domain.errors import Conflict, Forbidden, Invalid, NotFound
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.kernel import Aggregate, EventType, declared
from domain.text import EMAIL_MAX, new_email_address
from domain.workspaces.invitations import (
    INVITATION_LONGEST,
    INVITATION_USES_MAX,
    Invitation,
    InvitationForAnother,
    InvitationSpent,
    Removal,
)
from domain.workspaces.names import task_prefix, workspace_name, workspace_slug

# The name of a personal workspace whose owner is deleted.
NAMELESS = "Deleted workspace"

WORKSPACE = ChannelKind("workspace", ChannelClass.DURABLE, by_id, is_place=True)
LOSSES = (Loss("member.removed", "account_id"), Loss("workspace.deleted"))


class WorkspaceKind(StrEnum):
    """A `personal` workspace comes with its account and stays. A `team` one is made, shared and deleted at will."""

    PERSONAL = "personal"
    TEAM = "team"


class SoleOwner(Conflict):
    """The change would leave the workspace without an owner."""

    code = "sole_owner"


class PersonalWorkspace(Conflict):
    """A personal workspace cannot be shared, left or deleted."""

    code = "personal_workspace"


class SlugTaken(Conflict):
    """Another workspace has this slug."""

    code = "already_exists"


@dataclass(slots=True)
class Member:
    """The membership of one account in a workspace."""

    account_id: AccountId
    role: Role
    joined_at: datetime


_WHOSE = {"account_id": "The account of the member."}
_ROLE = {"role": "The role in the workspace."}
_WHICH = {"invitation_id": "Which invitation."}
_WHERE = {"workspace_id": "Which workspace."}


@dataclass(slots=True)
class Workspace(Aggregate):
    """A workspace with all its members. At least one of them is an owner.

    `task_prefix` begins the keys of its tasks (`OPS-12`). It is made from the first name and never changes.
    """

    resource_type: ClassVar[str] = "workspace"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType(
            "workspace.created",
            "workspace",
            "The workspace is there; its maker owns it.",
            {
                "name": "Its name.",
                "slug": "Its slug.",
                "task_prefix": "What its keys begin with.",
                "kind": "Its kind.",
            },
        ),
        EventType(
            "workspace.updated", "workspace", "Its settings changed.", changes=("name", "slug", "viewers_comment")
        ),
        EventType(
            "workspace.transferred",
            "workspace",
            "An owner handed the ownership on.",
            {"from": "The account that had it.", "to": "The account that has it."},
        ),
        EventType("workspace.deleted", "workspace", "The workspace ended, and with it all memberships."),
        EventType(
            "member.added",
            "workspace",
            "Somebody came in.",
            {**_WHOSE, **_ROLE, "invited_by": "The account whose invitation it was."},
        ),
        EventType("member.role_changed", "workspace", "A member got another role.", _WHOSE, ("role",)),
        EventType("member.removed", "workspace", "A member left or was removed.", {**_WHOSE, **_ROLE}),
        EventType(
            "invitation.created",
            "workspace",
            "There is a link by which people can come in.",
            {
                **_WHICH,
                **_ROLE,
                "expires_at": "When it runs out.",
                "is_mailed": "Whether it was mailed to an address, for the account with it alone.",
            },
        ),
        EventType("invitation.withdrawn", "workspace", "The link was taken back.", _WHICH),
        EventType("workspace.joined", "account", "The account is a member.", {**_WHERE, **_ROLE}),
        EventType("workspace.role_changed", "account", "The account has another role.", {**_WHERE, **_ROLE}),
        EventType(
            "workspace.left",
            "account",
            "The account is no member any more.",
            {**_WHERE, "reason": "Why: left, removed, deleted."},
        ),
    )

    id: WorkspaceId
    name: str
    slug: str
    task_prefix: str
    kind: WorkspaceKind
    viewers_comment: bool
    created_by: AccountId
    created_at: datetime
    updated_at: datetime
    members: dict[AccountId, Member]
    deleted_at: datetime | None = None

    @classmethod
    def create(
        cls, id: WorkspaceId, name: str, slug: str, kind: WorkspaceKind, by: AccountId, at: datetime
    ) -> "Workspace":
        """A new workspace that belongs to `by` alone."""
        owner = Member(by, Role.OWNER, at)
        name = workspace_name(name)
        workspace = cls(id, name, workspace_slug(slug), task_prefix(name), kind, False, by, at, at, {by: owner})
        told = {"name": name, "slug": slug, "task_prefix": workspace.task_prefix, "kind": kind}
        workspace._tell("workspace.created", by, at, data=told)
        return workspace

    def role_of(self, account: AccountId) -> Role:
        """The role of a member. NotFound for any other account, which may not know that the workspace exists."""
        member = self.members.get(account)
        if member is None:
            raise NotFound
        return member.role

    def _require(self, account: AccountId, permission: Permission) -> Role:
        role = self.role_of(account)
        Standing(role).require(permission)
        return role

    def change(
        self,
        by: AccountId,
        at: datetime,
        name: str | None = None,
        slug: str | None = None,
        viewers_comment: bool | None = None,
    ) -> None:
        """Rename the workspace or change its settings. An argument that is None changes nothing."""
        self._require(by, Permission.CHANGE_SETTINGS)
        wanted: dict[str, object] = {}
        if name is not None:
            wanted["name"] = workspace_name(name)
        if slug is not None:
            wanted["slug"] = workspace_slug(slug)
        if viewers_comment is not None:
            wanted["viewers_comment"] = viewers_comment
        changes = {k: (getattr(self, k), v) for k, v in wanted.items() if getattr(self, k) != v}
        for key, (_, new) in changes.items():
            setattr(self, key, new)
        if changes:
            self._tell("workspace.updated", by, at, changes)

    def delete(self, by: AccountId, at: datetime) -> None:
        """Delete the workspace and end all memberships. From now on no account sees it or anything in it."""
        self._require(by, Permission.OWN)
        self._refuse_personal("A personal workspace cannot be deleted.")
        self._end(by, at)

    def lose(self, account: AccountId, at: datetime) -> None:
        """End the membership of an account that is deleted.

        If nobody else is in it, the workspace ends too. A personal one then forgets its name, which tells whose it was.
        If nobody else owns it, the member of the highest role who is in it for longest becomes its owner.
        """
        self.role_of(account)
        others = {k: v for k, v in self.members.items() if k != account}
        if not others:
            if self.kind is WorkspaceKind.PERSONAL:
                self.name, self.task_prefix = NAMELESS, task_prefix(NAMELESS)
            self._end(account, at)
            return
        if not any(member.role is Role.OWNER for member in others.values()):
            heir = min(others.values(), key=lambda m: (tuple(Role).index(m.role), m.joined_at, m.account_id))
            self.change_role(heir.account_id, Role.OWNER, account, at)
        self.remove(account, account, at)

    def _end(self, by: AccountId, at: datetime) -> None:
        self.deleted_at = at
        self._tell("workspace.deleted", by, at)
        for account in self.members:
            self._tell_account(account, "workspace.left", by, at, {"reason": "deleted"})
        self.members = {}

    def admit(self, account: AccountId, role: Role, invited_by: AccountId | None, at: datetime) -> None:
        """Add a member. An account that is a member already keeps its role."""
        if account in self.members:
            return
        self._refuse_personal("A personal workspace cannot be shared.")
        self.members = {**self.members, account: Member(account, role, at)}
        data = {"account_id": account, "role": role, "invited_by": invited_by}
        self._tell("member.added", account, at, data=data)
        self._tell_account(account, "workspace.joined", account, at, {"role": role})

    def change_role(self, account: AccountId, role: Role, by: AccountId, at: datetime) -> None:
        """Give a member another role. An admin manages only members and roles below admin; an owner manages all."""
        mine = self._require(by, Permission.MANAGE_MEMBERS)
        member = self._member(account)
        standing = Standing(mine)
        if not (standing.gives(role) and standing.gives(member.role)):
            raise Forbidden("You can only manage members below your own role.")
        if member.role is role:
            return
        if member.role is Role.OWNER:
            self._refuse_sole_owner(account)
        old = member.role
        self.members = {**self.members, account: Member(account, role, member.joined_at)}
        self._tell("member.role_changed", by, at, {"role": (old, role)}, {"account_id": account})
        self._tell_account(account, "workspace.role_changed", by, at, {"role": role})

    def remove(self, account: AccountId, by: AccountId, at: datetime) -> Removal | None:
        """End a membership: the caller's own, or that of a member whom the caller may manage (see `change_role`).

        The second is a removal, and the removed account needs a new invitation to join again. A member who left may
        use an old one.
        """
        mine = self.role_of(by)
        member = self._member(account)
        if account != by:
            self._require(by, Permission.MANAGE_MEMBERS)
            if not Standing(mine).gives(member.role):
                raise Forbidden("You can only remove members below your own role.")
        self._refuse_personal("A personal workspace cannot be left.")
        if member.role is Role.OWNER:
            self._refuse_sole_owner(account)
        self.members = {k: v for k, v in self.members.items() if k != account}
        self._tell("member.removed", by, at, data={"account_id": account, "role": member.role})
        reason = "left" if account == by else "removed"
        self._tell_account(account, "workspace.left", by, at, {"reason": reason})
        return None if account == by else Removal(self.id, account, self.version, at)

    def transfer(self, account: AccountId, by: AccountId, at: datetime) -> None:
        """Make another member an owner, and the caller an admin."""
        self._require(by, Permission.OWN)
        member = self._member(account)
        if account == by:
            return
        self.members = {
            **self.members,
            account: Member(account, Role.OWNER, member.joined_at),
            by: Member(by, Role.ADMIN, self.members[by].joined_at),
        }
        self._tell("workspace.transferred", by, at, data={"from": by, "to": account})
        for changed, role in ((account, Role.OWNER), (by, Role.ADMIN)):
            self._tell_account(changed, "workspace.role_changed", by, at, {"role": role})

    def invite(
        self,
        id: InvitationId,
        role: Role,
        digest: bytes,
        max_uses: int,
        expires_at: datetime,
        by: AccountId,
        at: datetime,
        email: str | None = None,
    ) -> Invitation:
        """An invitation to join with `role`. `digest` is the digest of its secret, which is not stored.

        With an `email` it is for the account with that address, so it can be used once.
        """
        mine = self._require(by, Permission.MANAGE_MEMBERS)
        if not Standing(mine).gives(role):
            raise Forbidden("You can only invite people below your own role.")
        self._refuse_personal("A personal workspace cannot be shared.")
        if not 1 <= max_uses <= INVITATION_USES_MAX:
            raise Invalid(f"An invitation is for 1 to {INVITATION_USES_MAX} people.", pointer="/max_uses")
        if email is not None and max_uses > 1:
            raise Invalid("An invitation to one address is for one person.", pointer="/max_uses")
        if not at < expires_at <= at + INVITATION_LONGEST:
            raise Invalid("An invitation ends within 28 days from now.", pointer="/expires_at")
        told = {"invitation_id": id, "role": role, "expires_at": expires_at, "is_mailed": email is not None}
        self._tell("invitation.created", by, at, data=told)
        to = None if email is None else new_email_address(email, pointer="/email", longest=EMAIL_MAX)
        return Invitation(id, self.id, role, digest, max_uses, 0, by, at, expires_at, self.version, None, to)

    def withdraw(self, invitation: Invitation, by: AccountId, at: datetime) -> None:
        """Withdraw an invitation. Doing it twice changes nothing."""
        self._require(by, Permission.MANAGE_MEMBERS)
        if invitation.withdrawn_at is not None:
            return
        invitation.withdrawn_at = at
        self._tell("invitation.withdrawn", by, at, data={"invitation_id": invitation.id})

    def accept(
        self,
        invitation: Invitation,
        account: AccountId,
        at: datetime,
        removal: Removal | None = None,
        email: str | None = None,
    ) -> None:
        """Join by an invitation. For a member it does nothing and uses nothing up, even if the invitation has ended.

        `removal` is the last removal of this account from this workspace, if there was one. `email` is the address of
        the account.
        """
        if account in self.members:
            return
        is_spent = invitation.withdrawn_at or at >= invitation.expires_at or invitation.uses >= invitation.max_uses
        maker = self.members.get(invitation.invited_by)
        if is_spent or maker is None or not Standing(maker.role).gives(invitation.role):
            raise InvitationSpent("This invitation is no longer valid.")
        if removal is not None and invitation.since < removal.version:
            raise InvitationSpent("You were removed after this invitation was made: ask for a new one.")
        if invitation.email is not None and invitation.email != email:
            raise InvitationForAnother("This invitation is for the account with the address that it was mailed to.")
        invitation.uses += 1
        self.admit(account, invitation.role, invitation.invited_by, at)

    def _member(self, account: AccountId) -> Member:
        member = self.members.get(account)
        if member is None:
            raise NotFound
        return member

    def _refuse_personal(self, detail: str) -> None:
        if self.kind is WorkspaceKind.PERSONAL:
            raise PersonalWorkspace(detail)

    def _refuse_sole_owner(self, account: AccountId) -> None:
        if not any(m.role is Role.OWNER for k, m in self.members.items() if k != account):
            raise SoleOwner("A workspace needs an owner: make somebody else one first.")

    def _tell(
        self,
        type: str,
        by: AccountId,
        at: datetime,
        changes: Mapping[str, tuple[object, object]] | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        self.updated_at = at
        self._announce(type, workspace_stream(self.id), self.id, at, by, changes, data)

    def _tell_account(
        self, account: AccountId, type: str, by: AccountId, at: datetime, data: Mapping[str, object]
    ) -> None:
        """Announce the news on the account's own stream too: it may not see the workspace's stream before or after."""
        self._announce(type, account_stream(account), self.id, at, by, None, {"workspace_id": self.id, **data})
