"""What is due happens once, and soon, whatever is interrupted, late or broken on the way."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from time import monotonic
from typing import NoReturn
from uuid import UUID

import uvloop
from dependency_injector import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.events import MemoryBroker
from adapters.memory.observer import MemoryObserver
from application.due import BATCH, RETRY_FIRST, RETRY_LONGEST, Later
from application.ports.due import LOOK, Ahead, Deadlines, Due, Late, alarms
from application.ports.events import Entry, Signal
from application.ports.unit_of_work import Stale
from domain.errors import NotFound, Unavailable
from entrypoints.container import in_memory
from tests.contracts.house import eventually
from tests.support.promised import stretched
from tests.support.reminders import Bedside, RunningClock, bedside_in_memory

WORKERS = 3
LONG = timedelta(days=1)


class LossyBroker(MemoryBroker):
    """Publishes nothing, so each process is as good as alone."""

    def publish(self, items: Sequence[Entry | Signal]) -> None: ...


class CandidBroker(MemoryBroker):
    """Lets who publishes see that a listener fails."""

    def publish(self, items: Sequence[Entry | Signal]) -> None:
        for item in items:
            for take in self._listeners:
                take(item)


@asynccontextmanager
async def running(*workers: Later) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    await asyncio.sleep(0)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def times_of(bedside: Bedside, id: UUID) -> list[datetime]:
    """The times for which it rang, none of which it rang for before."""
    rings = await bedside.rings(id)
    assert all(ring.at >= datetime.fromisoformat(str(ring.data["at"])) for ring in rings)
    return [datetime.fromisoformat(str(ring.data["at"])) for ring in rings]


SECONDS = st.floats(-3, 9).map(lambda seconds: round(seconds, 3))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("remind"), st.lists(SECONDS, min_size=1, max_size=3)),
        st.tuples(st.just("begin"), st.integers(0, WORKERS - 1)),
        st.tuples(st.just("let"), st.integers(1, 12)),
        st.tuples(st.just("kill"), st.integers(0, WORKERS - 1)),
        st.tuples(st.just("pass"), st.integers(1, 6)),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(steps=STEPS)
def test_each_thing_happens_once_at_each_of_its_times_though_workers_are_killed_at_any_await(
    steps: list[tuple[str, int | list[float]]],
) -> None:
    async def story() -> None:
        bedside = bedside_in_memory()
        workers = [bedside.worker() for _ in range(WORKERS)]
        turns: dict[int, asyncio.Task[int]] = {}
        expected: dict[UUID, list[datetime]] = {}
        for step, value in steps:
            match step, value:
                case "remind", list(seconds):
                    times = sorted(bedside.clock.now() + timedelta(seconds=each) for each in seconds)
                    expected[await bedside.remind(*seconds)] = times
                case "begin", int(number) if number not in turns or turns[number].done():
                    turns[number] = asyncio.create_task(workers[number].turn())
                case "let", int(count):
                    for _ in range(count):
                        await asyncio.sleep(0)
                case "kill", int(number) if number in turns:
                    turns[number].cancel()
                case "pass", int(duration):
                    bedside.clock.advance(timedelta(seconds=duration))
        for turn in turns.values():
            turn.cancel()
        await asyncio.gather(*turns.values(), return_exceptions=True)
        bedside.clock.advance(LONG)
        # Whoever comes next finds at once what is left: no lease of the dead has to end.
        await bedside.worker().turn()
        assert {id: await times_of(bedside, id) for id in expected} == expected

    asyncio.run(story())


class Seen(Deadlines):
    """Counts the looks that found nothing due."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self.rests = 0

    async def look(self, now: datetime, most: int) -> Ahead:
        ahead = await self._deadlines.look(now, most)
        self.rests += not ahead.late
        return ahead

    async def late(self, now: datetime, most: int, besides: Collection[Late] = ()) -> Sequence[Late]:
        return await self._deadlines.late(now, most, besides)


async def test_what_is_written_and_due_at_once_happens_at_once() -> None:
    bedside = bedside_in_memory()
    seen = Seen(bedside.deadlines)
    async with running(bedside.worker(Due("reminders", seen, bedside.elapse))):
        async with asyncio.timeout(stretched(15)):  # of which looking every second would need twenty
            for _ in range(20):
                rests = seen.rests
                await eventually(lambda rests=rests: seen.rests > rests)  # type: ignore[misc]
                await until_rung(bedside, await bedside.remind(0))


async def test_several_may_tell_at_once_that_something_is_due_now() -> None:
    async def scenario() -> None:
        broker = CandidBroker()
        bedside = bedside_in_memory(broker=broker)
        async with running(bedside.worker()):
            for _ in range(3):
                broker.publish(alarms([bedside.clock.now()], None))

    # On the loop that servers run on: what it plans for now is not what asyncio plans.
    await asyncio.to_thread(uvloop.run, scenario())


