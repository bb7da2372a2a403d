"""Hands notes in: a row for each list of the container, and nothing else."""

from operator import attrgetter

from dependency_injector.providers import Provider, Singleton

from adapters.memory import MemoryDeadlines
from adapters.postgres import PostgresDeadlines
from application.ports import Deadlines, Due
from application.ports.observer import Gauge
from application.ports.presence import Attended
from application.quotas import Quota
from application.retention import Aging
from entrypoints.container import Container
from entrypoints.container.made import watched
from tests.architecture.notes.domain import NOTE, Note
from tests.architecture.notes.feeds import NoteFeeds
from tests.architecture.notes.http import note_routes
from tests.architecture.notes.measures import BURNT, LATE, OPENED_PER_ACCOUNT, WAVES_PER_ACCOUNT
from tests.architecture.notes.memory import NOTES, MemoryNoteQueries, MemoryNotes, MemoryNoteUpkeep
from tests.architecture.notes.ports import NoteQueries, NoteUpkeep
from tests.architecture.notes.postgres import PostgresNoteQueries, PostgresNotes, PostgresNoteUpkeep, notes
from tests.architecture.notes.reactions import counting
from tests.architecture.notes.scopes import NOTES_READ, NOTES_WRITE
from tests.architecture.notes.use_cases import Notes
from tests.architecture.notes.websocket import note_methods

BURNT_KEPT_DAYS = 30
NOTES_MAX = 100


def on_postgres(house: Container) -> Container:
    """The assembly with notes, on PostgreSQL."""
    house.repositories.add_kwargs(notes=PostgresNotes)
    house.figures.add_kwargs(notes=notes)
    database = house.database
    return _with_notes(
        house,
        Singleton(PostgresNoteQueries, database),
        Singleton(PostgresNoteUpkeep, database),
        Singleton(PostgresDeadlines, database, notes),
    )


def in_memory(house: Container) -> Container:
    """The assembly in memory with notes."""
    house.repositories.add_kwargs(notes=MemoryNotes)
    house.figures.add_kwargs(notes=NOTES)
    database = house.database
    return _with_notes(
        house,
        Singleton(MemoryNoteQueries, database),
        Singleton(MemoryNoteUpkeep, database),
        Singleton(MemoryDeadlines, database, NOTES, attrgetter("due_at")),
    )


def _with_notes(
    house: Container, queries: Provider[NoteQueries], upkeep: Provider[NoteUpkeep], deadlines: Provider[Deadlines]
) -> Container:
    parts = (house.work, queries, house.limits, house.observer, house.clock, house.ids, house.broker)
    use_cases = watched(house.observer, Notes, *parts, house.presence, house.newest)
    feeds = Singleton(NoteFeeds, queries, house.newest, house.limits)
    house.set_providers(notes=use_cases, note_queries=queries, note_upkeep=upkeep)
    house.aggregates.add_args(Note)
    house.scopes.add_args(NOTES_READ, NOTES_WRITE)
    house.quotas.add_args(Singleton(Quota, "notes", "account", NOTES_MAX))
    house.policies.add_args(OPENED_PER_ACCOUNT, WAVES_PER_ACCOUNT)
    house.happenings.add_args(BURNT)
    house.measures.add_args(LATE)
    house.gauges.add_args(
        Singleton(Gauge, "notes_open", "Notes that are not burnt, up to 1,000.", queries.provided.count)
    )
    house.feeds.add_args(feeds)
    house.attendances.add_args(Singleton(Attended, NOTE, use_cases.provided.attended))
    house.consumers.add_args(Singleton(counting, feeds, house.broker))
    house.due.add_args(Singleton(Due, "notes", deadlines, use_cases.provided.elapse))
    house.calls.add_args(Singleton(note_methods, use_cases))
    house.routes.add_args(Singleton(note_routes, use_cases, house.events))
    house.retention.add_args(Singleton(Aging, "notes", BURNT_KEPT_DAYS, upkeep.provided.forget, house.clock))
    return house
