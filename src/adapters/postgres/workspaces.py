"""Workspaces, their members and invitations in PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql

from adapters.postgres.database import Database
from adapters.postgres.failures import REFUSALS
from adapters.postgres.statement import Part, Statement, bound
from adapters.postgres.tables import accounts, invitations, members, removals, usage, workspaces
from adapters.postgres.unit_of_work import PostgresUnit
from application.paging import Page, decode_cursor, encode_cursor
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
from domain.errors import NotFound
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.workspaces import Invitation, Member, Removal, SlugTaken, Workspace, WorkspaceKind

REFUSALS["uq_workspaces_slug"] = lambda: SlugTaken("This slug is taken.", pointer="/slug")
_FIELDS = tuple(f.name for f in fields(Workspace) if f.init and f.name not in {"version", "members"})
_GET = Statement(
    select(*(workspaces.c[name] for name in _FIELDS), workspaces.c.version).where(
        workspaces.c.id == bindparam("id"), workspaces.c.deleted_at.is_(None)
    )
)
_INSERT = Statement(insert(workspaces).values(bound(*_FIELDS, "version")))
_UPDATE = Statement(
    update(workspaces)
    .where(workspaces.c.id == bindparam("key"), workspaces.c.version == bindparam("loaded"))
    .values(
        {
            name: bindparam(name)
            for name in ("name", "slug", "task_prefix", "viewers_comment", "updated_at", "deleted_at", "version")
        }
    )
)
_OF_ACCOUNT = Statement(
    select(members.c.workspace_id).where(members.c.account_id == bindparam("account")).limit(bindparam("most"))
)
_owner, _other = members.alias("owner"), members.alias("other")
_OWNED_ALONE = Statement(
    select(workspaces.c.id, workspaces.c.name)
    .join(_owner, _owner.c.workspace_id == workspaces.c.id)
    .where(
        _owner.c.account_id == bindparam("account"),
        _owner.c.role == literal_column(f"'{Role.OWNER}'"),
        exists().where(_other.c.workspace_id == workspaces.c.id, _other.c.account_id != _owner.c.account_id),
        ~exists().where(
            _other.c.workspace_id == workspaces.c.id,
            _other.c.account_id != _owner.c.account_id,
            _other.c.role == literal_column(f"'{Role.OWNER}'"),
        ),
    )
    .order_by(workspaces.c.id)
)
_ALL_MEMBERS = Statement(
    select(members.c.account_id, members.c.role, members.c.joined_at).where(
        members.c.workspace_id == bindparam("workspace")
    )
)
_THIS_MEMBER = and_(members.c.workspace_id == bindparam("workspace"), members.c.account_id == bindparam("account"))
_INSERT_MEMBER = Statement(
    insert(members).values(
        workspace_id=bindparam("workspace"),
        account_id=bindparam("account"),
        role=bindparam("role"),
        joined_at=bindparam("joined_at"),
    )
)
_UPDATE_MEMBER = Statement(update(members).where(_THIS_MEMBER).values(role=bindparam("new_role")))
_DELETE_MEMBER = Statement(delete(members).where(_THIS_MEMBER))

_INVITATION = tuple(f.name for f in fields(Invitation))
_INVITATION_ROW = select(*(invitations.c[name] for name in _INVITATION))
_GET_INVITATION = Statement(
    _INVITATION_ROW.where(invitations.c.id == bindparam("id"), invitations.c.workspace_id == bindparam("workspace"))
)
_FIND_INVITATION = Statement(_INVITATION_ROW.where(invitations.c.digest == bindparam("digest")))
_INSERT_INVITATION = Statement(insert(invitations).values(bound(*_INVITATION)))
_UPDATE_INVITATION = Statement(
    update(invitations)
    .where(
        invitations.c.id == bindparam("key"),
        invitations.c.uses == bindparam("loaded"),
        invitations.c.withdrawn_at.is_(None),
    )
    .values(uses=bindparam("uses"), withdrawn_at=bindparam("withdrawn_at"))
)

_REMOVAL = tuple(f.name for f in fields(Removal))
_GET_REMOVAL = Statement(
    select(*(removals.c[name] for name in _REMOVAL)).where(
        removals.c.workspace_id == bindparam("workspace"), removals.c.account_id == bindparam("account")
    )
)
_removal = postgresql.insert(removals).values(bound(*_REMOVAL))
_UPSERT_REMOVAL = Statement(
    _removal.on_conflict_do_update(
        index_elements=list(removals.primary_key), set_={name: _removal.excluded[name] for name in ("version", "at")}
    )
)


class PostgresWorkspaces(WorkspaceRepository):
    """Workspaces inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: WorkspaceId) -> Workspace:
        row = await self._unit.fetchrow(_GET, id=id)
        if row is None:
            raise NotFound
        loaded = {
            account: Member(account, Role(role), joined_at)
            for account, role, joined_at in await self._unit.fetch(_ALL_MEMBERS, workspace=id)
        }
        self._unit.loaded[id] = loaded
        values = dict(zip(_FIELDS, row, strict=False))
        values["kind"] = WorkspaceKind(values["kind"])
        return Workspace(**values, members=loaded, version=row["version"])

    async def of_account(self, account: AccountId, most: int) -> Sequence[Workspace]:
        rows = await self._unit.fetch(_OF_ACCOUNT, account=account, most=most)
        return [await self.get(WorkspaceId(id)) for (id,) in rows]

    async def owned_alone(self, account: AccountId) -> Sequence[tuple[WorkspaceId, str]]:
        rows = await self._unit.fetch(_OWNED_ALONE, account=account)
        return [(WorkspaceId(id), name) for id, name in rows]

    def add(self, workspace: Workspace) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            yield _INSERT.part(_values(workspace))
            yield from _member_writes(workspace.id, {}, workspace.members)
            self._unit.count(uses_of(workspace.id, workspace.members))

        self._unit.saving(workspace, writes)

    def save(self, workspace: Workspace) -> None:
        # The aggregate never changes its members in place, so they can be compared with those that were loaded.
        before = self._unit.loaded[workspace.id]

        def writes(loaded: int) -> Iterable[Part]:
            yield _UPDATE.part(_values(workspace) | {"key": workspace.id, "loaded": loaded})
            yield from _member_writes(workspace.id, before, workspace.members)
            self._unit.count(uses_of(workspace.id, workspace.members), uses_of(workspace.id, before))

        self._unit.saving(workspace, writes)

    async def invitation(self, id: InvitationId, workspace: WorkspaceId) -> Invitation:
        return self._invitation(await self._unit.fetchrow(_GET_INVITATION, id=id, workspace=workspace))

    async def invitation_by_digest(self, digest: bytes) -> Invitation:
        return self._invitation(await self._unit.fetchrow(_FIND_INVITATION, digest=digest))

    def add_invitation(self, invitation: Invitation) -> None:
        self._unit.guard(
            _ROOM_FOR_INVITATION,
            workspace=invitation.workspace_id,
            now=invitation.created_at,
            most=self._unit.quotas["invitations"],
        )
        self._unit.note(_INSERT_INVITATION, **{name: getattr(invitation, name) for name in _INVITATION})

    def save_invitation(self, invitation: Invitation) -> None:
        self._unit.note(
            _UPDATE_INVITATION,
            key=invitation.id,
            loaded=self._unit.loaded[invitation.id],
            uses=invitation.uses,
            withdrawn_at=invitation.withdrawn_at,
        )

    async def removal(self, workspace: WorkspaceId, account: AccountId) -> Removal | None:
        row = await self._unit.fetchrow(_GET_REMOVAL, workspace=workspace, account=account)
        return None if row is None else Removal(*row)

    def add_removal(self, removal: Removal) -> None:
        self._unit.note(_UPSERT_REMOVAL, **{name: getattr(removal, name) for name in _REMOVAL})

    def _invitation(self, row: asyncpg.Record | None) -> Invitation:
        if row is None:
            raise NotFound
        values = dict(zip(_INVITATION, row, strict=True))
        values["role"] = Role(values["role"])
        self._unit.loaded[values["id"]] = values["uses"]
        return Invitation(**values)


