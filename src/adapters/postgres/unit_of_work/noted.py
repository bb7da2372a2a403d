"""The state that the repositories of one unit of work share: its reads, and its writes, noted until the flush."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.database import Database
from adapters.postgres.statement import Lookup, Part, Statement
from adapters.postgres.unit_of_work.applied import apply
from adapters.postgres.unit_of_work.changed import Change, Count, Record
from adapters.postgres.unit_of_work.queued import Commits
from application.journal import News
from application.ports.consumers import NEWS_SIGNAL, Wanted
from application.ports.due import alarms
from application.ports.events import Entry, Signal
from application.ports.system import Ids
from application.ports.unit_of_work import Interrupted
from application.quotas import Quotas, Use
from application.turns import Turn
from domain.kernel import Aggregate, Event

_PLACE = attrgetter("place")


class PostgresUnit:
    """One unit of work before its flush. It holds a connection from its first read that is no shared lookup to its end.

    `guard`, `note` and `note_quietly` take a statement that must meet exactly one row at the flush. `saving` takes an
    aggregate and a function that writes it. Both are read only at the flush, so an aggregate is written once however
    often it was saved. `count` changes the usage of quotas; QuotaExceeded at the flush if a usage grows past its limit.
    """

    def __init__(
        self,
        database: Database,
        commits: Commits,
        ids: Ids,
        quotas: Quotas,
        wanted: Wanted,
        connection: Connection | None = None,
    ) -> None:
        self._wanted = wanted
        self._database = database
        self._commits = commits
        self._ids = ids
        self.quotas = quotas
        self._given = connection
        self.connection = connection
        self._guards: list[Part] = []
        self._noted: list[Part] = []
        self._quiet: list[Part] = []
        self._due: list[datetime] = []
        self._saved: dict[int, tuple[Aggregate, Callable[[int], Iterable[Part]]]] = {}
        self._counts: dict[Use, int] = {}
        self._looked_up: dict[Lookup, dict[Any, asyncpg.Record | None]] = {}
        # What a repository remembers of the things that it has loaded, by their ids.
        self.loaded: dict[Hashable, Any] = {}

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
        if self.connection is not None:  # units that hold a connection and wait for a second one could block each other
            return await self.fetchrow(lookup, **lookup.values([key]))
        return await self._database.look_up(lookup, *key)

    async def look_up_all(self, lookup: Lookup, keys: Sequence[tuple[Any, ...]]) -> Mapping[Any, asyncpg.Record]:
        """The rows of several keys, by key; keys without a row are left out. No key is looked up twice in a unit."""
        known = self._looked_up.setdefault(lookup, {})
        if unknown := [key for key in keys if key not in known]:
            if self.connection is None:
                found = await self._database.look_up_all(lookup, unknown)
            else:
                rows = await self.fetch(lookup, **lookup.values(unknown))
                found = {unknown[row[-1] - 1]: row for row in rows}
            known.update((key, found.get(key)) for key in unknown)
        return {key: row for key in keys if (row := known[key]) is not None}

    def guard(self, statement: Statement, **values: Any) -> None:
        """Apply the unit only if this still finds its one row at the flush, which it locks; Stale otherwise.

        It is for rows that the unit relies on and does not write. A written row is protected by its version.
        """
        part = statement.part(values)
        if part not in self._guards:
            self._guards.append(part)

    def note(self, statement: Statement, **values: Any) -> None:
        """Write one row at the flush. A saved aggregate has to announce it."""
        self._noted.append(self._checked(statement, values, is_quiet=False))

    def note_quietly(self, statement: Statement, **values: Any) -> None:
        """Write one row without an event, such as the position of a reader or a number of attempts.

        Its table has to be marked as `QUIET`, so that no row of an aggregate can be written here.
        """
        self._quiet.append(self._checked(statement, values, is_quiet=True))

    @staticmethod
    def _checked(statement: Statement, values: Mapping[str, Any], is_quiet: bool) -> Part:
        if statement.is_quiet is not is_quiet:
            raise AssertionError(f"{statement.operation}: only what nobody is told of is written without an event")
        return statement.part(values)

    def note_due(self, at: datetime | None) -> None:
        """Announce a deadline of this unit once it is applied, so that the loop that waits for deadlines wakes up.

        Call it in the function that `saving` was given, because only then the aggregate is in its final state.
        """
        if at is not None:
            self._due.append(at)

    def saving(self, aggregate: Aggregate, writes: Callable[[int], Iterable[Part]]) -> None:
        """Write the aggregate at the flush if it has news. `writes` is called with the version that was loaded."""
        self._saved.setdefault(id(aggregate), (aggregate, writes))

    def count(self, uses: Mapping[Use, int], before: Mapping[Use, int] = MappingProxyType({})) -> None:
        """Change the usage of quotas: a written thing now counts for `uses`, and counted for `before` until now."""
        counts = self._counts
        if not counts:  # as nearly always: a copy needs no hash of an id, which is slow
            counts.update(uses)
            uses = {}
        for use, number in uses.items():
            counts[use] = counts.get(use, 0) + number
        for use, number in before.items():
            counts[use] = counts.get(use, 0) - number

    async def release(self) -> None:
        if self.connection is not None and self._given is None:
            connection, self.connection = self.connection, None
            await self._database.release(connection)

    async def flush(self) -> Sequence[Entry | Signal]:
        """Verify and apply everything in one atomic step, and return what to publish.

        Returns the new entries of the journal. A signal follows if a consumer wants one of them, and a second one if a
        deadline is near.
        """
        change = await self._change()
        if change is None:
            return []
        entries: Sequence[Entry | Signal]
        if self._given is not None:
            entries = await self._join(self._given, change)
        else:
            try:
                entries = await self._commit(change)
            except Interrupted:
                await self.release()
                entries = await self._commit(change)
        if change.is_wanted:
            entries = [*entries, NEWS_SIGNAL]
        written_at = change.records[-1].at if change.records else None
        return [*entries, *alarms(self._due, written_at)] if self._due else entries

    async def _commit(self, change: Change) -> Sequence[Entry]:
        stream = change.stream
        if self.connection is None and not self._commits.is_busy(stream):
            await self._connect()  # this may wait, so the stream is checked again afterwards
        if stream is not None and self._commits.is_busy(stream):
            await self.release()
            if self._commits.is_busy(stream):
                return await self._commits.together(change, stream)
        return await self._commits.alone(change, self.connection or await self._connect())

    async def _join(self, connection: Connection, change: Change) -> Sequence[Entry]:
        """Apply the change within the open transaction. If it fails, the transaction goes on without it."""
        with self._database.call("write", connection):
            async with connection.transaction():
                (entries,) = await apply(connection, [change])
            return entries

    async def _change(self) -> Change | None:
        """The change of everything that was noted and saved; None if nothing was."""
        events: list[Event] = []
        writes: list[Part] = []
        turn = Turn()
        for aggregate, make in self._saved.values():
            if events:
                await turn.share()
            loaded = aggregate.kept_version
            news = aggregate.take_news()
            if news:
                events += news
                writes += make(loaded)  # this also calls `count`
        writes += self._noted
        if not events:
            if writes:
                raise AssertionError("a write without an event: every change of state is announced by its aggregate")
            if not self._quiet:
                return None
        # A guard comes before a write of the same row, because it has to see the row before it is written.
        parts = sorted([*self._guards, *writes], key=_PLACE)
        counts = [Count(use, change, self.quotas[use.kind]) for use, change in self._counts.items() if change]
        told = News()
        records: list[Record] = []
        for event in events:
            if records:
                await turn.share()
            id = self._ids.new()
            body = told.add(event, id).decode()
            wanted = self._wanted.by(event)
            records.append(
                Record(
                    event.stream,
                    id,
                    event.type,
                    event.resource_id,
                    event.actor,
                    event.at,
                    body,
                    wanted,
                    event.within,
                )
            )
        return Change(parts, counts, records, told.size, sorted(self._quiet, key=_PLACE))

    async def _reconnect(self) -> Connection:
        """A new connection in place of a lost one; Interrupted if a transaction was open on that."""
        if self._given is not None:
            raise Interrupted
        await self.release()
        return await self._connect()

    async def _connect(self) -> Connection:
        self.connection = await self._database.acquire()
        return self.connection
