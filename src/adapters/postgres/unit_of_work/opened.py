"""The unit of work on PostgreSQL: reads as they come, then one statement that verifies and writes everything."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from adapters.postgres.access import PostgresAccess
from adapters.postgres.connection import Connection
from adapters.postgres.consumers import PostgresCursorRepository
from adapters.postgres.database import Database
from adapters.postgres.identity import PostgresAccounts, PostgresSessions
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.unit_of_work.noted import PostgresUnit
from adapters.postgres.unit_of_work.queued import Commits
from adapters.postgres.workspaces import PostgresWorkspaces
from application.ports.consumers import Consumer, wanting
from application.ports.events import Broker, Entry, Signal
from application.ports.observer import Observer
from application.ports.system import Ids
from application.ports.unit_of_work import Interrupted, Stale
from application.quotas import Quotas


@dataclass(slots=True)
class Enclosing:
    """An open transaction that units of work join: they are applied in it, and published when it has committed."""

    connection: Connection
    entries: list[Entry | Signal] = field(default_factory=list)
    is_open: bool = True
    is_interrupted: bool = False


enclosing: ContextVar[Enclosing | None] = ContextVar("enclosing", default=None)


class PostgresWork:
    """One unit of work; see `UnitOfWork`. Every repository is made when it is asked for."""

    def __init__(
        self,
        database: Database,
        commits: Commits,
        broker: Broker,
        ids: Ids,
        observer: Observer,
        quotas: Quotas,
        wanted: Mapping[str, Sequence[str]],
    ) -> None:
        self._broker = broker
        self._observer = observer
        scope = enclosing.get()
        self._enclosing = scope if scope and scope.is_open else None
        connection = self._enclosing.connection if self._enclosing else None
        self._unit = PostgresUnit(database, commits, ids, quotas, wanted, connection)

    @property
    def tasks(self) -> PostgresTasks:
        return PostgresTasks(self._unit)

    @property
    def access(self) -> PostgresAccess:
        return PostgresAccess(self._unit)

    @property
    def workspaces(self) -> PostgresWorkspaces:
        return PostgresWorkspaces(self._unit)

    @property
    def accounts(self) -> PostgresAccounts:
        return PostgresAccounts(self._unit)

    @property
    def sessions(self) -> PostgresSessions:
        return PostgresSessions(self._unit)

    @property
    def cursors(self) -> PostgresCursorRepository:
        return PostgresCursorRepository(self._unit)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            entries = () if error else await self._unit.flush()
        except Stale:
            self._observer.happened("retry", "stale")
            raise
        except Interrupted as lost:
            error = lost
            raise
        finally:
            if self._enclosing and isinstance(error, Interrupted):
                self._enclosing.is_interrupted = True
            await self._unit.release()
        if entries:
            if self._enclosing:
                self._enclosing.entries += entries
            else:
                self._broker.publish(entries)


class PostgresUnitOfWork:
    """Opens units of work on a database and hints at their events once they have committed.

    Events that one of the `consumers` wants are noted for it.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker,
        ids: Ids,
        observer: Observer,
        quotas: Quotas,
        consumers: Sequence[Consumer[Any]] = (),
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._commits = Commits(database)
        self._broker = broker
        self._ids = ids
        self._observer = observer
        self._wanted = wanting(consumers)

    def __call__(self) -> PostgresWork:
        return PostgresWork(
            self._database, self._commits, self._broker, self._ids, self._observer, self._quotas, self._wanted
        )