def _values(workspace: Workspace) -> dict[str, Any]:
    return {name: getattr(workspace, name) for name in _FIELDS} | {"version": workspace.version}


def _member_writes(
    workspace: WorkspaceId, before: dict[AccountId, Member], after: dict[AccountId, Member]
) -> Iterable[Part]:
    for account, member in after.items():
        key = {"workspace": workspace, "account": account}
        if account not in before:
            values = {**key, "role": member.role, "joined_at": member.joined_at}
            yield _INSERT_MEMBER.part(values)
        elif before[account].role is not member.role:
            yield _UPDATE_MEMBER.part({**key, "new_role": member.role})
    for account in before.keys() - after.keys():
        yield _DELETE_MEMBER.part({"workspace": workspace, "account": account})


_MINE = members.alias("mine")
_VIEW = select(
    workspaces.c.id,
    workspaces.c.name,
    workspaces.c.slug,
    workspaces.c.task_prefix,
    workspaces.c.kind,
    workspaces.c.viewers_comment,
    _MINE.c.role,
    select(func.count())
    .select_from(members)
    .where(members.c.workspace_id == workspaces.c.id)
    .scalar_subquery()
    .label("member_count"),
    workspaces.c.created_by,
    workspaces.c.created_at,
    workspaces.c.updated_at,
    workspaces.c.version,
).join(_MINE, and_(_MINE.c.workspace_id == workspaces.c.id, _MINE.c.account_id == bindparam("account")))
_VIEW_ONE = Statement(_VIEW.where(workspaces.c.id == bindparam("id")))
# The personal workspace comes first.
_PLACE = tuple_(workspaces.c.kind != WorkspaceKind.PERSONAL.value, workspaces.c.created_at, workspaces.c.id)
_WITHIN = bindparam("within", type_=workspaces.c.id.type)
_VIEW_PAGE = Statement(
    _VIEW.where(
        tuple_(
            bindparam("after_kind", type_=workspaces.c.viewers_comment.type),
            bindparam("after_time", type_=workspaces.c.created_at.type),
            bindparam("after_id", type_=workspaces.c.id.type),
        )
        < _PLACE,
        or_(_WITHIN.is_(None), workspaces.c.id == _WITHIN),
    )
    .order_by(workspaces.c.kind != WorkspaceKind.PERSONAL.value, workspaces.c.created_at, workspaces.c.id)
    .limit(bindparam("limit"))
)
_MEMBER_PAGE = Statement(
    select(members.c.account_id, accounts.c.display_name, members.c.role, members.c.joined_at)
    .join(accounts, accounts.c.id == members.c.account_id)
    .where(
        members.c.workspace_id == bindparam("workspace"),
        tuple_(members.c.joined_at, members.c.account_id)
        > tuple_(
            bindparam("after_time", type_=members.c.joined_at.type),
            bindparam("after_id", type_=members.c.account_id.type),
        ),
    )
    .order_by(members.c.joined_at, members.c.account_id)
    .limit(bindparam("limit"))
)
_MAKER_GIVES_IT = or_(
    *(
        and_(members.c.role == maker.value, invitations.c.role == given.value)
        for maker in Role
        for given in Role
        if Standing(maker).gives(given)
    )
)
_OPEN = (
    members.c.workspace_id == invitations.c.workspace_id,
    members.c.account_id == invitations.c.invited_by,
    _MAKER_GIVES_IT,
    invitations.c.workspace_id == bindparam("workspace"),
    invitations.c.withdrawn_at.is_(None),
    invitations.c.uses < invitations.c.max_uses,
    invitations.c.expires_at > bindparam("now"),
)
_OPEN_INVITATIONS = Statement(
    select(*(invitations.c[name] for name in InvitationView.__struct_fields__))
    .where(*_OPEN)
    .order_by(invitations.c.id.desc())
    .limit(INVITATIONS_SHOWN)
)
_INVITATION_COUNT = select(func.count()).where(*_OPEN).scalar_subquery()
_MOST = bindparam("most", type_=BigInteger)
# Each new invitation also saves the workspace at its loaded version, so of several at once only one can succeed.
_ROOM_FOR_INVITATION = Statement(
    select(func.within(literal_column("'invitations'"), _INVITATION_COUNT + literal_column("1"), _MOST))
    .select_from(workspaces)
    .where(workspaces.c.id == bindparam("workspace"))
)
_USAGE = Statement(
    select(usage.c.kind, usage.c.used)
    .where(
        usage.c.scope == bindparam("workspace"),
        or_(usage.c.subject == usage.c.scope, usage.c.subject == bindparam("account")),
    )
    .union_all(select(literal_column("'invitations'"), _INVITATION_COUNT))
)
_STANDING = Statement(
    select(members.c.role).where(
        members.c.workspace_id == bindparam("workspace"), members.c.account_id == bindparam("account")
    )
)
_FIRST = datetime.min.replace(tzinfo=UTC)
_BEFORE_ALL = UUID(int=0)


