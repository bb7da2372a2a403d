"""The unit of work on PostgreSQL: it reads directly, then verifies and writes everything in one statement."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

from adapters.postgres.connection import Connection
from adapters.postgres.database import Database
from adapters.postgres.unit_of_work.noted import PostgresUnit
from adapters.postgres.unit_of_work.queued import Commits
from adapters.repositories import with_repositories
from application.ports.consumers import Consumer, Wanted
from application.ports.events import Broker, Entry, Signal
from application.ports.observer import Observer
from application.ports.system import Ids
from application.ports.unit_of_work import Interrupted, Stale, UnitOfWork
from application.quotas import Quotas


@dataclass(slots=True)
class Enclosing:
    """An open transaction that units of work join: they are applied in it, and published once it is committed."""

    connection: Connection
    entries: list[Entry | Signal] = field(default_factory=list)
    is_open: bool = True
    is_interrupted: bool = False


enclosing: ContextVar[Enclosing | None] = ContextVar("enclosing", default=None)


Repository: TypeAlias = Callable[[PostgresUnit], Any]


class PostgresWork:
    """One unit of work; see `UnitOfWork`. `with_repositories` adds those of the contexts."""

    def __init__(
        self,
        database: Database,
        commits: Commits,
        broker: Broker,
        ids: Ids,
        observer: Observer,
        quotas: Quotas,
        wanted: Wanted,
    ) -> None:
        self._broker = broker
        self._observer = observer
        scope = enclosing.get()
        self._enclosing = scope if scope and scope.is_open else None
        connection = self._enclosing.connection if self._enclosing else None
        self.unit = PostgresUnit(database, commits, ids, quotas, wanted, connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            entries = () if error else await self.unit.flush()
        except Stale:
            self._observer.happened("retry", "stale")
            raise
        except Interrupted as lost:
            error = lost
            raise
        finally:
            if self._enclosing and isinstance(error, Interrupted):
                self._enclosing.is_interrupted = True
            await self.unit.release()
        if entries:
            if self._enclosing:
                self._enclosing.entries += entries
            else:
                self._broker.publish(entries)


class PostgresUnitOfWork(UnitOfWork[Any]):
    """Opens units of work on a database, and publishes their events once they are committed.

    Each of the `consumers` gets a cursor for the events that it wants. `repositories` are those of all contexts.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker,
        ids: Ids,
        observer: Observer,
        quotas: Quotas,
        repositories: Mapping[str, Repository],
        consumers: Sequence[Consumer[Any]] = (),
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._commits = Commits(database)
        self._broker = broker
        self._ids = ids
        self._observer = observer
        self._work = with_repositories(PostgresWork, repositories)
        self._wanted = Wanted(consumers)

    def __call__(self) -> AbstractAsyncContextManager[Any]:
        return self._work(
            self._database, self._commits, self._broker, self._ids, self._observer, self._quotas, self._wanted
        )