async def test_of_many_workers_who_wake_together_one_does_it() -> None:
    bedside = bedside_in_memory()
    ids = [await bedside.remind(0.05, 0.1) for _ in range(20)]
    async with running(*(bedside.worker() for _ in range(WORKERS))):
        for _ in range(2):
            bedside.clock.advance(timedelta(seconds=0.05))
            ids.append(await bedside.remind(0))
            await until_rung(bedside, ids[-1])
        for id in ids[:20]:
            await until_rung(bedside, id, 2)
    assert bedside.observer.happenings["elapsed", "failed"] == 0


async def until_rung(bedside: Bedside, id: UUID, times: int = 1, seconds: float = 10) -> None:
    await eventually(lambda: rang(bedside, id, times), seconds)


async def rang(bedside: Bedside, id: UUID, times: int) -> bool:
    return len(await bedside.rings(id)) == times


async def test_the_loop_wakes_for_each_thing_when_it_is_due() -> None:
    bedside = bedside_in_memory(RunningClock(), LossyBroker())
    async with running(bedside.worker()), asyncio.timeout(30):
        # Looks that come every second would find all of these in two or three.
        moments = set[int]()
        while len(moments) < 7:
            ids = [await bedside.remind(1.1 + 0.1 * place) for place in range(9)]
            for id in ids:
                await until_rung(bedside, id)
            moments = {int(ring.at.timestamp() * 20) for id in ids for ring in await bedside.rings(id)}


async def test_what_another_process_wrote_is_found_though_nothing_tells_of_it() -> None:
    bedside = bedside_in_memory(broker=LossyBroker())
    async with running(bedside.worker()):
        for _ in range(2):
            id = await bedside.remind(0)
            await until_rung(bedside, id, 1, 5)


async def test_a_thing_that_fails_is_tried_again_ever_later_and_holds_up_no_other() -> None:
    bedside, broken = bedside_in_memory(), set[UUID]()

    async def elapse(id: UUID, now: datetime) -> None:
        if id in broken:
            raise RuntimeError("it does not ring")
        await bedside.elapse(id, now)

    worker = bedside.worker(Due("reminders", bedside.deadlines, elapse))
    good, bad = await bedside.remind(0), await bedside.remind(0)
    broken.add(bad)
    assert await worker.turn() == 2
    assert await rang(bedside, good, 1)
    pause = RETRY_FIRST
    for failures in range(1, 12):
        assert bedside.observer.happenings["elapsed", "failed"] == failures
        assert await worker.turn() == 0
        bedside.clock.advance(pause)
        assert await worker.turn() == 1
        late, failing, seconds = worker.lag()["reminders"]
        assert (late, failing) == (1, 1)
        assert seconds >= pause.total_seconds()
        pause = min(2 * pause, RETRY_LONGEST)
    broken.clear()
    # Somebody who starts afresh knows of no failure.
    assert await bedside.worker().turn() == 1
    assert await rang(bedside, bad, 1)
    await worker.turn()
    assert worker.lag() == {"reminders": (0, 0, 0.0)}


async def test_what_fails_goes_on_at_once_when_somebody_gives_it_another_time() -> None:
    bedside, broken = bedside_in_memory(), True

    async def elapse(id: UUID, now: datetime) -> None:
        if broken:
            raise Unavailable("not now")
        await bedside.elapse(id, now)

    worker = bedside.worker(Due("reminders", bedside.deadlines, elapse))
    id = await bedside.remind(0)
    assert await worker.turn() == 1
    broken = False
    assert await worker.turn() == 0
    await bedside.change(id, -1)
    assert await worker.turn() == 1
    assert await rang(bedside, id, 1)


async def test_a_thing_that_hangs_and_a_kind_that_cannot_be_looked_at_hold_up_no_other_kind() -> None:
    bedside, hung = bedside_in_memory(), asyncio.Event()

    class Broken(Deadlines):
        """Cannot be asked."""

        async def look(self, now: datetime, most: int) -> Ahead:
            raise RuntimeError("there is no such table")

        async def late(self, now: datetime, most: int, besides: Collection[Late] = ()) -> NoReturn:
            raise AssertionError

    async def hang(id: UUID, now: datetime) -> None:
        hung.set()
        await asyncio.Event().wait()

    hanging = Due("hanging", bedside.deadlines, hang)
    async with running(bedside.worker(hanging, Due("broken", Broken(), hang), bedside.kind)):
        id = await bedside.remind(0)
        await until_rung(bedside, id)
        await eventually(hung.is_set)
        again = await bedside.remind(0)
        await until_rung(bedside, again)
        # It is let go of in the end.
        await eventually(lambda: bedside.observer.happenings["elapsed", "failed"] > 0, 20)


