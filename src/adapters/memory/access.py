"""Memberships in memory, as the other contexts ask for them."""

from adapters.memory.database import MemoryDatabase
from adapters.memory.unit import Unit, standing_in
from application.ports.access import Access, AccessQueries
from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId


class MemoryAccess(Access):
    """Memberships inside a unit of work."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def standing(self, workspace: WorkspaceId, account: AccountId) -> Standing:
        found = standing_in(self._unit.tables, workspace, account)
        if found is None:
            raise NotFound
        self._unit.rely_on(workspace, account, found)
        return found

    async def assignable(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        tables = self._unit.tables
        found = set()
        for account in accounts:
            standing, owner = standing_in(tables, workspace, account), tables.accounts.get(account)
            if standing and standing.role is not Role.VIEWER and owner and owner.disabled_at is None:
                self._unit.rely_on(workspace, account, standing)
                found.add(account)
        return frozenset(found)

    async def members(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        tables = self._unit.tables
        return frozenset(account for account in accounts if standing_in(tables, workspace, account))


class MemoryAccessQueries(AccessQueries):
    """Memberships for reading only."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def workspace_of(self, workspace: WorkspaceId, by: AccountId) -> WorkspaceId:
        if standing_in(self._database.committed, workspace, by) is None:
            raise NotFound
        return workspace

    async def workspace_of_task(self, task: TaskId, by: AccountId) -> WorkspaceId:
        found = self._database.committed.tasks.get(task)
        if found is None:
            raise NotFound
        return await self.workspace_of(found.workspace_id, by)
