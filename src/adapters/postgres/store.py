"""Figures about a PostgreSQL: exact counts where they are cheap, and the estimates of PostgreSQL otherwise."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Select, Table, cast, column, func, literal_column, select, table, union_all

from adapters.postgres import tables
from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from application.ports.store import Pool, StoreQueries

COUNTED_MAX = 10_000

_relations = table("pg_class", column("oid"), column("reltuples"))
_JOURNAL: Mapping[str, Table] = {"streams": tables.streams, "events": tables.events}


def _figures(name: str, counted: Table | Index) -> Select[tuple[str, int, int]]:
    """The exact number of rows of a table, up to 10,001, and the number that the last ANALYZE found.

    Of a partial index, the rows that are in it.
    """
    rows = select(literal_column("1"))  # type: ignore[var-annotated]
    if isinstance(counted, Table):
        rows = rows.select_from(counted)
    else:
        rows = rows.where(counted.dialect_options["postgresql"]["where"])
    some = rows.limit(literal_column(str(COUNTED_MAX + 1))).subquery()
    count = select(func.count()).select_from(some).scalar_subquery()
    return select(literal_column(f"'{name}'"), count, cast(_relations.c.reltuples, BigInteger)).where(
        _relations.c.oid == func.to_regclass(literal_column(f"'{counted.name}'"))
    )


class PostgresStoreQueries(StoreQueries):
    """Counts exactly up to 10,000 rows of a table, or of a partial index for those of its rows that count.

    Beyond that it gives the number that the last ANALYZE found.
    """

    def __init__(self, database: Database, counted: Mapping[str, Table | Index]) -> None:
        self._database = database
        self._counted = {**counted, **_JOURNAL}
        figures = {name: _figures(name, table) for name, table in self._counted.items()}
        self._stored = Statement(union_all(*figures.values()))
        self._figures = {name: Statement(figure) for name, figure in figures.items()}

    async def now(self) -> datetime:
        _, now = await self._database.identify()
        return now

    async def stored(self) -> Mapping[str, int]:
        rows = await self._database.fetch(self._stored)
        found = dict(map(_figure, rows))
        return {name: found[name] for name in self._counted}  # in their order, which a union does not keep

    async def figure(self, name: str) -> int:
        ((_, value),) = map(_figure, await self._database.fetch(self._figures[name]))
        return value

    def pool(self) -> Pool:
        return Pool(*self._database.pool_state(), self._database.waiting)


def _figure(row: Sequence[Any]) -> tuple[str, int]:
    name, counted, about = row
    return name, counted if counted <= COUNTED_MAX else max(counted, about)
