"""What notes ask of the store, and what the store shows of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from application.quotas import Use
from domain.ids import AccountId
from tests.architecture.notes.domain import Note, NoteId

COUNTED_MAX = 1_000


class NoteView(Struct, frozen=True):
    """A note as those who take part in it see it."""

    id: UUID
    text: str
    participants: Sequence[UUID]
    due_at: datetime | None
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int


def uses_of(note: Note) -> Mapping[Use, int]:
    """The quota that a note uses: until it is burnt, it is one of the `notes` of the account that opened it."""
    return {} if note.burnt_at else {Use(note.created_by, note.created_by, "notes"): 1}


class NoteRepository(Protocol):
    """Notes inside a unit of work. What is burnt is absent, and what is saved is due when it says.

    A unit that would leave an account more notes than the quota allows is QuotaExceeded on leaving, even if several
    units add to them at the same time.
    """

    async def get(self, id: NoteId, by: AccountId) -> Note:
        """The note, or NotFound if it is absent or `by` does not take part in it."""
        ...

    async def find(self, id: NoteId) -> Note:
        """The note, or NotFound if it is absent, for those who act for nobody."""
        ...

    def add(self, note: Note) -> None: ...

    def save(self, note: Note) -> None:
        """Keep a changed note; `Stale` on leaving if somebody else saved it since, as who lets `by` go does."""
        ...


class NoteWork(Protocol):
    """The slice of a unit of work that notes see."""

    @property
    def notes(self) -> NoteRepository: ...


class NoteQueries(Protocol):
    """Notes as they are committed. What is burnt is absent."""

    async def view(self, id: NoteId, by: AccountId) -> NoteView:
        """The note, or NotFound if it is absent or `by` does not take part in it."""
        ...

    async def participating(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        """Those of these pairs of a note and an account in which the account takes part in the note."""
        ...

    async def texts(self, ids: Collection[UUID]) -> Mapping[UUID, tuple[int, str]]:
        """The version and the text of each of these notes that is there."""
        ...

    async def count(self) -> int:
        """How many notes there are, counted up to 1,000."""
        ...


class NoteUpkeep(Protocol):
    """What is done to notes beside the use cases."""

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop at most `most` notes that were burnt longer ago than they are kept, and return how many it were."""
        ...
