"""The journal in PostgreSQL, for reading. The flush of each unit of work writes to it."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import asyncpg
import msgspec
from msgspec import Raw
from sqlalchemy import ARRAY, ColumnElement, Text, bindparam, func, select

from adapters.postgres.database import Database
from adapters.postgres.long_reads import LongReads
from adapters.postgres.pages import measured, page_of, rows_of
from adapters.postgres.replica import Replica
from adapters.postgres.statement import Statement
from adapters.postgres.tables import events, lineage, streams
from application.journal import event_view
from application.paging import Page, decode_cursor, encode_cursor
from application.ports.events import Entry, EventFilter, EventView, HistoryGone, JournalQueries, Span, Survey

# The size of an old event was not recorded. It is found by unpacking the event.
_SIZE = func.coalesce(events.c.size, func.octet_length(func.cast(events.c.body, Text)))
_READ = measured(
    select(events.c.stream, events.c.offset, events.c.type, events.c.resource_id, events.c.body).where(
        events.c.stream == bindparam("stream"), events.c.offset > bindparam("after")
    ),
    _SIZE,
    [events.c.body],
    events.c.offset,
)
_wanted = streams.c.name == func.any(bindparam("streams", type_=ARRAY(Text)))
_HEADS = Statement(select(streams.c.name, streams.c.head).where(_wanted))
_WITHIN = Statement(select(streams.c.name, streams.c.within).where(_wanted, streams.c.within.is_not(None)))
# One statement sees one snapshot. It returns at least one row, because there is always one lineage.
_SURVEY = Statement(
    select(lineage.c.epoch, streams.c.name, streams.c.tail, streams.c.head).select_from(
        lineage.outerjoin(streams, _wanted)
    )
)
_TAIL = Statement(select(streams.c.tail).where(streams.c.name == bindparam("stream")))

# The filters whose events an index has in the order of their offsets.
WALKED = frozenset({"resource_id"})


class PostgresJournalQueries(JournalQueries):
    """The journal for reading only. Pages of the past come from the `replica`, if there is one that has all of them.

    A page with filters may have to read all events of a stream, so it is one of the `long_reads`. A page with a filter
    by resource alone is not, because it has an index.
    """

    def __init__(self, database: Database, long_reads: LongReads, replica: Replica | None = None) -> None:
        self._database = database
        self._long_reads = long_reads
        self._replica = replica

    async def read(self, stream: str, after: int, limit: int) -> Sequence[Entry]:
        rows, _ = await rows_of(
            lambda limit, most: self._database.fetch(_READ, stream=stream, after=after, limit=limit, most=most), limit
        )
        return [Entry(stream, offset, type, id, Raw(body.encode())) for stream, offset, type, id, body, _ in rows]

    async def heads(self, streams: Collection[str]) -> Mapping[str, int]:
        rows = await self._database.fetch(_HEADS, streams=list(streams))
        return dict.fromkeys(streams, 0) | dict(rows)

    async def within(self, streams: Collection[str]) -> Mapping[str, str]:
        return dict(await self._database.fetch(_WITHIN, streams=list(streams)))

    async def survey(self, streams: Collection[str]) -> Survey:
        rows = await self._database.fetch(_SURVEY, streams=list(streams))
        spans = {stream: Span(tail, head) for _, stream, tail, head in rows if stream is not None}
        return Survey(rows[0][0], dict.fromkeys(streams, Span(0, 0)) | spans)

    async def page(
        self, stream: str, wanted: EventFilter, newest_first: bool, cursor: str | None, limit: int
    ) -> Page[EventView]:
        query = f"events {stream} {newest_first} {msgspec.json.encode(wanted).decode()}"
        values: dict[str, Any] = {"stream": stream, **msgspec.structs.asdict(wanted)}
        if wanted.type and wanted.type.endswith("*"):
            values["type"] = wanted.type[:-1]
        if cursor is not None:
            (values["place"],) = decode_cursor(cursor, query, int)
        conditions = tuple(name for name in wanted.__struct_fields__ if getattr(wanted, name) is not None)
        globbed = bool(wanted.type and wanted.type.endswith("*"))
        statement = _page(conditions, globbed, newest_first, cursor is not None)

        async def fetch(limit: int, most: int) -> Sequence[asyncpg.Record]:
            limited = values | {"limit": limit, "most": most}
            rows = await self._past(stream, newest_first, statement, limited)
            if rows is None and WALKED.issuperset(conditions):
                return await self._database.fetch(statement, **limited)
            return await self._long_reads.fetch(stream, statement, limited) if rows is None else rows

        page = await page_of(
            fetch,
            limit,
            lambda row: event_view(stream, row[0], row[1]),
            lambda last: encode_cursor(query, last.offset),
        )
        if cursor is not None and not newest_first:
            # The tail is read after the page, so it includes every event that was pruned before the page was read.
            row = await self._database.fetchrow(_TAIL, stream=stream)
            if row is not None and row[0] > values["place"]:
                raise HistoryGone("Events that come next here are kept no longer.", pointer="?cursor")
        return page

    async def _past(
        self, stream: str, newest_first: bool, statement: Statement, values: Mapping[str, Any]
    ) -> Sequence[asyncpg.Record] | None:
        """The rows from the replica, or None if the primary may have others. Events themselves never change."""
        if self._replica is None or (newest_first and "place" not in values):
            return None
        rows = await self._replica.fetch(stream, values.get("place", 0), statement, values)
        # In ascending order only a full page is certain to be complete: the primary may have newer events.
        return rows if newest_first or (rows and len(rows) == values["limit"]) else None


@lru_cache(maxsize=256)
def _page(conditions: Sequence[str], globbed: bool, newest_first: bool, continued: bool) -> Statement:
    place = bindparam("place", type_=events.c.offset.type)
    tests: Mapping[str, ColumnElement[bool]] = {
        "type": func.starts_with(events.c.type, bindparam("type", type_=Text))
        if globbed
        else events.c.type == bindparam("type"),
        "resource_id": events.c.resource_id == bindparam("resource_id"),
        "actor": events.c.actor == bindparam("actor"),
        "after": events.c.at >= bindparam("after"),
        "before": events.c.at < bindparam("before"),
    }
    statement = select(events.c.offset, events.c.body).where(
        events.c.stream == bindparam("stream"), *(tests[name] for name in conditions)
    )
    if continued:
        statement = statement.where(events.c.offset < place if newest_first else events.c.offset > place)
    return measured(statement, _SIZE, [events.c.body], events.c.offset, descending=newest_first)
