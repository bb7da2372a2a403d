"""What the repositories of one unit of work share: its reads, and the writes it has noted until they are flushed."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import bindparam, select

from adapters.postgres.connection import Connection
from adapters.postgres.database import Database
from adapters.postgres.statement import Lookup, Statement
from adapters.postgres.tables import accounts, members
from adapters.postgres.unit_of_work.applied import apply
from adapters.postgres.unit_of_work.changed import Change, Count, Part, Record
from adapters.postgres.unit_of_work.queued import Commits
from application.journal import News
from application.ports.consumers import NEWS_SIGNAL
from application.ports.events import Entry, Signal
from application.ports.system import Ids
from application.ports.unit_of_work import Interrupted
from application.quotas import Quotas, Use
from application.turns import Turn
from domain.ids import AccountId, WorkspaceId
from domain.kernel import Aggregate, Event

# Waits for a revocation that is being committed, and makes a later one wait until this unit has committed.
_STILL_MEMBER = Statement(
    select(members.c.workspace_id)
    .where(
        members.c.workspace_id == bindparam("workspace"),
        members.c.account_id == bindparam("account"),
        members.c.role == bindparam("role"),
    )
    .with_for_update(read=True)
)
_STILL_ACTIVE_MEMBER = Statement(
    select(members.c.workspace_id)
    .join(accounts, accounts.c.id == members.c.account_id)
    .where(
        members.c.workspace_id == bindparam("workspace"),
        members.c.account_id == bindparam("account"),
        members.c.role == bindparam("role"),
        accounts.c.disabled_at.is_(None),
    )
    .with_for_update(read=True)
)


class PostgresUnit:
    """One unit of work in the making; it holds a connection from its first read that it makes alone to its end.

    `note` takes a statement that must touch exactly one row when it is flushed. `saving` takes an aggregate and the
    statement that writes it; both are looked at only at the flush, so an aggregate is written once however often it
    was saved. Numbers that `count` changes are kept; one that would grow past its quota is QuotaExceeded.
    """

    def __init__(
        self,
        database: Database,
        commits: Commits,
        ids: Ids,
        quotas: Quotas,
        wanted: Mapping[str, Sequence[str]],
        connection: Connection | None = None,
    ) -> None:
        self._wanted = wanted
        self._database = database
        self._commits = commits
        self._ids = ids
        self.quotas = quotas
        self._given = connection
        self.connection = connection
        self._noted: list[Part] = []
        self._locks: list[Part] = []
        self._last: list[Part] = []
        self._saved: dict[int, tuple[Aggregate, Callable[[int], Iterable[Part]]]] = {}
        self._counts: Counter[Use] = Counter()
        self._memberships: dict[tuple[UUID, UUID], str] = {}
        self._active: set[tuple[UUID, UUID]] = set()
        # What a repository has to remember of what it loaded, by the id of the thing.
        self.loaded: dict[UUID, Any] = {}

    async def fetch(self, statement: Statement, **values: Any) -> Sequence[asyncpg.Record]:
        connection = self.connection or await self._connect()
        try:
            return await self._database.fetch_on(connection, statement, values)
        except Interrupted:
            return await self._database.fetch_on(await self._reconnect(), statement, values)

    async def fetchrow(self, statement: Statement, **values: Any) -> asyncpg.Record | None:
        connection = self.connection or await self._connect()
        try:
            return await self._database.fetchrow_on(connection, statement, values)
        except Interrupted:
            return await self._database.fetchrow_on(await self._reconnect(), statement, values)

    async def look_up(self, lookup: Lookup, *key: Any) -> asyncpg.Record | None:
        if self.connection is not None:  # whoever holds one and waits for another may wait for others who do
            return await self.fetchrow(lookup, **lookup.values([key]))
        return await self._database.look_up(lookup, *key)

    def note(self, statement: Statement, **values: Any) -> None:
        self._noted.append((statement.text, statement.args(values)))

    def note_last(self, lock: Statement, update: Statement, values: Mapping[str, Any]) -> None:
        """Update the row that `lock` locks, last of all in the flush. It needs no event, as it tells nobody anything.

        Who holds a stream may wait for such a row, so it may be changed by nobody who still has to wait for a stream.
        """
        self._locks.append((lock.text, lock.args(values)))
        self._last.append((update.text, update.args(values)))

    def saving(self, aggregate: Aggregate, writes: Callable[[int], Iterable[Part]]) -> None:
        """Write the aggregate at the flush if it has news; `writes` gets the version it was loaded with."""
        self._saved.setdefault(id(aggregate), (aggregate, writes))

    def count(self, uses: Mapping[Use, int], before: Mapping[Use, int] = MappingProxyType({})) -> None:
        """What is written in this unit counts for `uses`, and counted for what it did `before`."""
        self._counts.update(uses)
        self._counts.subtract(before)

    def rely_on(self, workspace: WorkspaceId, account: AccountId, role: str, is_active: bool = False) -> None:
        """Apply the unit only if the account still has this role there and, if it has to be active, is not disabled."""
        self._memberships[workspace, account] = role
        if is_active:
            self._active.add((workspace, account))

    async def release(self) -> None:
        if self.connection is not None and self._given is None:
            connection, self.connection = self.connection, None
            await self._database.release(connection)

    async def flush(self) -> Sequence[Entry | Signal]:
        """Verify and apply everything in one atomic step, and return what to publish of it.

        That is the events as they stand in the journal, and a signal if some consumer wants one of them.
        """
        change = await self._change()
        if change is None:
            return []
        if self._given is not None:
            entries = await self._join(self._given, change)
        else:
            try:
                entries = await self._commit(change)
            except Interrupted:
                await self.release()
                entries = await self._commit(change)
        return [*entries, NEWS_SIGNAL] if any(record.consumers for record in change.records) else entries

    async def _commit(self, change: Change) -> Sequence[Entry]:
        stream = change.stream
        if self.connection is None and not self._commits.is_busy(stream):
            await self._connect()  # before the last look at the stream
        if stream is not None and self._commits.is_busy(stream):
            await self.release()
            if self._commits.is_busy(stream):
                return await self._commits.together(change, stream)
        return await self._commits.alone(change, self.connection or await self._connect())

    async def _join(self, connection: Connection, change: Change) -> Sequence[Entry]:
        """Apply it within the open transaction; if it cannot be, the transaction goes on without it."""
        with self._database.call("write", connection):
            async with connection.transaction():
                (entries,) = await apply(connection, [change])
            return entries

    async def _change(self) -> Change | None:
        """What was noted and saved so far, or None if that is nothing."""
        events: list[Event] = []
        writes: list[Part] = []
        kinds: dict[str, int] = {}
        changed: list[tuple[int, UUID, Iterable[Part]]] = []
        for aggregate, make in self._saved.values():
            loaded = aggregate.kept_version
            news = aggregate.take_news()
            if news:
                events += news
                kind = kinds.setdefault(news[0].resource_type, len(kinds))
                changed.append((kind, news[0].resource_id, make(loaded)))
        # Everybody locks the rows of one kind in one order, so that no two units wait for each other. A use case saves
        # a workspace before what is in it, and events stay in the order in which things were done.
        changed.sort(key=itemgetter(0, 1))
        turn = Turn()
        for _, _, parts in changed:  # of which each counts what it uses
            writes += parts
            await turn.share()
        writes += self._noted
        if not events:
            if writes:
                raise AssertionError("a write without an event: every change of state is announced by its aggregate")
            if not self._last:
                return None
        guards = []
        for (workspace, account), role in sorted(self._memberships.items()):
            guard = _STILL_ACTIVE_MEMBER if (workspace, account) in self._active else _STILL_MEMBER
            guards.append((guard.text, guard.args({"workspace": workspace, "account": account, "role": role})))
        counts = [Count(*use, change, self.quotas[use.kind]) for use, change in self._counts.items() if change]
        told = News()
        records = []
        for event in events:
            id = self._ids.new()
            body = told.add(event, id).decode()
            wanted = self._wanted.get(event.type, ())
            records.append(Record(event.stream, id, event.type, event.resource_id, event.actor, event.at, body, wanted))
            await turn.share()
        return Change(guards + self._locks + writes, counts, records, told.size, self._last)

    async def _reconnect(self) -> Connection:
        """Another connection for the one that was lost, and with it nothing, unless a transaction was open on it."""
        if self._given is not None:
            raise Interrupted
        await self.release()
        return await self._connect()

    async def _connect(self) -> Connection:
        self.connection = await self._database.acquire()
        return self.connection