class PostgresWorkspaceQueries(WorkspaceQueries):
    """Workspaces for reading only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def view(self, id: WorkspaceId, by: AccountId) -> WorkspaceView:
        row = await self._database.fetchrow(_VIEW_ONE, id=id, account=by)
        if row is None:
            raise NotFound
        return WorkspaceView(*row)

    async def page(
        self, by: AccountId, cursor: str | None, limit: int, within: UUID | None = None
    ) -> Page[WorkspaceView]:
        query = f"workspaces {by} {within}"
        kind, time, id = (False, _FIRST, _BEFORE_ALL)
        if cursor is not None:
            kind, time, id = decode_cursor(cursor, query, bool, datetime, UUID)
        rows = await self._database.fetch(
            _VIEW_PAGE, account=by, within=within, after_kind=kind, after_time=time, after_id=id, limit=limit + 1
        )
        views = [WorkspaceView(*row) for row in rows[:limit]]
        if len(rows) <= limit:
            return Page(views, None)
        last = views[-1]
        return Page(views, encode_cursor(query, last.kind != WorkspaceKind.PERSONAL.value, last.created_at, last.id))

    async def members(self, workspace: WorkspaceId, by: AccountId, cursor: str | None, limit: int) -> Page[MemberView]:
        query = f"members {workspace}"
        time, id = (_FIRST, _BEFORE_ALL) if cursor is None else decode_cursor(cursor, query, datetime, UUID)
        await self._standing(workspace, by)
        rows = await self._database.fetch(
            _MEMBER_PAGE, workspace=workspace, after_time=time, after_id=id, limit=limit + 1
        )
        views = [MemberView(*row) for row in rows[:limit]]
        next_cursor = encode_cursor(query, views[-1].joined_at, views[-1].account_id) if len(rows) > limit else None
        return Page(views, next_cursor)

    async def invitations(self, workspace: WorkspaceId, by: AccountId, now: datetime) -> Sequence[InvitationView]:
        (await self._standing(workspace, by)).require(Permission.MANAGE_MEMBERS)
        rows = await self._database.fetch(_OPEN_INVITATIONS, workspace=workspace, now=now)
        return [InvitationView(*row) for row in rows]

    async def usage(self, workspace: WorkspaceId, by: AccountId, now: datetime) -> Mapping[str, int]:
        await self._standing(workspace, by)
        return dict(await self._database.fetch(_USAGE, workspace=workspace, account=by, now=now))

    async def _standing(self, workspace: WorkspaceId, account: AccountId) -> Standing:
        row = await self._database.fetchrow(_STANDING, workspace=workspace, account=account)
        if row is None:
            raise NotFound
        return Standing(Role(row[0]))
