"""Dictionaries in place of a database, with transactions over all of them."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Generic, TypeVar, cast

from application.ports.events import Entry, Signal
from application.ports.system import Clock

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Table(Generic[K, V]):
    """The name of a table, with the types of its keys and values. Each context declares its own.

    A quiet table changes without events: it keeps positions of readers, or numbers of attempts.
    """

    name: str
    is_quiet: bool = False


class Tables:
    """All rows and streams. A row is replaced as a whole, and never changed in place."""

    def __init__(self) -> None:
        self._tables: dict[Table[Any, Any], dict[Any, Any]] = {}
        self.streams: dict[str, list[Entry]] = {}
        self.tails: dict[str, int] = {}
        self.within: dict[str, str] = {}
        # The streams whose lists are still shared with the tables that these were copied from.
        self.borrowed: set[str] = set()

    def __getitem__(self, table: Table[K, V]) -> dict[K, V]:
        """The rows of a table by their key; empty if nothing was written to it."""
        return self._tables.setdefault(table, {})

    def copy(self) -> "Tables":
        """A copy that can be changed without changing the original. It takes time in proportion to the rows."""
        copy = Tables()
        copy._tables = {table: dict(rows) for table, rows in self._tables.items()}
        copy.streams, copy.tails, copy.within = dict(self.streams), dict(self.tails), dict(self.within)
        copy.borrowed = set(self.streams)
        return copy

    def append(self, entry: Entry, within: str | None = None) -> None:
        """Write an entry at the end of its stream. The stream is `within` another if its first entry says so."""
        if within is not None and not self.head(entry.stream):
            self.within[entry.stream] = within
        if entry.stream in self.borrowed:
            self.streams[entry.stream] = list(self.streams[entry.stream])
            self.borrowed.discard(entry.stream)
        self.streams.setdefault(entry.stream, []).append(entry)

    def head(self, stream: str) -> int:
        return self.tail(stream) + len(self.streams.get(stream, ()))

    def tail(self, stream: str) -> int:
        return self.tails.get(stream, 0)


class Transaction:
    """Several changes that become visible to others all at once, when the transaction ends."""

    def __init__(self, database: "MemoryDatabase") -> None:
        self.database = database
        self.tables: Tables | None = None
        self.is_open = True
        self.is_kept = False
        self.beginning = asyncio.Lock()
        self.announcements: list[Callable[[], None]] = []

    def keep(self) -> None:
        """Commit the changes when the transaction ends. Without this call they are dropped then."""
        self.is_kept = True


_enclosing: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


class MemoryDatabase:
    """The tables of the process, which end with it.

    Once a transaction has begun to write, every other writer waits until it ends. Readers never wait.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.committed = Tables()
        self.epoch = secrets.token_hex(4)
        # Not in the tables, because a number stays used when its transaction is dropped.
        self.sequences: Counter[Hashable] = Counter()
        self._writing = asyncio.Lock()

    @property
    def present(self) -> Tables:
        """The committed tables or, inside a transaction that has written, the tables of that transaction."""
        transaction = self._transaction()
        return transaction.tables if transaction and transaction.tables else self.committed

    async def apply(
        self,
        change: Callable[[Tables], Sequence[Entry | Signal]],
        announce: Callable[[Sequence[Entry | Signal]], None],
    ) -> None:
        """Run a change, which raises before it has written anything, or else completes; then announce what it returned.

        In a transaction, the change is committed and announced when the transaction ends, if that is kept.
        """
        transaction = self._transaction()
        if transaction:
            news = change(transaction.tables or await self._begun(transaction))
            transaction.announcements.append(lambda: announce(news))
            return
        async with self._writing:
            news = change(self.committed)
        announce(news)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction around a block. It commits at the end if `keep` was called and the block did not raise."""
        transaction = Transaction(self)
        token = _enclosing.set(transaction)
        try:
            yield transaction
            if transaction.is_kept and transaction.tables is not None:
                transaction.tables.borrowed.clear()
                self.committed = transaction.tables
        finally:
            # A task that was started inside the block may outlive it. Its later changes are not in the transaction.
            transaction.is_open = False
            if transaction.tables is not None:
                self._writing.release()
            _enclosing.reset(token)
        if transaction.is_kept:
            for announce in transaction.announcements:
                announce()

    async def _begun(self, transaction: Transaction) -> Tables:
        """The transaction's own tables, which are copied at its first write."""
        async with transaction.beginning:
            if transaction.tables is None:
                await self._writing.acquire()
                transaction.tables = self.committed.copy()
        return transaction.tables

    def _transaction(self) -> Transaction | None:
        transaction = _enclosing.get()
        return transaction if transaction and transaction.is_open and transaction.database is self else None


def copied(thing: T) -> T:
    """A deep copy of a dataclass, list, dictionary or value. An aggregate is copied without its news."""
    if isinstance(thing, list):
        return cast(T, [copied(item) for item in thing])
    if isinstance(thing, dict):
        return cast(T, {key: copied(value) for key, value in thing.items()})
    if is_dataclass(thing) and not isinstance(thing, type):
        return cast(T, replace(thing, **{f.name: copied(getattr(thing, f.name)) for f in fields(thing) if f.init}))
    return thing
