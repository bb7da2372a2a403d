"""Statements: SQLAlchemy Core expressions, compiled once at import to the text and parameter order asyncpg takes."""

import re
from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, Select, TableValuedAlias, Uuid, bindparam, column, func
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql import ClauseElement

_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]
_PARAMETER = re.compile(r"\$(\d+)")
_VERB = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE)\b")
_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE) (?!LATERAL)(\w+)\b(?!\()")  # a function is none
_NUMBER = "number"


class Statement:
    """A compiled statement: `text` with `$1 …`, and `names`, the bind parameters in that order.

    `operation` is what it is counted as: the first verb in it, and the first table. `changes` says whether it may do
    more than read.

    Values go to asyncpg as they are: the column types in use need no bind processor, which a test proves.
    """

    def __init__(self, expression: ClauseElement) -> None:
        compiled = expression.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        self.text: str = str(compiled)
        self.operation = f"{_VERB.findall(self.text)[0]} {_TABLE.findall(self.text)[0]}"
        self.changes = set(_VERB.findall(self.text)) != {"SELECT"}
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
        self.constants: Mapping[str, Any] = {k: v for k, v in compiled.params.items() if v is not None}
        self.compiled = compiled

    def args(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """The arguments in order; parameters that the expression gave a value itself keep it."""
        constants = self.constants
        return [values[name] if name in values else constants[name] for name in self.names]


class Lookup(Statement):
    """A statement that finds at most one row for each of many keys; the last column of a row is its key's number.

    `expression` selects from what `lookup_keys` made. `shared` is the same statement under the name by which it is
    counted when it is made for many, each of whom is counted as if they had made it alone.
    """

    def __init__(self, keys: TableValuedAlias, expression: Select[Any]) -> None:
        super().__init__(expression.add_columns(keys.c[_NUMBER]))
        self.shared: Statement = copy(self)
        self.shared.operation = f"group {self.operation}"
        self._columns = [column.name for column in keys.c if column.name != _NUMBER]

    def values(self, keys: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
        """The parameters that ask for these keys, which are numbered from 1 on."""
        return {name: [key[place] for key in keys] for place, name in enumerate(self._columns)}


def lookup_keys(*columns: str) -> TableValuedAlias:
    """The keys of a lookup as a table of these columns, which hold UUIDs."""
    arrays = (bindparam(name, type_=ARRAY(Uuid)) for name in columns)
    table = func.unnest(*arrays).table_valued(*(column(name, Uuid) for name in columns), with_ordinality=_NUMBER)
    return table.render_derived(name="wanted")


@lru_cache(maxsize=512)
def renumbered(text: str, first: int) -> str:
    """The same text with its parameters counted from `first` + 1, to stand beside others in one statement."""
    return _PARAMETER.sub(lambda match: f"${int(match[1]) + first}", text)


@lru_cache(maxsize=512)
def parameter_count(text: str) -> int:
    """How many parameters a text has."""
    return max((int(match) for match in _PARAMETER.findall(text)), default=0)
