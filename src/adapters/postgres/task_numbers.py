"""The numbers of tasks, reserved in PostgreSQL in blocks, so that few tasks wait for a number."""

import asyncio
import copy
from dataclasses import dataclass
from typing import Any

from cachetools import FIFOCache
from sqlalchemy import BigInteger, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.tables import task_numbers, workspaces
from application.ports.tasks import TaskNumbers
from application.ports.unit_of_work import Stale
from domain.errors import DomainError, NotFound
from domain.ids import WorkspaceId

BLOCK_MAX = 64
REMEMBERED_MAX = 10_000

_grown: Any = insert(task_numbers).from_select(
    ["workspace_id", "last"],
    select(workspaces.c.id, bindparam("size", type_=BigInteger)).where(workspaces.c.id == bindparam("workspace")),
)
_RESERVE = Statement(
    _grown.on_conflict_do_update(
        index_elements=["workspace_id"], set_={"last": task_numbers.c.last + _grown.excluded.last}
    ).returning(
        task_numbers.c.last,
        select(workspaces.c.task_prefix).where(workspaces.c.id == bindparam("workspace")).scalar_subquery(),
    )
)


@dataclass(slots=True)
class _Block:
    """Numbers that are reserved for this process: those after `taken`, up to and including `last`."""

    prefix: str
    taken: int
    last: int
    size: int

    @property
    def is_spent(self) -> bool:
        return self.taken == self.last

    def take(self) -> str:
        self.taken += 1
        return f"{self.prefix}-{self.taken}"


class PostgresTaskNumbers(TaskNumbers):
    """Returns numbers from blocks that it has reserved for this process.

    The blocks of a workspace double in size from 1 number to 64. So a quiet workspace loses no number when the process
    ends, and a busy one costs a round trip every 64 tasks. The blocks of `remembered_max` workspaces are remembered;
    the unused numbers of a forgotten block become a gap.

    `database` needs a pool of its own: a caller that holds a connection while it waits for a number could otherwise
    wait for a connection that another such caller holds.
    """

    def __init__(self, database: Database, remembered_max: int = REMEMBERED_MAX) -> None:
        self._database = database
        self._blocks: FIFOCache[WorkspaceId, _Block] = FIFOCache(remembered_max)
        self._reserving: dict[WorkspaceId, asyncio.Task[None]] = {}

    async def next(self, workspace: WorkspaceId) -> str:
        while (block := self._blocks.get(workspace)) is None or block.is_spent:
            reserving = self._reserving.get(workspace)
            if reserving is None:
                reserving = self._reserving[workspace] = asyncio.create_task(self._reserve(workspace))
            try:
                # It goes on for the other callers if this one is cancelled.
                await asyncio.shield(reserving)
            except (DomainError, Stale) as refusal:
                # Each caller gets its own copy, because callers add to a refusal which field it concerns.
                raise copy.copy(refusal) from refusal
        return block.take()

    async def _reserve(self, workspace: WorkspaceId) -> None:
        try:
            spent = self._blocks.get(workspace)
            size = min(spent.size * 2, BLOCK_MAX) if spent else 1
            row = await self._database.fetchrow(_RESERVE, workspace=workspace, size=size)
            if row is None:
                raise NotFound
            last, prefix = row
            if spent and last - size < spent.last:
                # The database was restored from a backup, and these numbers were already used by this process.
                row = await self._database.fetchrow(_RESERVE, workspace=workspace, size=spent.last - last + size)
                if row is None:
                    raise NotFound
                last, prefix = row
            self._blocks[workspace] = _Block(prefix, last - size, last, size)
        finally:
            del self._reserving[workspace]
