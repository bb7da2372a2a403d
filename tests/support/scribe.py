"""A consumer for tests, whose work can be read in what it leaves behind."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from application.ports.consumers import Consumer, ConsumerWork
from application.ports.events import EventView
from application.ports.tasks import TaskWork
from application.ports.unit_of_work import retried
from domain.ids import AccountId, TaskId
from domain.tasks import Task
from tests.support.builders import Store

PIECES = 2


class ScribeWork(TaskWork, ConsumerWork, Protocol):
    """What a scribe needs of a unit of work."""


async def write_down(work: ScribeWork, event: EventView, now: datetime) -> bool:
    """Add the offset of the event to a list that its task keeps, in two pieces."""
    by = actor_of(event)
    task, _ = await work.tasks.get(TaskId(event.resource.id), by)
    written = written_in(task.custom)
    if written.count(event.offset) < PIECES:
        written.append(event.offset)
        task.edit(by, now, custom={"written": written})
        work.tasks.save(task)
    return written.count(event.offset) == PIECES


def actor_of(event: EventView) -> AccountId:
    assert event.actor
    return AccountId(event.actor)


def written_in(custom: Mapping[str, Any]) -> list[int]:
    """The offsets that the scribe wrote down, in that order."""
    return list(custom.get("written", []))


def twice(offsets: Sequence[int]) -> list[int]:
    """What the scribe should have written down of these events."""
    return [offset for offset in offsets for _ in range(PIECES)]


SCRIBE = Consumer("scribe", frozenset({"task.watched", "task.unwatched"}), write_down)


@retried
async def toggle(store: Store, task: Task) -> None:
    """Something that the scribe wants to hear of."""
    async with store.work() as work:
        found, _ = await work.tasks.get(task.id, task.created_by)
        by, now = task.created_by, store.clock.now()
        if by in found.watchers:
            found.unwatch(by, by, now)
        else:
            found.watch(by, now)
        work.tasks.save(found)
