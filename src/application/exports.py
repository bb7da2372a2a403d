"""The export of an account: everything that there is of its owner, in one file that only the owner can fetch."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec

from application.accounts import ACCOUNT_LEAVE
from application.erasure import DELETED, MOST
from application.limits import Limits
from application.paging import Page
from application.ports.consumers import Consumer
from application.ports.events import EventView
from application.ports.exports import Exported, ExportPiece, ExportStore, ExportView, ExportWork
from application.ports.limits import Policy
from application.ports.notices import Notice, Told
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import UnitOfWork
from application.principal import Principal
from domain.errors import NotFound, Unavailable
from domain.exports import EXPORT_MAX_BYTES, Export, ExportState
from domain.ids import AccountId, ExportId

EXPORT_PER_ACCOUNT = Policy("export", 5, 24 * 60 * 60_000)

_encode = msgspec.json.Encoder().encode


class Exports:
    """The use cases of exports of one's own account."""

    def __init__(
        self, work: UnitOfWork[ExportWork], store: ExportStore, limits: Limits, clock: Clock, ids: Ids
    ) -> None:
        self._work = work
        self._store = store
        self._limits = limits
        self._clock = clock
        self._ids = ids

    async def request(self, actor: Principal) -> ExportView:
        """Begin an export. ExportRunning if one is being made already."""
        actor.require(ACCOUNT_LEAVE)
        actor.require_anywhere()
        await self._limits.require(EXPORT_PER_ACCOUNT, str(actor.account_id))
        async with self._work() as work:
            export = Export.request(ExportId(self._ids.new()), actor.account_id, self._clock.now())
            work.exports.add(export)
        return msgspec.convert(export, ExportView, from_attributes=True)

    async def page(self, actor: Principal) -> Page[ExportView]:
        """The exports that are being made or can be fetched, the newest first, on one page."""
        actor.require(ACCOUNT_LEAVE)
        actor.require_anywhere()
        return Page(await self._store.newest(actor.account_id, self._clock.now()), None)

    async def fetch(self, actor: Principal, id: ExportId) -> AsyncIterator[bytes]:
        """A zip archive that is ready. NotFound if it is somebody else's, not ready, or gone."""
        actor.require(ACCOUNT_LEAVE)
        actor.require_anywhere()
        for export in await self._store.newest(actor.account_id, self._clock.now()):
            if export.id == id and export.state is ExportState.READY:
                return self._archive(id, export.size)
        raise NotFound

    async def forget(self, most: int) -> int:
        """Drop at most `most` exports, or pieces of them, that have expired."""
        return await self._store.forget(self._clock.now(), most)

    async def _archive(self, id: ExportId, size: int) -> AsyncIterator[bytes]:
        """The archive, packed while it is sent, so that nobody ever holds more than one of its files."""
        sink, number, read = _Sink(), 0, 0
        with ZipFile(sink, "w", ZIP_DEFLATED) as archive:
            while read < size:
                number += 1
                found = await self._store.file(id, number)
                if found is None:
                    raise Unavailable("The file was dropped meanwhile.")
                name, content = found
                read += len(content)
                await asyncio.to_thread(archive.writestr, name, content)
                yield sink.taken()
        yield sink.taken()


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def taken(self) -> bytes:
        written, self._written = self._written, bytearray()
        return bytes(written)


async def _tells(_: object, event: EventView, after: AccountId | None, most: int) -> Told | None:
    owner = AccountId(UUID(event.stream.rpartition(":")[2]))
    return Told("export", event.resource.id, "Your export", [owner], details=event.data)


NOTICES = (
    Notice("export.ready", frozenset({"export.ready"}), "Your export can be fetched.", _tells, by_mail=True),
    Notice("export.failed", frozenset({"export.failed"}), "There is too much for an export.", _tells, by_mail=True),
)


def making(rows: Callable[[], Sequence[Exported]], store: ExportStore) -> Consumer[ExportWork]:
    """Makes each export that is requested, page by page.

    Each page is kept with the place at which to go on. So a process that is killed has lost one page, and no process
    holds more than that. `rows` is asked late: what makes pages may need units of work, and a unit of work knows all
    consumers.
    """

    async def make(work: ExportWork, event: EventView, now: datetime) -> bool:
        id = ExportId(event.resource.id)
        last = await store.last_piece(id) or ExportPiece(number=0, end=0, row=0, cursor=None)
        is_whole = last.row == len(rows())
        # The unit of work comes last, because a unit that has read holds a connection, and pages take another one.
        following = None if is_whole else await _next(rows()[last.row], AccountId(event.actor), last)  # type: ignore[arg-type]
        export = await work.exports.get(id)
        if export is None or export.state is not ExportState.MAKING:
            return True
        if following is None:
            export.finish(last.end, now)
        elif following[0].end > EXPORT_MAX_BYTES:
            export.fail(now)
        else:
            work.exports.add_piece(id, *following)
            return False
        work.exports.save(export)
        return True

    return Consumer("exports_make", frozenset({"export.requested"}), make)


def erasing(store: ExportStore) -> Consumer[ExportWork]:
    """Drops the exports of a deleted account."""

    async def erase(work: ExportWork, event: EventView, now: datetime) -> bool:
        return await store.erase(AccountId(event.resource.id), MOST) == 0

    return Consumer("exports_erase", DELETED, erase)


async def _next(row: Exported, account: AccountId, last: ExportPiece) -> tuple[ExportPiece, str, bytes]:
    """The piece behind the last one, the name of its file, and its content."""
    page = await row.page(account, last.cursor)
    number = last.number + 1
    content = _encode(list(page.data))
    goes_on = page.next_cursor is not None
    piece = ExportPiece(number, last.end + len(content), last.row + (not goes_on), page.next_cursor)
    return piece, f"{row.name}/{number:05}.json", content
