"""What is erased of tasks."""

from sqlalchemy import ColumnElement, bindparam, delete, literal_column, select

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, picked
from adapters.postgres.tables import tasks, usage
from application.ports.tasks import COUNTED, TaskUpkeep
from domain.ids import WorkspaceId

# With each task its comments go.
TASKS_AT_ONCE = 100

_SOME = select(tasks.c.id).where(tasks.c.workspace_id == bindparam("workspace")).limit(bindparam("most"))
_ERASE = Statement(delete(tasks).where(tasks.c.id.in_(picked(_SOME))).returning(literal_column("1")))
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
