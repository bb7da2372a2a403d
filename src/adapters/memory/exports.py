"""Exports in memory."""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.unit import MemoryUnit
from application.ports.events import Entry
from application.ports.exports import ExportPiece, ExportRepository, ExportStore, ExportView
from domain.errors import NotFound
from domain.exports import Export, ExportRunning, ExportState
from domain.ids import AccountId, ExportId

EXPORTS: Table[ExportId, Export] = Table("exports")
PIECES: Table[tuple[ExportId, int], tuple[ExportPiece, str, bytes]] = Table("export_pieces", is_quiet=True)


class MemoryExports(ExportRepository):
    """Exports inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, id: ExportId) -> Export | None:
        found = self._unit.tables[EXPORTS].get(id)
        return copied(found) if found else None

    def add(self, export: Export) -> None:
        def check(tables: Tables) -> None:
            running = (each for each in tables[EXPORTS].values() if each.state is ExportState.MAKING)
            if any(each.account_id == export.account_id for each in running):
                raise ExportRunning("An export is being made: wait for it.")

        self._unit.saving(export.id, export, EXPORTS, check)

    def save(self, export: Export) -> None:
        self._unit.saving(export.id, export, EXPORTS)

    def add_piece(self, id: ExportId, piece: ExportPiece, name: str, content: bytes) -> None:
        def check(tables: Tables) -> None:
            if id not in tables[EXPORTS]:
                raise NotFound

        self._unit.require(check)
        self._unit.note_quietly(PIECES, lambda pieces: pieces.__setitem__((id, piece.number), (piece, name, content)))


class MemoryExportStore(ExportStore):
    """Exports outside of a unit of work."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def newest(self, account: AccountId, now: datetime) -> Sequence[ExportView]:
        found = [
            each
            for each in self._database.committed[EXPORTS].values()
            if each.account_id == account and each.expires_at > now
        ]
        return [
            msgspec.convert(each, ExportView, from_attributes=True)
            for each in sorted(found, key=lambda each: each.id, reverse=True)
        ]

    async def last_piece(self, id: ExportId) -> ExportPiece | None:
        pieces = [piece for (of, _), (piece, *_) in self._database.committed[PIECES].items() if of == id]
        return max(pieces, key=lambda piece: piece.number, default=None)

    async def file(self, id: ExportId, number: int) -> tuple[str, bytes] | None:
        found = self._database.committed[PIECES].get((id, number))
        return None if found is None else found[1:]

    async def forget(self, now: datetime, most: int) -> int:
        return await self._drop(lambda export: export.expires_at < now, most)

    async def erase(self, account: AccountId, most: int) -> int:
        return await self._drop(lambda export: export.account_id == account, most)

    async def _drop(self, goes: Callable[[Export], bool], most: int) -> int:
        dropped: list[ExportId] = []

        def drop(tables: Tables) -> Sequence[Entry]:
            dropped.extend([export.id for export in tables[EXPORTS].values() if goes(export)][:most])
            for id in dropped:
                del tables[EXPORTS][id]
            for key in [key for key in tables[PIECES] if key[0] in dropped]:
                del tables[PIECES][key]
            return ()

        await self._database.apply(drop, lambda _: None)
        return len(dropped)
