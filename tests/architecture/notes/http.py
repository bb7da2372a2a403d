"""The routes of notes."""

from litestar import Router, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody

from application.events import Events
from application.paging import PAGE_DEFAULT, Page
from application.ports.events import EventFilter, EventView
from domain.ids import AccountId
from entrypoints.http.facts import Facts
from entrypoints.http.request import ApiRequest, PageCursor, PageLimit
from tests.architecture.notes.domain import NoteId, note_stream
from tests.architecture.notes.ports import NoteView
from tests.architecture.notes.scopes import NOTES_READ, NOTES_WRITE
from tests.architecture.notes.use_cases import Notes, NoteText, Reminder

_TEXT = {"text": "Bring the map."}
_DUE = {"due_at": "2030-01-31T09:00:00Z"}


def note_routes(notes: Notes, events: Events) -> Router:
    """Routes under `/notes`."""

    @post("/notes", facts=Facts(example=_TEXT))
    async def open_note(request: ApiRequest, data: JSONBody[NoteText]) -> NoteView:
        """Begin a note, of which nobody else knows yet."""
        return await notes.open(request.actor, data)

    @get("/notes/{id:uuid}")
    async def read_note(request: ApiRequest, id: FromPath[NoteId]) -> NoteView:
        """One note, if one takes part in it."""
        return await notes.read(request.actor, id)

    @patch("/notes/{id:uuid}", facts=Facts(example=_TEXT, current=NoteView))
    async def write_note(request: ApiRequest, id: FromPath[NoteId], data: JSONBody[NoteText]) -> NoteView:
        """Let a note say something else; with `If-Match`, only that version."""
        return await notes.write(request.actor, id, data, request.version)

    @delete("/notes/{id:uuid}")
    async def burn_note(request: ApiRequest, id: FromPath[NoteId]) -> None:
        """Burn a note for everybody."""
        await notes.burn(request.actor, id)

    @put("/notes/{id:uuid}/reminder", facts=Facts(example=_DUE))
    async def set_reminder(request: ApiRequest, id: FromPath[NoteId], data: JSONBody[Reminder]) -> NoteView:
        """Say when a note is due, of which all who take part are told then."""
        return await notes.remind(request.actor, id, data)

    @put("/notes/{id:uuid}/participants/{account_id:uuid}", status_code=204)
    async def invite_to_note(request: ApiRequest, id: FromPath[NoteId], account_id: FromPath[AccountId]) -> None:
        """Let somebody take part."""
        await notes.invite(request.actor, id, account_id)

    @delete("/notes/{id:uuid}/participants/{account_id:uuid}")
    async def leave_note(request: ApiRequest, id: FromPath[NoteId], account_id: FromPath[AccountId]) -> None:
        """Take part no longer, or end the part of somebody else."""
        await notes.leave(request.actor, id, account_id)

    @get("/notes/{id:uuid}/history")
    async def note_history(
        request: ApiRequest, id: FromPath[NoteId], cursor: PageCursor = None, limit: PageLimit = PAGE_DEFAULT
    ) -> Page[EventView]:
        """Everything that happened to a note, newest first."""
        return await events.page(request.actor, note_stream(id), EventFilter(), True, cursor, limit)

    return Router(
        "/",
        route_handlers=[
            open_note,
            read_note,
            write_note,
            burn_note,
            set_reminder,
            invite_to_note,
            leave_note,
            note_history,
        ],
        tags=["notes"],
        opt={"about": "Text that several people write together.", "scopes": (NOTES_READ, NOTES_WRITE)},
    )
