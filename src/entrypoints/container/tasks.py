"""What tasks bring to the assembly: their comments, numbers and words with them."""

from operator import attrgetter

from dependency_injector.providers import Provider, Singleton

from adapters.cached.tasks import CachedTaskQueries
from adapters.memory import MemoryDeadlines
from adapters.memory.tasks import (
    COMMENTS,
    TASKS,
    MemoryTaskNumbers,
    MemoryTaskQueries,
    MemoryTasks,
    MemoryTaskUpkeep,
    MemoryTaskWords,
)
from adapters.postgres import PostgresDeadlines, tables
from adapters.postgres.task_numbers import PostgresTaskNumbers
from adapters.postgres.task_words import PostgresTaskWords
from adapters.postgres.tasks import PostgresTaskQueries, PostgresTasks, PostgresTaskUpkeep
from application.ports import AccessQueries, Cache, Deadlines, Due, TaskNumbers, TaskQueries, TaskUpkeep, TaskWords
from application.quotas import Quota
from application.reactions import DEPARTED
from application.tasks import (
    NOTICES,
    TASKS_READ,
    TASKS_WRITE,
    Reminders,
    TaskFeeds,
    Tasks,
    WordsAnew,
    erasing,
    exported_comments,
    exported_tasks,
)
from domain.tasks import Reminder, Task
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.tasks import task_routes
from entrypoints.lifetimes import Loop
from entrypoints.settings import Settings
from entrypoints.websocket.tasks import task_methods


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(tasks=PostgresTasks)
    house.figures.add_kwargs(tasks=tables.tasks, comments=tables.comments)
    return _with_tasks(
        house,
        Singleton(PostgresTaskQueries, house.database, house.long_reads),
        Singleton(PostgresTaskNumbers, house.numbers_database),
        Singleton(PostgresTaskWords, house.database),
        Singleton(PostgresDeadlines, house.database, tables.tasks, "remind_at"),
        Singleton(PostgresTaskUpkeep, house.database),
    )


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(tasks=MemoryTasks)
    house.figures.add_kwargs(tasks=TASKS, comments=COMMENTS)
    database = house.database
    return _with_tasks(
        house,
        Singleton(MemoryTaskQueries, database),
        Singleton(MemoryTaskNumbers, database),
        Singleton(MemoryTaskWords),
        Singleton(MemoryDeadlines, database, TASKS, attrgetter("remind_at")),
        Singleton(MemoryTaskUpkeep, database),
    )


def _with_tasks(
    house: Container,
    stored: Provider[TaskQueries],
    numbers: Provider[TaskNumbers],
    words: Provider[TaskWords],
    deadlines: Provider[Deadlines],
    upkeep: Provider[TaskUpkeep],
) -> Container:
    given = house.settings.provided
    queries: Provider[TaskQueries] = Singleton(_kept, house.settings, stored, house.access_queries, house.cache)
    tasks = watched(house.observer, Tasks, house.work, queries, numbers, house.clock, house.ids)
    words_anew = Singleton(WordsAnew, words)
    house.set_providers(tasks=tasks, task_queries=queries, task_numbers=numbers, task_words=words)
    house.set_providers(stored_task_queries=stored, words_anew=words_anew, task_upkeep=upkeep)
    house.aggregates.add_args(Task, Reminder)
    house.scopes.add_args(TASKS_READ, TASKS_WRITE)
    house.feeds.add_args(Singleton(TaskFeeds, house.access_queries))
    house.exported.add_args(
        Singleton(exported_tasks, stored, False),
        Singleton(exported_tasks, stored, True),
        Singleton(exported_comments, stored),
    )
    house.consumers.add_args(DEPARTED, Singleton(erasing, upkeep))
    house.notices.add_args(*NOTICES)
    house.due.add_args(Singleton(Due, "task_reminders", deadlines, Singleton(Reminders, house.work).provided.elapse))
    house.quotas.add_args(
        Singleton(Quota, "tasks", "workspace", given.quota_tasks),
        Singleton(Quota, "open_tasks", "workspace", given.quota_open_tasks),
        Singleton(Quota, "comments", "workspace", given.quota_comments),
    )
    house.calls.add_args(Singleton(task_methods, tasks))
    house.routes.add_args(Singleton(task_routes, tasks, house.events))
    house.loops.add_args(Singleton(Loop, "words", "working", words_anew.provided.run))
    return house


def _kept(settings: Settings, stored: TaskQueries, access: AccessQueries, cache: Cache) -> TaskQueries:
    """Task queries, behind a cache if CACHE_MAX_BYTES is not 0."""
    return CachedTaskQueries(stored, access, cache) if settings.cache_max_bytes else stored
