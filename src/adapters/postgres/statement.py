"""Statements: SQLAlchemy Core expressions, compiled once at import to the text and parameter order of asyncpg."""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property, lru_cache
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BinaryExpression,
    BindParameter,
    Column,
    ColumnElement,
    Insert,
    Select,
    Table,
    TableValuedAlias,
    UpdateBase,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql import ClauseElement, operators, visitors
from sqlalchemy.types import TypeEngine

_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]
_PARAMETER = re.compile(r"\$(\d+)")
_VERB = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE)\b")
_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE) (?!LATERAL)(\w+)\b(?!\()")  # a function is no table
_NUMBER = "number"
# How a write of one row becomes one of many.
_FOR_MANY = (
    (
        re.compile(r"^(INSERT INTO .*?\)) VALUES \((.*?)\)( ON CONFLICT .*)?$"),
        "{0} SELECT {1} FROM {rows}{2} RETURNING 1",
    ),
    (re.compile(r"^(UPDATE .*?) WHERE (.*)$"), "{0} FROM {rows} WHERE {1} RETURNING 1"),
    (re.compile(r"^(DELETE FROM \w+) WHERE (.*)$"), "{0} USING {rows} WHERE {1} RETURNING 1"),
)


class Part(NamedTuple):
    """A statement with its arguments, to be combined with others, and the place of its row in the order of locks."""

    place: tuple[Any, ...]
    statement: "Statement"
    args: Sequence[Any]

    @property
    def text(self) -> str:
        return self.statement.text


class Statement:
    """A compiled statement: `text` with `$1 …`, and `names`, the bind parameters in that order.

    `operation` is its name in metrics: its first verb and its first table. `changes` says whether it may do more than
    read. `table` is the table that it writes to or reads, if it is only one.

    Values are passed to asyncpg unchanged: the column types in use need no bind processor, which a test proves.
    """

    def __init__(self, expression: ClauseElement) -> None:
        compiled = expression.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        self.text: str = str(compiled)
        self.operation = f"{_VERB.findall(self.text)[0]} {_TABLE.findall(self.text)[0]}"
        self.changes = set(_VERB.findall(self.text)) != {"SELECT"}
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
        self.constants: Mapping[str, Any] = {k: v for k, v in compiled.params.items() if v is not None}
        self.compiled = compiled
        self.table = _table_of(expression)
        self._order = () if self.table is None else _order(self.table)
        self.key = () if self.table is None else _key_names(expression, self.table)
        self._values_of_names, self._values_of_key = _picking(self.names), _picking(self.key)
        types = [compiled.binds[name].type for name in self.names]  # type: ignore[attr-defined]
        self._lists = [index for index, type in enumerate(types) if isinstance(type, ARRAY)]
        self._scalars = [index for index, type in enumerate(types) if not isinstance(type, ARRAY)]

    @property
    def is_quiet(self) -> bool:
        """Whether its table is one that changes without events."""
        return self.table is not None and "is_quiet" in self.table.info

    def args(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The arguments in order. A parameter that has a value in the expression keeps it."""
        return self._values_of_names({**self.constants, **values} if self.constants else values)

    def part(self, values: Mapping[str, Any]) -> Part:
        """This statement with these values. Its place is its table, then the key of its row.

        A table comes after the tables that it refers to; tables that are equal in this are ordered by name.
        """
        return Part(self._order + self._values_of_key(values), self, self.args(values))

    @cached_property
    def for_many(self) -> str:
        """A text that does for many rows what this one does for one; empty if that cannot be.

        Its arguments are those of `many`. A guard looks at the rows in their order; it finds one row if each of them is
        there, and fails otherwise. A write returns 1 for each row that it has met. An insert writes the rows in their
        order; other writes have no order. A write that reads cannot do many at once: it would not see those before it.
        """
        if self.changes and "SELECT" in _VERB.findall(self.text):
            return ""
        types = [_type_of(self.compiled.binds[name].type) for name in self.names]  # type: ignore[attr-defined]
        columns: list[tuple[int, str, str]] = []
        values: dict[int, str] = {}
        for count, index in enumerate(self._scalars, 1):
            name = f"value{index + 1}"
            columns.append((count, f"{types[index]}[]", name))
            values[index] = f"wanted.{name}"
        for place, index in enumerate(self._lists):
            count = len(self._scalars) + 3 * place + 1
            first, last = f"first{index + 1}", f"last{index + 1}"
            columns += (count + 1, "INTEGER[]", first), (count + 2, "INTEGER[]", last)
            values[index] = f"(${count}::{types[index]})[wanted.{first}:wanted.{last}]"
        rows = _unnested(columns)
        one = _PARAMETER.sub(lambda match: values[int(match[1]) - 1], self.text)
        if not self.changes:
            return f"SELECT 1 FROM {rows} HAVING bool_and(verify((SELECT count(*) FROM ({one}) AS found)))"  # noqa: S608
        for pattern, text in _FOR_MANY:
            if found := pattern.match(one):
                return text.format(*found.groups(""), rows=rows)
        return ""

    def many(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """The arguments of `for_many` for the arguments of each row. The first of them has one value for each row.

        Lists become one array, with arrays of where each begins and ends: PostgreSQL has no arrays of lists. An array
        with nothing but nulls is left empty, because asyncpg needs as long for a null as for another value.
        """
        columns = list(zip(*rows, strict=True))
        nulls = (None,) * len(rows)
        arguments: list[Any] = [() if (column := columns[index]) == nulls else column for index in self._scalars]
        for index in self._lists:
            last = list(accumulate(map(len, columns[index])))
            arguments += list(chain.from_iterable(columns[index])), [1, *[end + 1 for end in last[:-1]]], last
        return arguments


class Lookup(Statement):
    """A statement that finds at most one row for each of many keys. The last column of a row is the number of its key.

    `expression` selects from the result of `lookup_keys`. `shared` is the same statement under the name that it has in
    metrics when several callers share it; each of these callers is also counted under the plain name.
    """

    def __init__(self, keys: TableValuedAlias, expression: Select[Any]) -> None:
        super().__init__(expression.add_columns(keys.c[_NUMBER]))
        self.shared: Statement = copy(self)
        self.shared.operation = f"group {self.operation}"
        self._columns = [column.name for column in keys.c if column.name != _NUMBER]

    def values(self, keys: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
        """The parameters for these keys, which are numbered from 1 on."""
        return {name: [key[place] for key in keys] for place, name in enumerate(self._columns)}


def bound(*names: str) -> dict[str, Any]:
    """A bind parameter for each of these columns, by their names."""
    return {name: bindparam(name) for name in names}


def picked(rows: Select[Any]) -> Select[Any]:
    """The same rows, picked and locked once. PostgreSQL may run a subquery of IN again for each row that it compares.

    With a limit and SKIP LOCKED, each run picks different rows, so more rows than the limit would be picked.
    """
    return select(rows.cte("picked"))


def dropping(table: Table, *conditions: ColumnElement[bool], skips_locked: bool = False) -> Statement:
    """Deletes at most `most` rows of a table that meet the conditions, and returns a row for each.

    It waits for rows that another transaction has locked, or with `skips_locked` leaves them.
    """
    key = tuple(table.primary_key)
    rows = select(*key).where(*conditions).limit(bindparam("most"))
    chosen = picked(rows.with_for_update(of=table, skip_locked=skips_locked))
    is_chosen = key[0].in_(chosen) if len(key) == 1 else tuple_(*key).in_(chosen)
    return Statement(delete(table).where(is_chosen).returning(literal_column("1")))


def lookup_keys(*columns: str) -> TableValuedAlias:
    """The keys of a lookup as a table of these columns, which hold UUIDs.

    Each array is a subquery of its own. If PostgreSQL knew how many keys there are, it would plan anew for every one.
    """
    arrays = (select(bindparam(name, type_=ARRAY(Uuid))).scalar_subquery() for name in columns)
    table = func.unnest(*arrays).table_valued(*(column(name, Uuid) for name in columns), with_ordinality=_NUMBER)
    return table.render_derived(name="wanted")


@lru_cache(maxsize=512)
def renumbered(text: str, first: int) -> str:
    """The same text with its parameters numbered from `first` + 1, to be combined with others in one statement."""
    return _PARAMETER.sub(lambda match: f"${int(match[1]) + first}", text)


@lru_cache(maxsize=512)
def parameter_count(text: str) -> int:
    """How many parameters a text has."""
    return max((int(match) for match in _PARAMETER.findall(text)), default=0)


@lru_cache
def locking(table: Table) -> str:
    """A text that locks the rows of these keys in their order, and finds one row. It has an array for each key column.

    A lateral subquery that locks is run for each key, whatever the plan, so no row is locked before its turn.
    """
    rows = _unnested([(i, f"{_type_of(c.type)}[]", c.name) for i, c in enumerate(table.primary_key, 1)])
    same = " AND ".join(f"{table.name}.{column.name} = wanted.{column.name}" for column in table.primary_key)
    held = f"SELECT 1 FROM {table.name} WHERE {same} FOR NO KEY UPDATE"  # noqa: S608  # of ours
    return f"SELECT count(*) FROM {rows}, LATERAL ({held}) AS held"  # noqa: S608


def _unnested(columns: Sequence[tuple[int, str, str]]) -> str:
    """Parameters as the columns of a table `wanted`: their numbers, types and names.

    PostgreSQL does not know their number until it runs the subquery of the limit. So it plans for one row, which it
    finds by an index, and keeps this plan whatever the number is.
    """
    arrays = ", ".join(f"${number}::{type}" for number, type, _ in columns)
    names = ", ".join(name for _, _, name in columns)
    first, type, _ = columns[0]
    rows = f"SELECT * FROM unnest({arrays}) LIMIT (SELECT cardinality(${first}::{type}))"  # noqa: S608
    return f"({rows}) AS wanted ({names})"


def _type_of(type: TypeEngine[Any]) -> str:
    return type.compile(dialect=_DIALECT).partition(" COLLATE")[0]


def _picking(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """A function that takes the values of these names from a mapping, without a step of Python for each name."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple([values[name] for name in names])


def _table_of(expression: ClauseElement) -> Table | None:
    tables: Sequence[Any] = ()
    if isinstance(expression, UpdateBase):
        tables = [expression.table]
    elif isinstance(expression, Select):
        tables = expression.get_final_froms()
    return tables[0] if len(tables) == 1 and isinstance(tables[0], Table) else None


@lru_cache
def _order(table: Table) -> tuple[int, str]:
    """The place of a table in the order of locks: after every table that it refers to, then by name."""
    parents = [key.column.table for key in table.foreign_keys if key.column.table is not table]
    return max((_order(parent)[0] + 1 for parent in parents), default=0), table.name


def _key_names(expression: ClauseElement, table: Table) -> Sequence[str]:
    """The parameters that hold the primary key of the row, in its order; empty if they do not identify one row."""
    found: dict[str, str] = {}
    if isinstance(expression, Insert):
        written: Mapping[Any, Any] = expression._values or {}  # noqa: SLF001  # SQLAlchemy has no other way to it
        found = {
            getattr(at, "name", at): value.key for at, value in written.items() if isinstance(value, BindParameter)
        }
    elif (condition := getattr(expression, "whereclause", None)) is not None:
        for each in visitors.iterate(condition):
            match each:
                case BinaryExpression(
                    operator=operators.eq, left=Column(table=of) as left, right=BindParameter(key=name)
                ):
                    if of is table:
                        found[left.name] = name
    names = [column.name for column in table.primary_key]
    return [found[name] for name in names] if all(name in found for name in names) else []
