"""Exports in PostgreSQL, which is what all instances share. A file is kept in pieces of about a megabyte at most."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, exists, insert, literal_column, select, update

from adapters.postgres.database import Database
from adapters.postgres.failures import REFUSALS
from adapters.postgres.statement import Part, Statement, bound, dropping
from adapters.postgres.tables import export_pieces, exports
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.exports import ExportPiece, ExportRepository, ExportStore, ExportView
from domain.errors import NotFound
from domain.exports import Export, ExportRunning, ExportState
from domain.ids import AccountId, ExportId

PIECES_AT_ONCE = 50

REFUSALS["uq_exports_account_id"] = lambda: ExportRunning("An export is being made: wait for it.")
REFUSALS["fk_export_pieces_export_id"] = NotFound
_EXPORT = tuple(f.name for f in fields(Export) if f.init and f.name != "version")
_GET = Statement(
    select(*(exports.c[name] for name in _EXPORT), exports.c.version).where(exports.c.id == bindparam("id"))
)
_INSERT = Statement(insert(exports).values(bound(*_EXPORT, "version")))
_UPDATE = Statement(
    update(exports)
    .where(exports.c.id == bindparam("key"), exports.c.version == bindparam("loaded"))
    .values(bound("state", "size", "expires_at", "ready_at", "version"))
)
_INSERT_PIECE = Statement(
    insert(export_pieces).values(bound("export_id", "number", "end", "row", "cursor", "name", "content"))
)
_NEWEST = Statement(
    select(*(exports.c[name] for name in ExportView.__struct_fields__))
    .where(exports.c.account_id == bindparam("account"), exports.c.expires_at > bindparam("now"))
    .order_by(exports.c.id.desc())
)
_THIS = export_pieces.c.export_id == bindparam("export")
_LAST = Statement(
    select(*(export_pieces.c[name] for name in ExportPiece.__struct_fields__))
    .where(_THIS)
    .order_by(export_pieces.c.number.desc())
    .limit(literal_column("1"))
)
_FILE = Statement(
    select(export_pieces.c.name, export_pieces.c.content).where(_THIS, export_pieces.c.number == bindparam("number"))
)


def _dropping(condition: Any) -> Sequence[Statement]:
    """Drops pieces of the exports that meet the condition, and then those that have none any more."""
    return [
        dropping(export_pieces, export_pieces.c.export_id == exports.c.id, condition),
        dropping(exports, condition, ~exists().where(export_pieces.c.export_id == exports.c.id)),
    ]


_FORGET = _dropping(exports.c.expires_at < bindparam("now"))
_ERASE = _dropping(exports.c.account_id == bindparam("account"))


class PostgresExports(ExportRepository):
    """Exports inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, id: ExportId) -> Export | None:
        row = await self._unit.fetchrow(_GET, id=id)
        if row is None:
            return None
        *values, version = row
        values[_EXPORT.index("state")] = ExportState(values[_EXPORT.index("state")])
        return Export(*values, version=version)

    def add(self, export: Export) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            yield _INSERT.part(_values(export))

        self._unit.saving(export, writes)

    def save(self, export: Export) -> None:
        def writes(loaded: int) -> Iterable[Part]:
            yield _UPDATE.part(_values(export) | {"key": export.id, "loaded": loaded})

        self._unit.saving(export, writes)

    def add_piece(self, id: ExportId, piece: ExportPiece, name: str, content: bytes) -> None:
        values = msgspec.structs.asdict(piece)
        self._unit.note_quietly(_INSERT_PIECE, **values, export_id=id, name=name, content=content)


class PostgresExportStore(ExportStore):
    """Exports outside of a unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, account: AccountId, now: datetime) -> Sequence[ExportView]:
        rows = await self._database.fetch(_NEWEST, account=account, now=now)
        return [msgspec.convert(dict(row), ExportView) for row in rows]

    async def last_piece(self, id: ExportId) -> ExportPiece | None:
        row = await self._database.fetchrow(_LAST, export=id)
        return None if row is None else ExportPiece(*row)

    async def file(self, id: ExportId, number: int) -> tuple[str, bytes] | None:
        row = await self._database.fetchrow(_FILE, export=id, number=number)
        return None if row is None else (row[0], row[1])

    async def forget(self, now: datetime, most: int) -> int:
        return await self._drop(_FORGET, {"now": now}, most)

    async def erase(self, account: AccountId, most: int) -> int:
        return await self._drop(_ERASE, {"account": account}, most)

    async def _drop(self, statements: Sequence[Statement], values: dict[str, Any], most: int) -> int:
        dropped = 0
        for statement in statements:
            dropped += len(await self._database.fetch(statement, **values, most=min(PIECES_AT_ONCE, most)))
        return dropped


def _values(export: Export) -> dict[str, Any]:
    return {name: getattr(export, name) for name in _EXPORT} | {"version": export.version}
