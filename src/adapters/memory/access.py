"""Memberships in memory, for the other contexts."""

from collections.abc import Callable, Collection, Mapping
from uuid import UUID

from adapters.memory.database import MemoryDatabase, Tables
from adapters.memory.identity import ACCOUNTS
from adapters.memory.tasks import TASKS
from adapters.memory.unit import MemoryUnit
from adapters.memory.workspaces import WORKSPACES, standing_in, still
from application.ports.access import Access, AccessQueries
from application.ports.unit_of_work import Stale
from domain.access import Role, Standing
from domain.channels import workspace_stream
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId


class MemoryAccess(Access):
    """Memberships inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def standing(self, workspace: WorkspaceId, account: AccountId) -> Standing:
        found = standing_in(self._unit.tables, workspace, account)
        if found is None:
            raise NotFound
        self._unit.require(still(workspace, account, found))
        return found

    async def assignable(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        return self._active(workspace, accounts, frozenset(Role) - {Role.VIEWER})

    async def readers(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        return self._active(workspace, accounts, frozenset(Role))

    def _active(
        self, workspace: WorkspaceId, accounts: frozenset[AccountId], roles: frozenset[Role]
    ) -> frozenset[AccountId]:
        tables = self._unit.tables
        found = set()
        for account in accounts:
            standing, owner = standing_in(tables, workspace, account), tables[ACCOUNTS].get(account)
            if standing and standing.role in roles and owner and owner.is_active:
                self._unit.require(still(workspace, account, standing))
                self._unit.require(_still_active(account))
                found.add(account)
        return frozenset(found)

    async def members(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        tables = self._unit.tables
        return frozenset(account for account in accounts if standing_in(tables, workspace, account))

    async def are_together(self, one: AccountId, other: AccountId) -> bool:
        return any({one, other} <= workspace.members.keys() for workspace in self._unit.tables[WORKSPACES].values())


def _still_active(account: AccountId) -> Callable[[Tables], None]:
    def check(tables: Tables) -> None:
        if not tables[ACCOUNTS][account].is_active:
            raise Stale

    return check


class MemoryAccessQueries(AccessQueries):
    """Memberships for reading only."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def workspaces_of(
        self, asked: Collection[tuple[UUID, AccountId]]
    ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
        found = {pair: self._workspace_of(*pair) for pair in asked}
        return {pair: workspace for pair, workspace in found.items() if workspace is not None}

    async def state(self, place: UUID, by: AccountId) -> str:
        workspace = self._workspace_of(place, by)
        if workspace is None:
            raise NotFound
        return f"{self._database.epoch}.{self._database.committed.head(workspace_stream(workspace))}"

    def _workspace_of(self, place: UUID, by: AccountId) -> WorkspaceId | None:
        tables = self._database.committed
        task = tables[TASKS].get(TaskId(place))
        workspace = WorkspaceId(place) if task is None else task.workspace_id
        return None if standing_in(tables, workspace, by) is None else workspace
