"""The state that the repositories of one unit of work share: the tables to read, and the noted changes."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

from msgspec import Raw

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from application.journal import News
from application.ports.consumers import NEWS_SIGNAL, Cursor, Wanted
from application.ports.due import alarms
from application.ports.events import Entry, Signal
from application.ports.system import Ids
from application.ports.unit_of_work import Stale
from application.quotas import Quotas, Use
from domain.errors import QuotaExceeded
from domain.kernel import Aggregate, Event

K = TypeVar("K")
V = TypeVar("V")
A = TypeVar("A", bound=Aggregate)


@dataclass(frozen=True, slots=True)
class Claimable:
    """A cursor, when it is due, and since when it is behind."""

    cursor: Cursor
    oldest_at: datetime
    due_at: datetime


CURSORS: Table[tuple[str, str], Claimable] = Table("cursors", is_quiet=True)
USAGE: Table[Use, int] = Table("usage")


@dataclass(frozen=True, slots=True)
class _Saved:
    """A noted aggregate, with functions that find its stored row, check its constraints, count it and write it."""

    aggregate: Aggregate
    stored: Callable[[Tables], Aggregate | None]
    check: Callable[[Tables], None]
    uses: Callable[[Aggregate], Mapping[Use, int]]
    write: Callable[[Tables], None]


def _unconstrained(_: Tables) -> None: ...


def _uncounted(_: Aggregate) -> Mapping[Use, int]:
    return {}


class MemoryUnit:
    """The noted changes of one unit of work."""

    def __init__(self, database: MemoryDatabase, ids: Ids, quotas: Quotas, wanted: Wanted) -> None:
        self._database = database
        self._wanted = wanted
        self._ids = ids
        self.quotas = quotas
        self._saved: dict[int, _Saved] = {}
        self._noted: list[Callable[[Tables], None]] = []
        self._required: list[Callable[[Tables], None]] = []
        self._quiet: list[Callable[[Tables], None]] = []
        self._due: list[datetime] = []
        # What a repository remembers of the things that it has loaded, by their ids.
        self.loaded: dict[Hashable, Any] = {}

    @property
    def tables(self) -> Tables:
        """The committed tables, together with the changes of the idempotent request around this unit."""
        return self._database.present

    def now(self) -> datetime:
        """The time of the store's clock."""
        return self._database.clock.now()

    def saving(
        self,
        key: K,
        aggregate: A,
        table: Table[K, A],
        check: Callable[[Tables], None] = _unconstrained,
        kept: Callable[[A], A] = copied,
        uses: Callable[[A], Mapping[Use, int]] = _uncounted,
    ) -> None:
        """Write the aggregate on leaving if it has news. `check` raises the error of a constraint that it would break.

        `uses` returns what the aggregate counts towards quotas; QuotaExceeded on leaving if it exceeds one.
        """
        self._saved.setdefault(
            id(aggregate),
            _Saved(
                aggregate,
                lambda tables: tables[table].get(key),
                check,
                cast(Callable[[Aggregate], Mapping[Use, int]], uses),
                lambda tables: tables[table].__setitem__(key, kept(aggregate)),
            ),
        )

    def tell(self, aggregate: Aggregate) -> None:
        """Announce the news of an aggregate that is not stored."""
        self._saved.setdefault(
            id(aggregate), _Saved(aggregate, lambda _: None, _unconstrained, _uncounted, _unconstrained)
        )

    def note(self, write: Callable[[Tables], None]) -> None:
        """Write this on leaving too. It must not fail, and a saved aggregate has to announce it."""
        self._noted.append(write)

    def require(self, check: Callable[[Tables], None]) -> None:
        """Apply the unit only if `check` raises nothing. Stale means that something the unit relies on has changed."""
        self._required.append(check)

    def note_quietly(self, table: Table[K, V], write: Callable[[dict[K, V]], None]) -> None:
        """Write to a quiet table on leaving. It must not fail, and needs no event."""
        if not table.is_quiet:
            raise AssertionError(f"{table.name}: only what nobody is told of is written without an event")
        self._quiet.append(lambda tables: write(tables[table]))

    def note_due(self, at: datetime | None) -> None:
        """Announce a deadline of this unit once it is applied, so that the loop that waits for deadlines wakes up."""
        if at is not None:
            self._due.append(at)

    @property
    def has_changes(self) -> bool:
        return bool(self._noted or self._quiet) or any(saved.aggregate.has_news for saved in self._saved.values())

    def apply(self, tables: Tables) -> Sequence[Entry | Signal]:
        """Verify everything, then write everything, and return what to publish.

        Returns the new entries of the journal. A signal follows if a consumer wants one of them, and a second one if a
        deadline is near.
        """
        saved = [saved for saved in self._saved.values() if saved.aggregate.has_news]
        if not saved and self._noted:
            raise AssertionError("a write without an event: every change of state is announced by its aggregate")
        for check in self._required:
            check(tables)
        for each in saved:
            stored = each.stored(tables)
            if (stored.version if stored else 0) != each.aggregate.kept_version:
                raise Stale
            each.check(tables)
        used = self._counted(tables, saved)
        events = [event for each in saved for event in each.aggregate.take_news()]
        news = News()
        bodies = [(event, news.add(event, self._ids.new())) for event in events]
        for each in saved:
            each.write(tables)
        for write in self._noted:
            write(tables)
        tables[USAGE].update(used)
        for write in self._quiet:
            write(tables)
        told: list[Entry | Signal] = []
        is_wanted = False
        for event, body in bodies:
            entry = Entry(event.stream, tables.head(event.stream) + 1, event.type, event.resource_id, Raw(body))
            tables.append(entry, event.within)
            told.append(entry)
            for consumer in self._wanted.by(event):
                _notice(tables, consumer, entry, event.at)
                is_wanted = True
        return [*told, *self._signals(events, is_wanted)]

    def _signals(self, events: Sequence[Event], is_wanted: bool) -> Sequence[Signal]:
        news = [NEWS_SIGNAL] if is_wanted else []
        written_at = events[-1].at if events else None
        return [*news, *alarms(self._due, written_at)] if self._due else news

    def _counted(self, tables: Tables, saved: Sequence[_Saved]) -> Mapping[Use, int]:
        """The new usage of each quota that these aggregates change; QuotaExceeded if it grows past its limit."""
        changes: Counter[Use] = Counter()
        for each in saved:
            changes.update(each.uses(each.aggregate))
            if stored := each.stored(tables):
                changes.subtract(each.uses(stored))
        used = {use: tables[USAGE].get(use, 0) + change for use, change in changes.items()}
        for use, change in changes.items():
            if change > 0 and used[use] > self.quotas[use.kind]:
                raise QuotaExceeded(use.kind, self.quotas[use.kind])
        return used


def _notice(tables: Tables, consumer: str, entry: Entry, at: datetime) -> None:
    """Give a consumer a cursor before the entry, unless it has one on its stream."""
    cursor = Cursor(consumer, entry.stream, entry.offset - 1, 0, 0)
    tables[CURSORS].setdefault((entry.stream, consumer), Claimable(cursor, at, at))
