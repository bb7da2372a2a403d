"""What follows from events happens once each and in order, whatever is interrupted, lost or broken on the way."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dependency_injector import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.events import MemoryBroker
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from application.consumers import AT_ONCE, LEASE, RETRY_FIRST, RETRY_LONGEST, Consumers
from application.journal import event_view
from application.ports.consumers import Consumer
from application.ports.events import Entry, EventView, Signal
from application.principal import Correlation, correlation
from domain.ids import TaskId, WorkspaceId
from domain.tasks import Task
from entrypoints.container import in_memory
from tests.contracts.house import eventually
from tests.support.builders import a_task, an_account
from tests.support.killed_workers import KilledWorkers, fates
from tests.support.scribe import SCRIBE, ScribeWork, actor_of, toggle, twice, write_down, written_in

WORKERS = 3


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

    async def task(self, title: str = "Write the rollout plan") -> Task:
        ada = await an_account(self)
        return await a_task(self, WorkspaceId(ada.id), ada.id, title=title)

    async def wanted(self, task: Task) -> list[int]:
        entries = await self.house.journal().read(f"workspace:{task.workspace_id}", 0, 10_000)
        assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
        return [entry.offset for entry in entries if entry.type in SCRIBE.wants]

    async def seen(self, task: Task) -> list[int]:
        return written_in((await self.house.task_queries().view(task.id, task.created_by)).custom)

    async def finish(self) -> None:
        """Let what a killed worker held come free, and do everything."""
        worker = self.worker()
        self.clock.advance(LEASE)
        while await worker.turn() or await self.cursors.backlog():
            self.clock.advance(RETRY_LONGEST)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 1)),
        fates(WORKERS, st.integers(1, 6)),
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
        killed = KilledWorkers(lambda number: workers[number].turn(), desk.clock)
        for step, value in steps:
            match step:
                case "write":
                    await toggle(desk, tasks[value])
                case _:
                    await killed.meet(step, value)
        await killed.end()
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
            await toggle(desk, task)
        await eventually(is_done, 1)
    await eventually(lambda: _is_level(desk), 1)
    for worker in running:
        worker.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert desk.observer.happenings["consumed", "done"] == 15
    assert desk.observer.happenings["consumed", "piece"] == 15


async def _is_level(desk: Desk) -> bool:
    return not await desk.cursors.backlog()


async def test_what_takes_for_ever_holds_up_no_other_stream() -> None:
    async def effect(work: ScribeWork, event: EventView, now: datetime) -> bool:
        task, _ = await work.tasks.get(TaskId(event.resource.id), actor_of(event))
        return task.title != "endless" and await write_down(work, event, now)

    desk = Desk(Consumer("scribe", SCRIBE.wants, effect))
    endless = await desk.task("endless")
    running = asyncio.create_task(desk.worker().run())
    await toggle(desk, endless)
    await eventually(lambda: desk.observer.happenings["consumed", "piece"] > 3)
    tasks = [await desk.task() for _ in range(2 * AT_ONCE)]
    for task in tasks:
        await toggle(desk, task)

    async def is_done() -> bool:
        return all([await desk.seen(task) == twice(await desk.wanted(task)) for task in tasks])

    await eventually(is_done, 1)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_news_that_no_hint_tells_of_are_found_within_five_seconds() -> None:
    desk = Desk(broker=LossyBroker())
    running = asyncio.create_task(desk.worker().run())
    task = await desk.task()
    await asyncio.sleep(0)
    await toggle(desk, task)

    async def is_done() -> bool:
        return await desk.seen(task) == twice(await desk.wanted(task))

    await eventually(is_done, 5)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_an_effect_that_fails_is_tried_again_ever_later_and_holds_up_no_other_stream() -> None:
    broken = {"poison"}

    async def effect(work: ScribeWork, event: EventView, now: datetime) -> bool:
        task, _ = await work.tasks.get(TaskId(event.resource.id), actor_of(event))
        if task.title in broken:
            raise RuntimeError(task.title)
        return await write_down(work, event, now)

    desk = Desk(Consumer("scribe", SCRIBE.wants, effect))
    worker = desk.worker()
    good, bad = await desk.task(), await desk.task("poison")
    await toggle(desk, bad)
    await toggle(desk, good)
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
    await toggle(desk, bad)
    broken.clear()
    desk.clock.advance(RETRY_LONGEST)
    assert await worker.turn() == 1
    assert await desk.seen(bad) == twice(await desk.wanted(bad))
    assert await desk.cursors.backlog() == []


async def test_the_lag_of_a_consumer_is_the_age_of_what_waits_for_it() -> None:
    desk = Desk(broker=LossyBroker())
    worker = desk.worker()
    assert worker.lag() == {"scribe": (0, 0, 0.0)}
    await toggle(desk, await desk.task())
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
    await toggle(desk, task)
    correlation.reset(token)
    await desk.worker().turn()
    entries = await desk.house.journal().read(f"workspace:{task.workspace_id}", 2, 99)
    views = [event_view(entry.stream, entry.offset, bytes(entry.body).decode()) for entry in entries]
    assert [view.type for view in views] == ["task.unwatched", "task.updated", "task.updated"]
    assert {(view.request_id, view.traceparent[3:35]) for view in views} == {
        ("a request", "0af7651916cd43dd8448eb211c80319c")
    }
