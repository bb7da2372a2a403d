"""The commands of notes over a live connection."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from entrypoints.websocket.calls import Method
from tests.architecture.notes.domain import NoteId, place
from tests.architecture.notes.ports import NoteView
from tests.architecture.notes.use_cases import Cursor, Notes, NoteText, Wave


class WriteParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which note, what it shall say, and the version that is expected, if any."""

    id: UUID
    note: NoteText
    version: int | None = None


class WaveParams(Struct, frozen=True, forbid_unknown_fields=True):
    """At which note, and with how many hands."""

    id: UUID
    wave: Wave


class PointParams(Struct, frozen=True, forbid_unknown_fields=True):
    """In which note, and where."""

    id: UUID
    cursor: Cursor


def note_methods(notes: Notes) -> Sequence[Method]:
    """What can be done with notes without a request of one's own."""
    return (
        Method("note.write", WriteParams, lambda a, p: notes.write(a, NoteId(p.id), p.note, p.version), NoteView),
        Method(
            "note.wave",
            WaveParams,
            lambda a, p: notes.wave(a, NoteId(p.id), p.wave),
            about=lambda p: place(p.id),
            cost=0.1,
        ),
        Method(
            "note.point",
            PointParams,
            lambda a, p: notes.point(a, NoteId(p.id), p.cursor),
            about=lambda p: place(p.id),
            cost=0.1,
        ),
    )
