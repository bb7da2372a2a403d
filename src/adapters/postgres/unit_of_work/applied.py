"""Applies the changes of units of work in one atomic statement or transaction."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Raw

from adapters.postgres.connection import Connection
from adapters.postgres.statement import Part, Statement, locking, parameter_count, renumbered
from adapters.postgres.unit_of_work.changed import Change, Count, Record
from application.ports.events import Entry
from application.ports.unit_of_work import Stale

# A change with more parts is sent as several statements, because PostgreSQL plans a statement as a whole.
PARTS_PER_STATEMENT = 10

# Locks are taken in the order that `Change` describes. The row of a stream is locked by the last statement only, so
# that offsets follow the order of commits. Counts are locked just before it, so no unit waits longer for a count than
# for the stream. verify() fails the statement unless each part of it has met its one row.
_COUNTED = """counted AS (
  INSERT INTO usage AS u (scope, subject, kind, used)
  SELECT n.scope, n.subject, n.kind, n.change FROM {counts} AS n (scope, subject, kind, change, most)
  WHERE {verified} ORDER BY n.scope, n.subject, n.kind
  ON CONFLICT (scope, subject, kind) DO UPDATE SET used = u.used + excluded.used
  RETURNING scope, subject, kind, used
)"""
_WITHIN = """(SELECT bool_and(within(c.kind, c.used, n.most)) FROM counted AS c
  JOIN {counts} AS n (scope, subject, kind, change, most) USING (scope, subject, kind))"""
_JOURNAL = """head AS (
  INSERT INTO streams AS s ({columns})
  SELECT * FROM {streams} AS n ({columns}) WHERE {verified} ORDER BY n.name
  ON CONFLICT (name) DO UPDATE SET head = s.head + excluded.head
  RETURNING name, head
),
logged AS (
  INSERT INTO events (stream, "offset", id, type, resource_id, actor, at, body, size)
  SELECT e.stream, head.head - e.behind, e.id, e.type, e.resource_id, e.actor, e.at, e.body, octet_length(e.body::text)
  FROM {events} AS e (stream, id, type, resource_id, actor, at, body, behind) JOIN head ON head.name = e.stream
)"""
# Gives each consumer a cursor on the stream. A statement that drops a cursor locks the row of the stream too.
_NOTICED = """noticed AS (
  INSERT INTO cursors (stream, consumer, position, oldest_at, due_at)
  SELECT head.name, n.consumer, head.head - n.behind - 1, n.at, n.at
  FROM {notices} AS n (stream, consumer, behind, at) JOIN head ON head.name = n.stream
  ON CONFLICT DO NOTHING
  RETURNING 1
)"""
_COUNT_TYPES = ("uuid", "uuid", "text", "bigint", "bigint")
_NOTICE_TYPES = ("text", "text", "bigint", "timestamptz")
# Only a stream that is within another has the third column: all others write what they would without it.
_STREAM_TYPES, _STREAM_COLUMNS = ("text", "bigint", "text"), ("name", "head", "within")
_EVENT_TYPES = ("text", "uuid", "text", "uuid", "uuid", "timestamptz", "json", "bigint")

_PLACE, _TABLE = attrgetter("place"), attrgetter("statement.table")


async def apply(connection: Connection, changes: Sequence[Change]) -> Sequence[Sequence[Entry]]:
    """Apply all of these changes or none, and return the entries of the journal for each.

    A few parts of one change are one statement. Otherwise the parts of all changes that have the same statement become
    one part for many rows, and these are again one statement, which needs no transaction. Too many of them, or writes
    that have to see each other, are sent before it in a transaction, or in a savepoint inside a transaction.
    """
    if len(changes) == 1 and len(changes[0].parts) <= PARTS_PER_STATEMENT:
        (change,) = changes
        return [await _write(connection, change.parts, change.counts, change.records, change.quiet)]
    records = [record for change in changes for record in change.records]
    quiet = list(_together(part for change in changes for part in change.quiet))
    *before, last = _steps(_together(part for change in changes for part in change.parts))
    async with connection.transaction() if before else nullcontext():
        for step in before:
            await _send(connection, step)
        entries = iter(await _write(connection, last, _summed(changes), records, quiet))
    return [[next(entries) for _ in change.records] for change in changes]


class Many(NamedTuple):
    """One statement for several rows. `is_each` if it has to be executed for one row after the other."""

    text: str
    args: Sequence[Any]
    is_each: bool = False


def _together(parts: Iterable[Part]) -> Iterator[Many]:
    """These parts table by table, equal statements together. Stale if a part meets a row that one before it writes.

    An update of many rows meets them in the order of its plan. So they are locked before, in the order of their keys.
    The same is done with all rows of a table for which there are several statements.
    """
    for table, of_table in groupby(sorted(parts, key=_PLACE), key=_TABLE):
        alike: dict[Statement, list[Sequence[Any]]] = {}
        places: list[tuple[Any, ...]] = [()]
        changes = False
        for place, statement, args in of_table:
            if place != places[-1]:
                places.append(place)
            elif changes:
                raise Stale
            changes = statement.changes
            rows = alike.setdefault(statement, [])
            if changes or not rows or rows[-1] != args:  # several changes may look at the same row
                rows.append(args)
        if table is not None and (len(alike) > 1 or statement.text.startswith(("UPDATE", "DELETE"))):
            width = len(table.primary_key)
            yield Many(locking(table), list(zip(*[place[-width:] for place in places[1:]], strict=True)))
        # Guards come first, because they have to see the rows before they are written.
        for statement in sorted(alike, key=_guards_first):
            rows = alike[statement]
            if statement.for_many:
                yield Many(statement.for_many, statement.many(rows))
            else:
                yield Many(statement.text, rows, is_each=True)


def _guards_first(statement: Statement) -> tuple[bool, str]:
    return not _only_looks(statement.text), statement.text


def _steps(parts: Iterable[Many]) -> Sequence[Sequence[Many]]:
    """These parts in steps of one statement each. The last step can be combined with others."""
    steps: list[list[Many]] = [[]]
    for part in parts:
        if part.is_each:
            steps += [part], []
        elif len(steps[-1]) < PARTS_PER_STATEMENT:
            steps[-1].append(part)
        else:
            steps.append([part])
    return [*filter(None, steps[:-1]), steps[-1]]


async def _send(connection: Connection, step: Sequence[Many]) -> None:
    if step[0].is_each:
        await connection.executemany(_compose((step[0].text,)), step[0].args)
    else:
        await connection.fetch(_compose(tuple([part.text for part in step])), *_arguments(step))


async def _write(
    connection: Connection,
    parts: Sequence[Part | Many],
    counts: Sequence[Count],
    records: Sequence[Record],
    quiet: Sequence[Part | Many],
) -> Sequence[Entry]:
    left: dict[str, int] = {}
    places: dict[str, str | None] = {}
    for record in records:
        if record.stream not in left:
            places[record.stream] = record.within
        left[record.stream] = left.get(record.stream, 0) + 1
    streams: list[tuple[Any, ...]] = list(left.items())
    if has_places := any(places.values()):
        streams = [(stream, count, places[stream]) for stream, count in streams]
    rows: list[tuple[Any, ...]] = []
    notices: dict[tuple[str, str], tuple[int, datetime]] = {}
    for record in records:
        behind = left[record.stream] = left[record.stream] - 1
        rows.append((*record[:-2], behind))
        for consumer in record.consumers:
            notices.setdefault((record.stream, consumer), (behind, record.at))
    args = _arguments(parts)
    if counts:
        # A usage that shrinks is never refused, even if the limit was lowered below it.
        limited = [(*use, change, most if change > 0 else None) for use, change, most in counts]
        args += limited[0] if len(limited) == 1 else map(list, zip(*limited, strict=True))
    if len(rows) == 1:
        args += (*streams[0], *rows[0])
    elif rows:
        args += (*map(list, zip(*streams, strict=True)), *map(list, zip(*rows, strict=True)))
    if notices:
        args += map(list, zip(*(key + told for key, told in notices.items()), strict=True))
    args += _arguments(quiet)
    texts, ending = tuple([part.text for part in parts]), tuple([part.text for part in quiet])
    statement = _compose(texts, min(len(counts), 2), min(len(records), 2), bool(notices), ending, has_places)
    found = await connection.fetch(statement, *args)
    heads: dict[str, int] = dict(found) if records else {}
    return [
        Entry(stream, heads[stream] - behind, type, resource_id, Raw(body.encode()))
        for stream, _, type, resource_id, _, _, body, behind in rows
    ]


def _summed(changes: Sequence[Change]) -> Sequence[Count]:
    """The sum of the changes of each count."""
    summed: dict[tuple[int, int, str], Count] = {}
    for count in (count for change in changes for count in change.counts):
        use, number, most = count
        key = use.scope.int, use.subject.int, use.kind  # ids themselves are slow to hash and to compare
        known = summed.get(key)
        summed[key] = count if known is None else Count(use, known.change + number, most)
    return [count for count in summed.values() if count.change]


def _arguments(parts: Sequence[Part | Many]) -> list[Any]:
    return [value for part in parts for value in part.args]


def _only_looks(text: str) -> bool:
    return text.startswith("SELECT")


@lru_cache(512)
def _compose(
    texts: tuple[str, ...],
    counts: int = 0,
    records: int = 0,
    has_notices: bool = False,
    quiet: tuple[str, ...] = (),
    has_places: bool = False,
) -> str:
    """One statement of all these parts, each of which must touch exactly one row.

    `counts` and `records` are 0, 1, or 2 for several. There are no counts without records.
    """
    parts: list[str] = []
    conditions, count = _verified("part", texts, parts, 0)
    if counts:
        counted = _rows(_COUNT_TYPES, count, single=counts == 1)
        count += len(_COUNT_TYPES)
        parts.append(_COUNTED.format(counts=counted, verified=conditions))
        conditions = _WITHIN.format(counts=counted)
    if records:
        width = 3 if has_places else 2
        streams = _rows(_STREAM_TYPES[:width], count, single=records == 1)
        columns = ", ".join(_STREAM_COLUMNS[:width])
        logged = _rows(_EVENT_TYPES, count + width, single=records == 1)
        parts.append(_JOURNAL.format(columns=columns, streams=streams, events=logged, verified=conditions))
        count += width + len(_EVENT_TYPES)
    if has_notices:
        parts.append(_NOTICED.format(notices=_rows(_NOTICE_TYPES, count, single=False)))
        count += len(_NOTICE_TYPES)
    ending, _ = _verified("quiet", quiet, parts, count)
    if not records:
        outcome = f"SELECT {conditions} AND {ending}"
    elif quiet:
        # Counting the rows makes sure that all of them are locked, and CASE that this happens before the quiet writes.
        held = "(SELECT count(*) FROM head) > 0"
        if has_notices:
            held += " AND (SELECT count(*) FROM noticed) >= 0"
        outcome = f"SELECT name, head FROM head WHERE CASE WHEN {held} THEN {ending} END"  # noqa: S608
    else:
        outcome = "SELECT name, head FROM head"
    return "WITH " + ", ".join(parts) + " " + outcome


def _verified(name: str, texts: Sequence[str], parts: list[str], count: int) -> tuple[str, int]:
    """Add these texts to `parts`, with their parameters numbered after `count`.

    Returns the condition that verifies them, and the number of parameters so far.
    """
    verified = []
    for index, text in enumerate(texts):
        is_for_many = text.endswith(" RETURNING 1")
        returning = "" if _only_looks(text) or is_for_many else " RETURNING 1"
        parts.append(f"{name}{index} AS ({renumbered(text, count)}{returning})")
        too_few = f" - cardinality(${count + 1}) + 1" if is_for_many else ""
        verified.append(f"verify((SELECT count(*) FROM {name}{index}){too_few})")  # noqa: S608  # of names made here
        count += parameter_count(text)
    return " AND ".join(verified) or "true", count


def _rows(types: Sequence[str], first: int, single: bool) -> str:
    """Parameters as rows of these types: one row of scalars, which asyncpg encodes fastest, or an array per column."""
    if single:
        return "(VALUES (" + ", ".join(f"${first + i}::{type}" for i, type in enumerate(types, 1)) + "))"
    return "unnest(" + ", ".join(f"${first + i}::{type}[]" for i, type in enumerate(types, 1)) + ")"
