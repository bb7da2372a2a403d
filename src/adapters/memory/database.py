"""The dictionaries that stand for a database, with what makes several of them change together."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from typing import TypeVar, cast

from application.ports.consumers import Cursor
from application.ports.events import Entry, Signal
from application.ports.idempotency import Answer
from application.ports.system import Clock
from application.quotas import Use
from domain.identity import Account, Session
from domain.ids import AccountId, CommentId, InvitationId, SessionId, TaskId, WorkspaceId
from domain.tasks import Comment, Task
from domain.workspaces import Invitation, Removal, Workspace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer that was given to a request with an idempotency key, and what that request was."""

    fingerprint: bytes
    answer: Answer
    at: datetime


@dataclass(frozen=True, slots=True)
class Claimable:
    """A cursor, when it is due, and since when it is behind."""

    cursor: Cursor
    oldest_at: datetime
    due_at: datetime


@dataclass(slots=True)
class Tables:
    """Everything that is kept. What is in a table is replaced as a whole and never changed in place."""

    accounts: dict[AccountId, Account] = field(default_factory=dict)
    sessions: dict[SessionId, Session] = field(default_factory=dict)
    ends: dict[SessionId, datetime] = field(default_factory=dict)
    """When the end of a session was written."""
    workspaces: dict[WorkspaceId, Workspace] = field(default_factory=dict)
    invitations: dict[InvitationId, Invitation] = field(default_factory=dict)
    removals: dict[tuple[WorkspaceId, AccountId], Removal] = field(default_factory=dict)
    tasks: dict[TaskId, Task] = field(default_factory=dict)
    comments: dict[CommentId, Comment] = field(default_factory=dict)
    streams: dict[str, list[Entry]] = field(default_factory=dict)
    tails: dict[str, int] = field(default_factory=dict)
    usage: dict[Use, int] = field(default_factory=dict)
    cursors: dict[tuple[str, str], Claimable] = field(default_factory=dict)
    answers: dict[tuple[AccountId, str], Remembered] = field(default_factory=dict)
    borrowed: set[str] = field(default_factory=set)
    """The streams whose list still belongs to the tables that these were copied from."""

    def copy(self) -> "Tables":
        """Tables that can be changed without changing these; it takes as long as there are things in them."""
        copies = {f.name: dict(getattr(self, f.name)) for f in fields(self) if f.name != "borrowed"}
        return Tables(**copies, borrowed=set(self.streams))

    def append(self, entry: Entry) -> None:
        """Write an entry at the end of its stream."""
        if entry.stream in self.borrowed:
            self.streams[entry.stream] = list(self.streams[entry.stream])
            self.borrowed.discard(entry.stream)
        self.streams.setdefault(entry.stream, []).append(entry)

    def head(self, stream: str) -> int:
        return self.tail(stream) + len(self.streams.get(stream, ()))

    def tail(self, stream: str) -> int:
        return self.tails.get(stream, 0)


class Transaction:
    """Several changes in a row that nobody else sees before all of them are kept."""

    def __init__(self, database: "MemoryDatabase") -> None:
        self.database = database
        self.tables: Tables | None = None
        self.is_open = True
        self.is_kept = False
        self.beginning = asyncio.Lock()
        self.announcements: list[Callable[[], None]] = []

    def keep(self) -> None:
        """Make the changes permanent when the transaction ends; without it they are forgotten then."""
        self.is_kept = True


_enclosing: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


class MemoryDatabase:
    """Tables of which everybody sees the same, as long as the process lives.

    A transaction that has begun to write makes every other writer wait until it ends; readers never wait.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.committed = Tables()
        self.epoch = secrets.token_hex(4)
        # Beside the tables: a number that was handed out stays so, whatever becomes of the transaction.
        self.last_task_numbers: Counter[WorkspaceId] = Counter()
        self._writing = asyncio.Lock()

    @property
    def present(self) -> Tables:
        """What is committed or, inside a transaction that has written, what that transaction has made of it."""
        transaction = self._transaction()
        return transaction.tables if transaction and transaction.tables else self.committed

    async def apply(
        self,
        change: Callable[[Tables], Sequence[Entry | Signal]],
        announce: Callable[[Sequence[Entry | Signal]], None],
    ) -> None:
        """Run a change that either raises or is complete, then announce what it returned, once it is committed.

        In a transaction both happen when that is kept.
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
        """Changes inside the block belong together: they are kept on leaving if it says so and does not raise."""
        transaction = Transaction(self)
        token = _enclosing.set(transaction)
        try:
            yield transaction
            if transaction.is_kept and transaction.tables is not None:
                transaction.tables.borrowed.clear()
                self.committed = transaction.tables
        finally:
            # A task that was started inside the block may outlive it; what it does is a change of its own.
            transaction.is_open = False
            if transaction.tables is not None:
                self._writing.release()
            _enclosing.reset(token)
        if transaction.is_kept:
            for announce in transaction.announcements:
                announce()

    async def _begun(self, transaction: Transaction) -> Tables:
        """The transaction's own tables, from its first write on."""
        async with transaction.beginning:
            if transaction.tables is None:
                await self._writing.acquire()
                transaction.tables = self.committed.copy()
        return transaction.tables

    def _transaction(self) -> Transaction | None:
        transaction = _enclosing.get()
        return transaction if transaction and transaction.is_open and transaction.database is self else None


def copied(thing: T) -> T:
    """The same dataclass, list, dictionary or value again, sharing nothing that can be changed; without its news."""
    if isinstance(thing, list):
        return cast(T, [copied(item) for item in thing])
    if isinstance(thing, dict):
        return cast(T, {key: copied(value) for key, value in thing.items()})
    if is_dataclass(thing) and not isinstance(thing, type):
        return cast(T, replace(thing, **{f.name: copied(getattr(thing, f.name)) for f in fields(thing) if f.init}))
    return thing