async def test_a_thing_that_hangs_takes_one_place_and_holds_up_no_other_of_its_kind() -> None:
    bedside, hanging = bedside_in_memory(), list[UUID]()

    async def elapse(id: UUID, now: datetime) -> None:
        if id in stuck:
            hanging.append(id)
            await asyncio.Event().wait()
        await bedside.elapse(id, now)

    kind = Due("reminders", bedside.deadlines, elapse, at_once=2, deadline_seconds=3_600)
    stuck = [await bedside.remind(0)]
    async with running(bedside.worker(kind)):
        await eventually(lambda: hanging == stuck)
        others = [await bedside.remind(0) for _ in range(BATCH + 1)]
        for id in others:
            await until_rung(bedside, id)
    assert hanging == stuck


async def test_as_many_run_together_as_their_kind_says_and_each_for_as_long_as_it_says() -> None:
    bedside, present, most = bedside_in_memory(), set[UUID](), list[int]()

    async def elapse(id: UUID, now: datetime) -> None:
        present.add(id)
        most.append(len(present))
        try:
            await asyncio.Event().wait()
        finally:
            present.discard(id)

    for _ in range(5):
        await bedside.remind(0)
    kind = Due("reminders", bedside.deadlines, elapse, at_once=3, deadline_seconds=0.01)
    assert await bedside.worker(kind).turn() == 5
    assert (max(most), len(most)) == (3, 5)
    assert bedside.observer.happenings == {("elapsed", "failed"): 5}


async def test_what_runs_when_a_process_ends_may_end_and_nothing_more_begins() -> None:
    bedside, begun, going = bedside_in_memory(), list[UUID](), asyncio.Event()

    async def elapse(id: UUID, now: datetime) -> None:
        begun.append(id)
        await going.wait()
        await bedside.elapse(id, now)

    ids = [await bedside.remind(0) for _ in range(3)]
    kind = Due("reminders", bedside.deadlines, elapse, at_once=1)
    async with running(bedside.worker(kind)):
        await eventually(lambda: len(begun) == 1)
        asyncio.get_running_loop().call_later(0.01, going.set)
    assert [await rang(bedside, id, 1) for id in ids].count(True) == len(begun) == 1


async def test_a_verb_that_leaves_a_thing_due_makes_no_loop() -> None:
    bedside, calls = bedside_in_memory(), list[UUID]()

    async def forget(id: UUID, now: datetime) -> None:
        calls.append(id)

    worker = bedside.worker(Due("reminders", bedside.deadlines, forget))
    id = await bedside.remind(0)
    assert [await worker.turn() for _ in range(5)] == [1, 1, 0, 0, 0]
    assert calls == [id]
    assert bedside.observer.happenings["elapsed", "failed"] == 1


async def test_who_comes_second_has_not_failed() -> None:
    bedside = bedside_in_memory()

    async def overtaken(id: UUID, now: datetime) -> None:
        await bedside.elapse(id, now)
        raise Stale if id == first else NotFound

    first, second = await bedside.remind(0), await bedside.remind(0)
    worker = bedside.worker(Due("reminders", bedside.deadlines, overtaken))
    assert [await worker.turn() for _ in range(2)] == [2, 0]
    assert bedside.observer.happenings == {("elapsed", "overtaken"): 2}
    assert await rang(bedside, second, 1)


async def test_no_more_is_taken_than_a_turn_is_for_and_the_next_one_follows() -> None:
    bedside = bedside_in_memory()
    ids = [await bedside.remind(0) for _ in range(BATCH + 1)]
    worker = bedside.worker()
    assert [await worker.turn() for _ in range(3)] == [BATCH, 1, 0]
    assert all([await rang(bedside, id, 1) for id in ids])


async def test_a_kind_of_which_everything_fails_is_tried_at_leisure() -> None:
    bedside = bedside_in_memory()

    async def fail(id: UUID, now: datetime) -> None:
        raise NotImplementedError

    for _ in range(3 * BATCH):
        await bedside.remind(0)
    async with running(bedside.worker(Due("reminders", bedside.deadlines, fail))):
        began = monotonic()
        await eventually(lambda: bedside.observer.happenings["elapsed", "failed"] >= 3 * BATCH)
    assert monotonic() - began > 1.5 * LOOK.total_seconds()


async def test_each_has_a_request_id_of_its_own() -> None:
    bedside = bedside_in_memory()
    ids = [await bedside.remind(0, 0) for _ in range(3)]
    await bedside.worker().turn()
    requests = [{ring.request_id for ring in await bedside.rings(id)} for id in ids]
    assert all(len(each) == 1 for each in requests)
    assert len(set.union(*requests) - {""}) == 3


async def test_an_assembly_sees_to_what_is_handed_in() -> None:
    bedside, house = bedside_in_memory(), in_memory()
    house.due.add_args(providers.Object(bedside.kind))
    later = house.operations.later()
    id = await bedside.remind(0)
    await later.turn()
    assert await rang(bedside, id, 1)
    assert {loop.of for loop in house.operations.process_loops() if loop.name == "due"} == {"working"}
    observer = house.observer()
    assert isinstance(observer, MemoryObserver)
    assert observer.happenings["elapsed", "done"] == 1
