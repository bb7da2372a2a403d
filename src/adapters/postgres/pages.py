"""Pages that are bounded by their size. PostgreSQL sends no wide column that does not fit on the page."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import ColumnElement, Integer, Select, bindparam, case, literal_column, select

from adapters.postgres.statement import Statement
from application.paging import PAGE_BYTES, PAGE_MAX, Page, fitting

V = TypeVar("V")

# How many times longer a character can be in JSON: U+0001 becomes six characters.
JSON_GROWTH = 6
_ALL = 2**31 - 1

Fetch = Callable[[int, int], Awaitable[Sequence[asyncpg.Record]]]


def measured(
    rows: Select[Any],
    size: ColumnElement[int],
    wide: Sequence[ColumnElement[Any]],
    *order: ColumnElement[Any],
    descending: bool = False,
    is_walked: bool = False,
) -> Statement:
    """The first `limit` rows in this order; the `wide` columns are null in rows of more than `most` bytes.

    `size` is how many bytes a row has, to be known without unpacking what is stored out of line. It comes last. If an
    index `is_walked`, which has just these rows in this order, PostgreSQL plans it once and not for each page.
    """
    columns = list(rows.selected_columns)
    keys = [key.label(f"place_{number}") for number, key in enumerate(order)]
    found = rows.add_columns(size.label("size"), *keys)
    # If it cannot know the limit, it supposes a tenth of all rows, so that to plan anew for every limit seems cheaper.
    limit: ColumnElement[int] = bindparam("limit")
    found = found.order_by(*(key.desc() if descending else key for key in order))
    limited = found.limit(literal_column(str(PAGE_MAX + 1)) if is_walked else limit).subquery("found")
    fits = limited.c.size <= bindparam("most", type_=Integer)
    shown = [
        case((fits, limited.c[column.name])).label(column.name) if column in wide else limited.c[column.name]
        for column in columns
    ]
    places = [limited.c[key.name] for key in keys]
    page = select(*shown, limited.c.size).order_by(*(place.desc() if descending else place for place in places))
    return Statement(page.limit(limit) if is_walked else page)


async def rows_of(fetch: Fetch, limit: int) -> tuple[Sequence[asyncpg.Record], bool]:
    """At most `limit` rows that fit on a page, and whether there are more. The first row is returned whatever its size.

    `fetch` takes `limit` and `most` of a `measured` statement. It is called a second time only if a row has more than
    its even share of the page.
    """
    most = PAGE_BYTES // limit
    rows = await fetch(limit + 1, most)
    sizes = [row[-1] for row in rows[:limit]]
    if max(sizes, default=0) <= most:
        return rows[:limit], len(rows) > limit
    count = max(1, sum(total <= PAGE_BYTES for total in accumulate(sizes)))
    return await fetch(count, _ALL), len(rows) > count


async def page_of(fetch: Fetch, limit: int, view: Callable[[asyncpg.Record], V], cursor: Callable[[V], str]) -> Page[V]:
    """A page of the views of these rows. `cursor` makes the cursor that follows a view."""
    rows, has_more = await rows_of(fetch, limit)
    views: Sequence[V] = [view(row) for row in rows]
    if sum(row[-1] for row in rows) > PAGE_BYTES // JSON_GROWTH:
        views = fitting(views)
    return Page(views, cursor(views[-1]) if views and (has_more or len(views) < len(rows)) else None)
