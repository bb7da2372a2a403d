"""What is erased of tasks."""

from sqlalchemy import ColumnElement, bindparam, delete, literal_column

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, dropping
from adapters.postgres.tables import tasks, usage
from application.ports.tasks import COUNTED, TaskUpkeep
from domain.ids import WorkspaceId

# With each task its comments go.
TASKS_AT_ONCE = 100

_ERASE = dropping(tasks, tasks.c.workspace_id == bindparam("workspace"))
_KINDS: list[ColumnElement[str]] = [literal_column(f"'{kind}'") for kind in COUNTED]
_UNCOUNT = Statement(delete(usage).where(usage.c.scope == bindparam("workspace"), usage.c.kind.in_(_KINDS)))


class PostgresTaskUpkeep(TaskUpkeep):
    """Deletes in statements of bounded size."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, workspace: WorkspaceId, most: int) -> int:
        dropped = len(await self._database.fetch(_ERASE, workspace=workspace, most=min(TASKS_AT_ONCE, most)))
        if not dropped:
            await self._database.fetch(_UNCOUNT, workspace=workspace)
        return dropped
