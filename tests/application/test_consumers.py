"""What follows from events happens once each and in order, whatever is interrupted, lost or broken on the way."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from dependency_injector import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.events import MemoryBroker
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from application.consumers import LEASE, RETRY_FIRST, RETRY_LONGEST, Consumers
from application.journal import event_view
from application.ports.consumers import Consumer, ConsumerWork
from application.ports.events import Entry, EventView, Signal
from application.ports.tasks import TaskWork
from application.ports.unit_of_work import retried
from application.principal import Correlation, correlation
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Task
from entrypoints.container import in_memory
from tests.contracts.house import eventually
from tests.support.builders import a_task, an_account

PIECES = 2
WORKERS = 3


class Work(TaskWork, ConsumerWork, Protocol):
    """What a scribe needs of a unit of work."""


async def write_down(work: Work, event: EventView, now: datetime) -> bool:
    """Add the offset of the event to a list that the task keeps, in two pieces."""
    task, _ = await work.tasks.get(TaskId(event.resource.id), _actor(event))
    custom: Mapping[str, Any] = task.custom
    seen = list(custom.get("seen", []))
    if seen.count(event.offset) < PIECES:
        seen.append(event.offset)
        task.edit(_actor(event), now, custom={"seen": seen})
        work.tasks.save(task)
    return seen.count(event.offset) == PIECES


def _actor(event: EventView) -> AccountId:
    assert event.actor
    return AccountId(event.actor)


SCRIBE = Consumer("scribe", frozenset({"task.watched", "task.unwatched"}), write_down)


class LossyBroker(MemoryBroker):
    """Publishes nothing."""

    def publish(self, items: Sequence[Entry | Signal]) -> None: ...


@dataclass
class Desk:
    """An assembly with one consumer of its own, and tasks of people who know nothing of each other."""

    consumer: Consumer[Any] = SCRIBE
    broker: MemoryBroker = field(default_factory=MemoryBroker)

    def __post_init__(self) -> None:
        self.house = in_memory(
            consumers=providers.Object((self.consumer,)),
            broker=providers.Object(self.broker),
        )
        clock, observer = self.house.clock(), self.house.observer()
        assert isinstance(clock, MovableClock)
        assert isinstance(observer, MemoryObserver)
        self.clock, self.observer = clock, observer
        self.work, self.ids, self.cursors = self.house.work(), self.house.ids(), self.house.cursors()

    def worker(self) -> Consumers[Any]:
        """One more worker on the same store, as another process would be."""
        return Consumers((self.consumer,), self.work, self.cursors, self.broker, self.clock, self.observer)

    async def task(self) -> Task:
        ada = await an_account(self)
        return await a_task(self, WorkspaceId(ada.id), ada.id)

    @retried
    async def toggle(self, task: Task) -> None:
        """Something that the scribe wants to hear of."""
        async with self.work() as work:
            found, _ = await work.tasks.get(task.id, task.created_by)
            is_watched = task.created_by in found.watchers
            (found.unwatch if is_watched else found.watch)(task.created_by, self.clock.now())
            work.tasks.save(found)

    async def wanted(self, task: Task) -> list[int]:
        entries = await self.house.journal().read(f"workspace:{task.workspace_id}", 0, 10_000)
        assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
        return [entry.offset for entry in entries if entry.type in SCRIBE.wants]

    async def seen(self, task: Task) -> list[int]:
        custom: Mapping[str, Any] = (await self.house.task_queries().view(task.id, task.created_by)).custom
        return list(custom.get("seen", []))

    async def finish(self) -> None:
        """Let what a killed worker held come free, and do everything."""
        worker = self.worker()
        self.clock.advance(LEASE)
        while await worker.turn() or await self.cursors.backlog():
            self.clock.advance(RETRY_LONGEST)


def twice(offsets: Sequence[int]) -> list[int]:
    return [offset for offset in offsets for _ in range(PIECES)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 1)),
        st.tuples(st.just("begin"), st.integers(0, WORKERS - 1)),
        st.tuples(st.just("let"), st.integers(1, 12)),
        st.tuples(st.just("kill"), st.integers(0, WORKERS - 1)),
        st.tuples(st.just("pass"), st.integers(1, 6)),
    ),
    max_size=40,
)


@settings(max_examples=100)
@given(steps=STEPS)
def test_every_event_has_its_effect_once_and_in_order_though_workers_are_killed_at_any_await(
    steps: list[tuple[str, int]],
) -> None:
    async def story() -> None:
        desk = Desk()
        tasks = [await desk.task(), await desk.task()]
        workers = [desk.worker() for _ in range(WORKERS)]
        turns: dict[int, asyncio.Task[int]] = {}
        for step, value in steps:
            match step:
                case "write":
                    await desk.toggle(tasks[value])
                case "begin" if value not in turns or turns[value].done():
                    turns[value] = asyncio.create_task(workers[value].turn())
                case "let":
                    for _ in range(value):
                        await asyncio.sleep(0)
                case "kill" if value in turns:
                    turns[value].cancel()
                case "pass":
                    desk.clock.advance(timedelta(seconds=value))
        for turn in turns.values():
            turn.cancel()
        await asyncio.gather(*turns.values(), return_exceptions=True)
        await desk.finish()
        for task in tasks:
            assert await desk.seen(task) == twice(await desk.wanted(task))

    asyncio.run(story())


async def test_what_is_written_is_followed_up_at_once_by_whoever_runs() -> None:
    desk = Desk()
    running = [asyncio.create_task(desk.worker().run()) for _ in range(WORKERS)]
    tasks = [await desk.task() for _ in range(5)]
    await asyncio.sleep(0)

    async def is_done() -> bool:
        return all([await desk.seen(task) == twice(await desk.wanted(task)) != [] for task in tasks])

    for _ in range(3):
        for task in tasks:
            await desk.toggle(task)
        await eventually(is_done, 1)
    await eventually(lambda: _is_level(desk), 1)
    for worker in running:
        worker.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert desk.observer.happenings["consumed", "done"] == 15
    assert desk.observer.happenings["consumed", "piece"] == 15


async def _is_level(desk: Desk) -> bool:
    return not await desk.cursors.backlog()


async def test_news_that_no_hint_tells_of_are_found_within_five_seconds() -> None:
    desk = Desk(broker=LossyBroker())
    running = asyncio.create_task(desk.worker().run())
    task = await desk.task()
    await asyncio.sleep(0)
    await desk.toggle(task)

    async def is_done() -> bool:
        return await desk.seen(task) == twice(await desk.wanted(task))

    await eventually(is_done, 5)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_an_effect_that_fails_is_tried_again_ever_later_and_holds_up_no_other_stream() -> None:
    broken = {"poison"}

    async def effect(work: Work, event: EventView, now: datetime) -> bool:
        task, _ = await work.tasks.get(TaskId(event.resource.id), _actor(event))
        if task.title in broken:
            raise RuntimeError(task.title)
        return await write_down(work, event, now)

    desk = Desk(Consumer("scribe", SCRIBE.wants, effect))
    worker = desk.worker()
    good, bad = await desk.task(), await desk.task()
    async with desk.work() as work:
        found, _ = await work.tasks.get(bad.id, bad.created_by)
        found.edit(bad.created_by, desk.clock.now(), title="poison")
        work.tasks.save(found)
    await desk.toggle(bad)
    await desk.toggle(good)
    assert await worker.turn() == 2
    assert await desk.seen(good) == twice(await desk.wanted(good))
    assert await desk.seen(bad) == []
    pause = RETRY_FIRST
    for failures in range(1, 12):
        assert desk.observer.happenings["consumed", "failed"] == failures
        (backlog,) = await desk.cursors.backlog()
        assert (backlog.streams, backlog.failing) == (1, 1)
        assert await worker.turn() == 0
        desk.clock.advance(pause)
        assert await worker.turn() == 1
        pause = min(2 * pause, RETRY_LONGEST)
    await desk.toggle(bad)
    broken.clear()
    desk.clock.advance(RETRY_LONGEST)
    assert await worker.turn() == 1
    assert await desk.seen(bad) == twice(await desk.wanted(bad))
    assert await desk.cursors.backlog() == []


async def test_the_lag_of_a_consumer_is_the_age_of_what_waits_for_it() -> None:
    desk = Desk(broker=LossyBroker())
    worker = desk.worker()
    assert worker.lag() == {"scribe": (0, 0, 0.0)}
    await desk.toggle(await desk.task())
    desk.clock.advance(timedelta(seconds=90))
    assert await desk.cursors.claim(["scribe"], desk.clock.now(), desk.clock.now() + timedelta(hours=1), 1)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.lag() != {"scribe": (0, 0, 0.0)})
    running.cancel()
    assert worker.lag() == {"scribe": (1, 0, 90.0)}


async def test_what_follows_from_a_request_is_tied_to_it() -> None:
    desk = Desk()
    task = await desk.task()
    token = correlation.set(Correlation("a request", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    await desk.toggle(task)
    correlation.reset(token)
    await desk.worker().turn()
    entries = await desk.house.journal().read(f"workspace:{task.workspace_id}", 2, 99)
    views = [event_view(entry.stream, entry.offset, bytes(entry.body).decode()) for entry in entries]
    assert [view.type for view in views] == ["task.unwatched", "task.updated", "task.updated"]
    assert {(view.request_id, view.traceparent[3:35]) for view in views} == {
        ("a request", "0af7651916cd43dd8448eb211c80319c")
    }
