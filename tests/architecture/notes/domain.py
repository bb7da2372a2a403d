"""Notes: text that its participants write together, until one of them burns it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, NewType
from uuid import UUID

from domain.channels import About, Channel, ChannelClass, ChannelKind, Loss, by_id
from domain.errors import Conflict, Invalid, NotFound
from domain.ids import AccountId
from domain.kernel import Aggregate, Changes, EventType, declared
from domain.text import clean

NoteId = NewType("NoteId", UUID)
TEXT_MAX = 2_000
MISSED_AFTER = timedelta(seconds=30)
PARTICIPANTS_MAX = 50

NOTE = ChannelKind("note", ChannelClass.DURABLE, by_id, is_place=True)
PULSE = ChannelKind("pulse", ChannelClass.KEYED, About(NOTE))
CURSORS = ChannelKind("cursors", ChannelClass.KEYED, About(NOTE))
WAVES = ChannelKind("waves", ChannelClass.EPHEMERAL, About(NOTE))
LOSSES = (Loss("writer.left", "writer"), Loss("note.burnt"))
_WHO = {"writer": "The account."}


def place(id: UUID) -> Channel:
    return Channel(NOTE, id)


def note_stream(id: UUID) -> str:
    return f"note:{id}"


class NoteFull(Conflict):
    """As many take part as can."""

    code = "note_full"


@dataclass(slots=True)
class Note(Aggregate):
    """A text, and the accounts that take part in it. Each of them may do everything; to others it does not exist."""

    resource_type: ClassVar[str] = "note"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType("note.opened", "note", "Somebody began a note.", {"text": "What it says."}),
        EventType("note.written", "note", "It says something else.", changes=("text",)),
        EventType("note.reminder_set", "note", "It will be due at another time, or never.", changes=("due_at",)),
        EventType("note.fell_due", "note", "Its time has come.", {"due_at": "When that was."}),
        EventType("writer.joined", "note", "Somebody takes part.", _WHO),
        EventType("writer.left", "note", "Somebody takes part no longer.", _WHO),
        EventType("note.burnt", "note", "It is gone, and nobody takes part any more."),
    )

    id: NoteId
    text: str
    participants: tuple[AccountId, ...]
    created_by: AccountId
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None = None
    burnt_at: datetime | None = None

    @classmethod
    def open(cls, id: NoteId, text: str, by: AccountId, at: datetime) -> "Note":
        note = cls(id, _text(text), (by,), by, at, at)
        note._tell("note.opened", by, at, data={"text": note.text})
        return note

    def write(self, text: str, by: AccountId, at: datetime) -> None:
        old, self.text = self.text, _text(text)
        if self.text != old:
            self._tell("note.written", by, at, {"text": (old, self.text)})

    def invite(self, account: AccountId, by: AccountId, at: datetime) -> None:
        if account in self.participants:
            return
        if len(self.participants) >= PARTICIPANTS_MAX:
            raise NoteFull(f"At most {PARTICIPANTS_MAX} take part in a note.")
        self.participants = (*self.participants, account)
        self._tell("writer.joined", by, at, data={"writer": account})

    def leave(self, account: AccountId, by: AccountId, at: datetime) -> None:
        """End somebody's part in it, or one's own; the last one burns it instead."""
        if account not in self.participants:
            raise NotFound
        if len(self.participants) == 1:
            raise Conflict("You are the last one here: burn the note.")
        self.participants = tuple(each for each in self.participants if each != account)
        self._tell("writer.left", by, at, data={"writer": account})

    def remind(self, due_at: datetime | None, by: AccountId, at: datetime) -> None:
        if due_at is not None and due_at <= at:
            raise Invalid("A reminder is for a time to come.", pointer="/due_at")
        old, self.due_at = self.due_at, due_at
        if self.due_at != old:
            self._tell("note.reminder_set", by, at, {"due_at": (old, due_at)})

    def missed(self, account: AccountId, at: datetime) -> None:
        """It will be due soon, because somebody who takes part has gone, unless it will be due anyway."""
        if account in self.participants and self.due_at is None:
            self.remind(at + MISSED_AFTER, account, at)

    def found(self, account: AccountId, at: datetime) -> None:
        """Somebody who takes part is there, so nobody needs to be reminded."""
        if account in self.participants:
            self.remind(None, account, at)

    def elapse(self, now: datetime) -> None:
        """Tell that its time has come, if it has; once, however often it is asked."""
        if self.due_at is not None and self.due_at <= now:
            due_at, self.due_at = self.due_at, None
            self._tell("note.fell_due", None, now, data={"due_at": due_at})

    def burn(self, by: AccountId, at: datetime) -> None:
        self.text, self.participants, self.due_at, self.burnt_at = "", (), None, at
        self._tell("note.burnt", by, at)

    def _tell(
        self,
        type: str,
        by: AccountId | None,
        at: datetime,
        changes: Changes | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        self.updated_at = at
        self._announce(type, note_stream(self.id), self.id, at, by, changes, data)


def _text(text: str) -> str:
    return clean(text, pointer="/text", longest=TEXT_MAX, shortest=1)
