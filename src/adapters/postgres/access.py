"""Memberships in PostgreSQL, as the other contexts ask for them."""

from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, select

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.tables import accounts, members, tasks, workspaces
from adapters.postgres.unit import Unit
from application.ports.access import Access, AccessQueries
from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId

_STANDING = Statement(
    select(members.c.role, workspaces.c.viewers_comment)
    .join(workspaces, workspaces.c.id == members.c.workspace_id)
    .where(members.c.workspace_id == bindparam("workspace"), members.c.account_id == bindparam("account"))
)
_AMONG = (
    members.c.workspace_id == bindparam("workspace"),
    members.c.account_id == func.any(bindparam("accounts", type_=ARRAY(Uuid))),
)
_ASSIGNABLE = Statement(
    select(members.c.account_id, members.c.role)
    .join(accounts, accounts.c.id == members.c.account_id)
    .where(*_AMONG, members.c.role != Role.VIEWER.value, accounts.c.disabled_at.is_(None))
)
_MEMBERS = Statement(select(members.c.account_id).where(*_AMONG))
_MEMBER = (members.c.account_id == bindparam("account"),)
_WORKSPACE = Statement(select(members.c.workspace_id).where(members.c.workspace_id == bindparam("workspace"), *_MEMBER))
_WORKSPACE_OF_TASK = Statement(
    select(members.c.workspace_id)
    .join(tasks, tasks.c.workspace_id == members.c.workspace_id)
    .where(tasks.c.id == bindparam("task"), *_MEMBER)
)


class PostgresAccess(Access):
    """Memberships inside a unit of work."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def standing(self, workspace: WorkspaceId, account: AccountId) -> Standing:
        row = await self._unit.fetchrow(_STANDING, workspace=workspace, account=account)
        if row is None:
            raise NotFound
        self._unit.rely_on(workspace, account, row[0])
        return Standing(Role(row[0]), row[1])

    async def assignable(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        rows = await self._unit.fetch(_ASSIGNABLE, workspace=workspace, accounts=list(accounts))
        for account, role in rows:
            self._unit.rely_on(workspace, account, role)
        return frozenset(row[0] for row in rows)

    async def members(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        rows = await self._unit.fetch(_MEMBERS, workspace=workspace, accounts=list(accounts))
        return frozenset(row[0] for row in rows)


class PostgresAccessQueries(AccessQueries):
    """Memberships for reading only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def workspace_of(self, workspace: WorkspaceId, by: AccountId) -> WorkspaceId:
        return self._found(await self._database.fetchrow(_WORKSPACE, workspace=workspace, account=by))

    async def workspace_of_task(self, task: TaskId, by: AccountId) -> WorkspaceId:
        return self._found(await self._database.fetchrow(_WORKSPACE_OF_TASK, task=task, account=by))

    def _found(self, row: tuple[UUID] | None) -> WorkspaceId:
        if row is None:
            raise NotFound
        return WorkspaceId(row[0])
