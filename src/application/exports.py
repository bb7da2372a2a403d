"""The export of an account: everything that there is of its owner, in one file that only the owner can fetch."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from application.accounts import ACCOUNT_LEAVE
from application.archive import FILES_MAX, directory, packed
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

    async def fetch(self, actor: Principal, id: ExportId) -> tuple[int, AsyncIterator[bytes]]:
        """The size and the bytes of a file that is ready. NotFound if it is somebody else's, not ready, or gone."""
        actor.require(ACCOUNT_LEAVE)
        actor.require_anywhere()
        for export in await self._store.newest(actor.account_id, self._clock.now()):
            if export.id == id and export.state is ExportState.READY:
                return export.size, self._pieces(id, export.size)
        raise NotFound

    async def forget(self, most: int) -> int:
        """Drop at most `most` exports, or pieces of them, that have expired."""
        return await self._store.forget(self._clock.now(), most)

    async def _pieces(self, id: ExportId, size: int) -> AsyncIterator[bytes]:
        number = sent = 0
        while sent < size:
            number += 1
            content = await self._store.content(id, number)
            if content is None:
                raise Unavailable("The file was dropped meanwhile.")
            sent += len(content)
            yield content


async def _tells(_: object, event: EventView, after: AccountId | None, most: int) -> Told | None:
    owner = AccountId(UUID(event.stream.rpartition(":")[2]))
    return Told("export", event.resource.id, "Your export", [owner], details=event.data)


NOTICES = (
    Notice("export.ready", frozenset({"export.ready"}), "Your export can be fetched.", _tells, by_mail=True),
    Notice("export.failed", frozenset({"export.failed"}), "There is too much for an export.", _tells, by_mail=True),
)


def making(rows: Callable[[], Sequence[Exported]], store: ExportStore) -> Consumer[ExportWork]:
    """Makes the file of each export that is requested, page by page.

    Each page becomes a file of the archive, and is kept with the place at which to go on. So a process that is killed
    has lost one page, and no process holds more than that. `rows` is asked late: what makes pages may need units of
    work, and a unit of work knows all consumers.
    """

    async def make(work: ExportWork, event: EventView, now: datetime) -> bool:
        id = ExportId(event.resource.id)
        last = await store.last_piece(id) or ExportPiece(number=0, end=0, row=0, cursor=None, file=None)
        # The unit of work comes last, because a unit that has read holds a connection, and pages take another one.
        is_whole = last.row == len(rows())
        if is_whole:
            content = directory(await store.files(id), last.end)
            piece = ExportPiece(last.number + 1, last.end + len(content), last.row, None, None)
        else:
            piece, content = await _next(rows()[last.row], AccountId(event.actor), last, now)  # type: ignore[arg-type]
        export = await work.exports.get(id)
        if export is None or export.state is not ExportState.MAKING:
            return True
        if piece.end > EXPORT_MAX_BYTES or piece.number > FILES_MAX:
            export.fail(now)
            work.exports.save(export)
            return True
        work.exports.add_piece(id, piece, content)
        if is_whole:
            export.finish(piece.end, now)
            work.exports.save(export)
        return is_whole

    return Consumer("exports_make", frozenset({"export.requested"}), make)


def erasing(store: ExportStore) -> Consumer[ExportWork]:
    """Drops the exports of a deleted account."""

    async def erase(work: ExportWork, event: EventView, now: datetime) -> bool:
        return await store.erase(AccountId(event.resource.id), MOST) == 0

    return Consumer("exports_erase", DELETED, erase)


async def _next(row: Exported, account: AccountId, last: ExportPiece, now: datetime) -> tuple[ExportPiece, bytes]:
    """The piece behind the last one, of the page that comes next."""
    page = await row.page(account, last.cursor)
    number = last.number + 1
    content = _encode(list(page.data))
    file, body = await asyncio.to_thread(packed, f"{row.name}/{number:05}.json", content, now, last.end)
    goes_on = page.next_cursor is not None
    return ExportPiece(number, last.end + len(body), last.row + (not goes_on), page.next_cursor, file), body
