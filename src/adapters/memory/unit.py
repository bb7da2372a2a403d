"""What the repositories of one unit of work share: the tables they read, and the changes they have noted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from msgspec import Raw

from adapters.memory.database import MemoryDatabase, Tables, copied
from application.journal import encode_event
from application.ports.events import Entry
from application.ports.system import Ids
from application.ports.unit_of_work import Stale
from domain.access import Standing
from domain.ids import AccountId, WorkspaceId
from domain.kernel import Aggregate

K = TypeVar("K")
A = TypeVar("A", bound=Aggregate)


@dataclass(frozen=True, slots=True)
class _Saved:
    """A noted aggregate, with what finds its row, checks the constraints on it, and writes it."""

    aggregate: Aggregate
    stored: Callable[[Tables], Aggregate | None]
    check: Callable[[Tables], None]
    write: Callable[[Tables], None]


def _unconstrained(_: Tables) -> None: ...


class Unit:
    """The notes of one unit of work."""

    def __init__(self, database: MemoryDatabase, ids: Ids) -> None:
        self._database = database
        self._ids = ids
        self._saved: dict[int, _Saved] = {}
        self._noted: list[Callable[[Tables], None]] = []
        self._standings: dict[tuple[WorkspaceId, AccountId], Standing] = {}

    @property
    def tables(self) -> Tables:
        """What is committed now, together with what the idempotent request around this unit has done."""
        return self._database.present

    def saving(
        self,
        key: K,
        aggregate: A,
        table: Callable[[Tables], dict[K, A]],
        check: Callable[[Tables], None] = _unconstrained,
        kept: Callable[[A], A] = copied,
    ) -> None:
        """Write the aggregate on leaving if it has news; `check` raises the error of a constraint it would break."""
        self._saved.setdefault(
            id(aggregate),
            _Saved(
                aggregate,
                lambda tables: table(tables).get(key),
                check,
                lambda tables: table(tables).__setitem__(key, kept(aggregate)),
            ),
        )

    def note(self, write: Callable[[Tables], None]) -> None:
        """Do this on leaving as well. It must not fail, and some aggregate that is saved must announce it."""
        self._noted.append(write)

    def rely_on(self, workspace: WorkspaceId, account: AccountId, standing: Standing) -> None:
        """Apply the unit only if the account still has this standing."""
        self._standings[workspace, account] = standing

    @property
    def has_changes(self) -> bool:
        return bool(self._noted) or any(saved.aggregate.has_news for saved in self._saved.values())

    def apply(self, tables: Tables) -> Sequence[Entry]:
        """Verify everything, then write everything, and return the events as they stand in the journal now."""
        saved = [saved for saved in self._saved.values() if saved.aggregate.has_news]
        if not saved:
            raise AssertionError("a write without an event: every change of state is announced by its aggregate")
        for (workspace, account), standing in self._standings.items():
            if standing_in(tables, workspace, account) != standing:
                raise Stale
        for each in saved:
            stored = each.stored(tables)
            if (stored.version if stored else 0) != each.aggregate.version:
                raise Stale
            each.check(tables)
        events = [event for each in saved for event in each.aggregate.take_news()]
        bodies = [(event, encode_event(event, self._ids.new())) for event in events]
        for each in saved:
            each.write(tables)
        for write in self._noted:
            write(tables)
        entries = []
        for event, body in bodies:
            entry = Entry(event.stream, tables.head(event.stream) + 1, event.type, event.resource_id, Raw(body))
            tables.append(entry)
            entries.append(entry)
        return entries


def standing_in(tables: Tables, workspace: WorkspaceId, account: AccountId) -> Standing | None:
    """What the account is in the workspace; None for a stranger or an absent workspace."""
    found = tables.workspaces.get(workspace)
    member = found.members.get(account) if found else None
    return Standing(member.role, found.viewers_comment) if found and member else None
