"""The ports of exports: what each context has of a person, and where the file that is made of it is kept."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from application.paging import Page
from domain.exports import Export, ExportState
from domain.ids import AccountId, ExportId


@dataclass(frozen=True, slots=True)
class Exported:
    """A row: something that a context has of a person, called `name` in the file.

    `page(account, cursor)` is the next page of it, as the person may see it now. It is asked again for the same page if
    the process was killed.
    """

    name: str
    page: Callable[[AccountId, str | None], Awaitable[Page[Any]]]


class ExportView(Struct, frozen=True):
    """An export. Its file can be fetched while the state is `ready`, and is gone at `expires_at`.

    `size` is in bytes, unpacked.
    """

    id: UUID
    state: ExportState
    size: int
    created_at: datetime
    ready_at: datetime | None
    expires_at: datetime


class ExportPiece(Struct, frozen=True):
    """A piece of an export, which becomes one file of the archive. Pieces are numbered from 1.

    `end` is the number of bytes up to its end. After it comes page `cursor` of the row with this index.
    """

    number: int
    end: int
    row: int
    cursor: str | None


class ExportRepository(Protocol):
    """Exports inside a unit of work."""

    async def get(self, id: ExportId) -> Export | None:
        """The export; None if it is absent, or was dropped."""
        ...

    def add(self, export: Export) -> None:
        """Store a new export; `ExportRunning` on leaving if another one of its account is being made."""
        ...

    def save(self, export: Export) -> None: ...

    def add_piece(self, id: ExportId, piece: ExportPiece, name: str, content: bytes) -> None:
        """Store the next piece, a file of this name. NotFound on leaving if the export was dropped meanwhile."""
        ...


class ExportWork(Protocol):
    """The slice of a unit of work that the exports context sees."""

    @property
    def exports(self) -> ExportRepository: ...


class ExportStore(Protocol):
    """Exports outside of a unit of work."""

    async def newest(self, account: AccountId, now: datetime) -> Sequence[ExportView]:
        """The account's exports that have not expired, the newest first."""
        ...

    async def last_piece(self, id: ExportId) -> ExportPiece | None:
        """The last piece that is there; None before the first."""
        ...

    async def file(self, id: ExportId, number: int) -> tuple[str, bytes] | None:
        """The name and the content of a piece; None if there is none of that number."""
        ...

    async def forget(self, now: datetime, most: int) -> int:
        """Drop at most `most` exports, or pieces of them, that have expired. Returns how many.

        Any number of processes may do this at the same time.
        """
        ...

    async def erase(self, account: AccountId, most: int) -> int:
        """Drop at most `most` exports of this account, or pieces of them. Returns how many."""
        ...
