"""Memberships in PostgreSQL, for the other contexts."""

from collections.abc import Collection, Mapping
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, Text, and_, bindparam, cast, func, literal_column, select, true
from sqlalchemy.sql.selectable import LateralFromClause

from adapters.postgres.database import Database
from adapters.postgres.statement import Lookup, Statement, lookup_keys
from adapters.postgres.tables import accounts, lineage, members, streams, tasks, workspaces
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.access import Access, AccessQueries
from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, WorkspaceId


def membership(workspace: ColumnElement[UUID], account: ColumnElement[UUID]) -> LateralFromClause:
    """A lateral join that finds the role of an account in a workspace: one row at most.

    The limit makes PostgreSQL search by both columns. Without it, PostgreSQL may read all members of the workspace,
    because it assumes that every workspace is of average size.
    """
    found = select(members.c.role).where(members.c.workspace_id == workspace, members.c.account_id == account)
    return found.limit(literal_column("1")).lateral("membership")


_KEY = lookup_keys("workspace", "account")
_MEMBER = membership(_KEY.c.workspace, _KEY.c.account)
_STANDING = Lookup(
    _KEY,
    select(_MEMBER.c.role, workspaces.c.viewers_comment)
    .select_from(_KEY)
    .join(_MEMBER, true())
    .join(workspaces, workspaces.c.id == _KEY.c.workspace),
)
_IS_ACTIVE = and_(accounts.c.disabled_at.is_(None), accounts.c.due_at.is_(None))
_MEMBER_OR_NOT = Lookup(
    _KEY,
    select(_MEMBER.c.role, _IS_ACTIVE)
    .select_from(_KEY)
    .join(_MEMBER, true())
    .join(accounts, accounts.c.id == _KEY.c.account),
)
# A guard waits for a change of its row that is being committed. A later change waits until the unit is committed.
STILL_MEMBER = Statement(
    select(members.c.workspace_id)
    .where(
        members.c.workspace_id == bindparam("workspace"),
        members.c.account_id == bindparam("account"),
        members.c.role == bindparam("role"),
    )
    .with_for_update(read=True)
)
_STILL_ACTIVE = Statement(
    select(accounts.c.id).where(accounts.c.id == bindparam("account"), _IS_ACTIVE).with_for_update(read=True)
)
_one, _other = members.alias("one"), members.alias("other")
_TOGETHER = Statement(
    select(_one.c.workspace_id)
    .join(_other, _other.c.workspace_id == _one.c.workspace_id)
    .where(_one.c.account_id == bindparam("one"), _other.c.account_id == bindparam("other"))
    .limit(literal_column("1"))
)

_PLACE = lookup_keys("place", "account")
_WORKSPACE = func.coalesce(tasks.c.workspace_id, _PLACE.c.place)
_STREAM = literal_column("'workspace:'", Text) + cast(_WORKSPACE, Text)  # as `workspace_stream` names it
_HOME = Lookup(
    _PLACE,
    select(_WORKSPACE)
    .select_from(_PLACE)
    .outerjoin(tasks, tasks.c.id == _PLACE.c.place)
    .join(membership(_WORKSPACE, _PLACE.c.account), true()),
)
# One statement sees one snapshot: an account that is a member in it may see everything up to the head in it.
_STATE = Lookup(
    _PLACE,
    select(lineage.c.epoch, func.coalesce(streams.c.head, literal_column("0")))
    .select_from(_PLACE)
    .join(lineage, true())
    .outerjoin(tasks, tasks.c.id == _PLACE.c.place)
    .join(membership(_WORKSPACE, _PLACE.c.account), true())
    .outerjoin(streams, streams.c.name == _STREAM),
)


class PostgresAccess(Access):
    """Memberships inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def standing(self, workspace: WorkspaceId, account: AccountId) -> Standing:
        row = await self._unit.look_up(_STANDING, workspace, account)
        if row is None:
            raise NotFound
        role, viewers_comment, _ = row
        self._unit.guard(STILL_MEMBER, workspace=workspace, account=account, role=role)
        return Standing(Role(role), viewers_comment)

    async def assignable(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        return await self._active(workspace, accounts, besides=Role.VIEWER)

    async def readers(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        return await self._active(workspace, accounts)

    async def _active(
        self, workspace: WorkspaceId, accounts: frozenset[AccountId], besides: Role | None = None
    ) -> frozenset[AccountId]:
        found = await self._found(workspace, accounts)
        roles = {account: role for account, (role, is_active, _) in found.items() if role != besides and is_active}
        for account, role in roles.items():
            self._unit.guard(STILL_MEMBER, workspace=workspace, account=account, role=role)
            self._unit.guard(_STILL_ACTIVE, account=account)
        return frozenset(roles)

    async def members(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        return frozenset(await self._found(workspace, accounts))

    async def are_together(self, one: AccountId, other: AccountId) -> bool:
        return await self._unit.fetchrow(_TOGETHER, one=one, other=other) is not None

    async def _found(
        self, workspace: WorkspaceId, accounts: frozenset[AccountId]
    ) -> Mapping[AccountId, asyncpg.Record]:
        rows = await self._unit.look_up_all(_MEMBER_OR_NOT, [(workspace, account) for account in accounts])
        return {account: row for (_, account), row in rows.items()}


class PostgresAccessQueries(AccessQueries):
    """Memberships for reading only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def workspaces_of(
        self, asked: Collection[tuple[UUID, AccountId]]
    ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
        rows = await self._database.look_up_all(_HOME, list(asked))
        return {pair: rows[pair][0] for pair in asked if pair in rows}

    async def state(self, place: UUID, by: AccountId) -> str:
        row = await self._database.look_up(_STATE, place, by)
        if row is None:
            raise NotFound
        epoch, head, _ = row
        return f"{epoch}.{head}"
