"""What `Cursors` and `CursorRepository` promise: nothing wanted is missed or done twice, however many take part."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from application.journal import event_view
from application.ports.consumers import NEWS, NEWS_SIGNAL, Backlog, Cursor
from application.ports.events import Entry, Span
from application.ports.idempotency import Answer
from application.ports.unit_of_work import Stale
from domain.channels import workspace_stream
from domain.identity import Account
from domain.ids import AccountId, WorkspaceId
from domain.tasks import Task
from tests.contracts.house import CLERK, NURSE, PORTER, Follower, House
from tests.support.builders import a_task, an_account

LEASE = timedelta(seconds=5)
NAMES = [CLERK.name, PORTER.name]


async def claim(house: House, *consumers: str, most: int = 9) -> Sequence[Cursor]:
    now = house.clock.now()
    return await house.cursors.claim(list(consumers) or [CLERK.name], now, now + LEASE, most)


async def claimed(house: House) -> Cursor:
    (cursor,) = await claim(house)
    return cursor


async def archive(house: House, task: Task) -> None:
    """Two events, at two offsets: the first one is wanted by both consumers, the second one by the clerk."""
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, task.created_by)
        found.archive(task.created_by, house.clock.now())
        work.tasks.save(found)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, task.created_by)
        found.unarchive(task.created_by, house.clock.now())
        work.tasks.save(found)


async def a_task_of(house: House, account: Account) -> Task:
    return await a_task(house, WorkspaceId(account.id), account.id)


def stream_of(account: Account) -> str:
    return workspace_stream(WorkspaceId(account.id))


async def test_an_event_that_nobody_wants_gives_nobody_a_cursor(house: House) -> None:
    await a_task_of(house, await an_account(house))
    assert await claim(house, *NAMES) == []
    assert await house.cursors.backlog() == []


@pytest.mark.parametrize(("by_somebody", "cursors", "signals"), [(True, 0, []), (False, 1, [NEWS_SIGNAL])])
async def test_a_consumer_that_says_which_events_concern_it_has_a_cursor_for_no_other(
    house: House, by_somebody: bool, cursors: int, signals: list[object]
) -> None:
    follower = await Follower(house, NEWS).start()
    ada = await an_account(house)
    by: AccountId | None = ada.id if by_somebody else None
    task = await a_task(house, WorkspaceId(ada.id), ada.id, assignees=[ada.id])
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.unassign(ada.id, by, house.clock.now())
        work.tasks.save(found)
    assert len(await claim(house, NURSE.name)) == cursors
    assert [item for item in await follower.news() if item == NEWS_SIGNAL] == signals


async def test_each_consumer_has_a_cursor_in_front_of_the_first_event_that_it_wants(house: House) -> None:
    ada = await an_account(house)
    task = await a_task_of(house, ada)
    await archive(house, task)
    await archive(house, task)
    cursors = {cursor.consumer: cursor for cursor in await claim(house, *NAMES)}
    assert {name: (cursor.stream, cursor.position) for name, cursor in cursors.items()} == {
        name: (stream_of(ada), 2) for name in NAMES
    }
    event, head = await house.cursors.next(cursors["porter"], PORTER.wants)
    assert event is not None
    assert (event.offset, event.type, event.resource.id, head) == (3, "task.archived", task.id, 6)
    moved = Cursor("porter", stream_of(ada), 3, 1, 0)
    event, _ = await house.cursors.next(moved, PORTER.wants)
    assert event is not None
    assert (event.offset, event.type) == (5, "task.archived")
    event, _ = await house.cursors.next(moved, CLERK.wants)
    assert event is not None
    assert (event.offset, event.type) == (4, "task.unarchived")
    assert await house.cursors.next(Cursor("porter", stream_of(ada), 5, 1, 0), PORTER.wants) == (None, 6)


async def test_of_several_events_of_one_unit_the_first_is_before_the_cursor(house: House) -> None:
    ada = await an_account(house)
    task = await a_task_of(house, ada)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.edit(ada.id, house.clock.now(), title="Put away, and not")
        found.archive(ada.id, house.clock.now())
        found.unarchive(ada.id, house.clock.now())
        work.tasks.save(found)
    assert {cursor.position for cursor in await claim(house, *NAMES)} == {3}


async def test_what_is_claimed_is_nobody_elses_until_its_time_is_over(house: House) -> None:
    await archive(house, await a_task_of(house, await an_account(house)))
    first = await claimed(house)
    assert await claim(house) == []
    house.clock.advance(LEASE)
    again = await claimed(house)
    assert again.position == first.position
    with pytest.raises(Stale):
        async with house.work() as work:
            work.cursors.move(first, 3, house.clock.now())
    async with house.work() as work:
        work.cursors.move(again, 3, house.clock.now())


async def test_the_longest_due_come_first_and_no_more_than_were_asked_for(house: House) -> None:
    streams = []
    for _ in range(3):
        ada = await an_account(house)
        streams.append(stream_of(ada))
        await archive(house, await a_task_of(house, ada))
        house.clock.advance(timedelta(seconds=1))
    assert [cursor.stream for cursor in await claim(house, most=2)] in (streams[:2], streams[1::-1])
    assert [cursor.stream for cursor in await claim(house, most=2)] == streams[2:]


async def test_of_twenty_who_claim_no_two_get_the_same(house: House) -> None:
    expected = set()
    for _ in range(10):
        ada = await an_account(house)
        expected |= {(stream_of(ada), name) for name in NAMES}
        await archive(house, await a_task_of(house, ada))
    got = [c for some in await asyncio.gather(*(claim(house, *NAMES, most=3) for _ in range(20))) for c in some]
    got += await claim(house, *NAMES, most=100)
    assert len(got) == 20
    assert {(cursor.stream, cursor.consumer) for cursor in got} == expected


async def test_a_cursor_moves_with_what_its_unit_changes_or_not_at_all(house: House) -> None:
    ada = await an_account(house)
    task = await a_task_of(house, ada)
    await archive(house, task)
    cursor = await claimed(house)

    async def follow_up(cursor: Cursor) -> Cursor:
        async with house.work() as work:
            found, _ = await work.tasks.get(task.id, ada.id)
            found.edit(ada.id, house.clock.now(), title=f"{found.title}!")
            work.tasks.save(found)
            return work.cursors.move(cursor, 3, house.clock.now())

    moved = await follow_up(cursor)
    assert (moved.position, moved.version, moved.failures) == (3, cursor.version + 1, 0)
    with pytest.raises(Stale):
        await follow_up(cursor)
    assert (await house.task_queries.view(task.id, ada.id)).title == "Write the rollout plan!"
    await follow_up(moved)
    assert (await house.task_queries.view(task.id, ada.id)).title == "Write the rollout plan!!"
    assert [entry.offset for entry in await house.journal.read(stream_of(ada), 0, 99)] == [1, 2, 3, 4, 5, 6]


async def test_many_changes_at_once_move_a_cursor_with_them(house: House) -> None:
    ada = await an_account(house)
    tasks = [await a_task_of(house, ada) for _ in range(15)]
    await archive(house, tasks[0])
    cursor = await claimed(house)
    async with house.work() as work:
        for task, _ in (await work.tasks.get_many([task.id for task in tasks], ada.id)).values():
            task.archive(ada.id, house.clock.now())
            work.tasks.save(task)
        moved = work.cursors.move(cursor, cursor.position, house.clock.now())
    with pytest.raises(Stale):
        async with house.work() as work:
            for task, _ in (await work.tasks.get_many([task.id for task in tasks], ada.id)).values():
                task.unarchive(ada.id, house.clock.now())
                work.tasks.save(task)
            work.cursors.move(cursor, 18, house.clock.now())
    assert (await house.journal.heads([stream_of(ada)]))[stream_of(ada)] == 33
    event, _ = await house.cursors.next(moved, CLERK.wants)
    assert event is not None
    assert event.offset == 17


async def test_a_unit_that_is_not_applied_leaves_no_cursor(house: House) -> None:
    ada = await an_account(house)
    task = await a_task_of(house, ada)
    with pytest.raises(Stale):
        async with house.work() as work:
            found, _ = await work.tasks.get(task.id, ada.id)
            found.archive(ada.id, house.clock.now())
            work.tasks.save(found)
            async with house.work() as faster:
                other, _ = await faster.tasks.get(task.id, ada.id)
                other.edit(ada.id, house.clock.now(), title="Faster")
                faster.tasks.save(other)
    assert await claim(house, *NAMES) == []


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_request_that_is_kept_as_a_whole_has_its_news_at_its_end(house: House, is_kept: bool) -> None:
    ada = await an_account(house)
    task = await a_task_of(house, ada)
    follower = await Follower(house, NEWS).start()
    async with house.idempotency.attempt(ada.id, "a key", b"a request") as attempt:
        await archive(house, task)
        if is_kept:
            attempt.record(Answer(200, (), b""))
    assert [cursor.position for cursor in await claim(house)] == ([2] if is_kept else [])
    assert (NEWS_SIGNAL in await follower.news()) is is_kept


async def test_who_follows_is_told_of_news_for_a_consumer_and_of_no_other(house: House) -> None:
    follower = await Follower(house, NEWS).start()
    task = await a_task_of(house, await an_account(house))
    assert await follower.news() == []
    await archive(house, task)
    assert await follower.news() == [NEWS_SIGNAL, NEWS_SIGNAL]


async def test_a_cursor_is_dropped_when_nothing_is_before_it_and_comes_back_with_the_next_event(house: House) -> None:
    ada = await an_account(house)
    task = await a_task_of(house, ada)
    await archive(house, task)
    cursor = await claimed(house)
    assert not await house.cursors.settle(cursor, CLERK.wants, 3)
    async with house.work() as work:
        cursor = work.cursors.move(cursor, 4, house.clock.now())
    assert await house.cursors.settle(cursor, CLERK.wants, 4)
    house.clock.advance(LEASE)
    assert await claim(house) == []
    await archive(house, task)
    assert [cursor.position for cursor in await claim(house)] == [4]


async def test_only_who_has_claimed_a_cursor_drops_or_postpones_it(house: House) -> None:
    await archive(house, await a_task_of(house, await an_account(house)))
    old = await claimed(house)
    house.clock.advance(LEASE)
    new = await claimed(house)
    assert await house.cursors.settle(old, CLERK.wants, 4)
    await house.cursors.postpone(old, house.clock.now(), has_failed=True)
    assert await claim(house) == []
    await house.cursors.postpone(new, house.clock.now(), has_failed=False)
    assert [(cursor.position, cursor.failures) for cursor in await claim(house)] == [(2, 0)]


async def test_a_cursor_of_before_means_nothing_to_the_one_that_came_after_it(house: House) -> None:
    task = await a_task_of(house, await an_account(house))
    await archive(house, task)
    old = await claimed(house)
    async with house.work() as work:
        done = work.cursors.move(old, 4, house.clock.now())
    assert await house.cursors.settle(done, CLERK.wants, 4)
    await archive(house, task)
    new = await claimed(house)
    assert new.version == old.version
    with pytest.raises(Stale):
        async with house.work() as work:
            work.cursors.move(old, 3, house.clock.now())


async def test_failures_are_counted_until_the_cursor_moves(house: House) -> None:
    await archive(house, await a_task_of(house, await an_account(house)))
    for failures in range(3):
        cursor = await claimed(house)
        assert cursor.failures == failures
        await house.cursors.postpone(cursor, house.clock.now() + timedelta(minutes=1), has_failed=True)
        assert await claim(house) == []
        house.clock.advance(timedelta(minutes=1))
    cursor = await claimed(house)
    async with house.work() as work:
        cursor = work.cursors.move(cursor, cursor.position, house.clock.now())
    assert cursor.failures == 0
    await house.cursors.postpone(cursor, house.clock.now(), has_failed=False)
    assert (await claimed(house)).failures == 0


async def test_the_backlog_tells_in_how_many_streams_and_since_when(house: House) -> None:
    began = house.clock.now()
    for _ in range(3):
        await archive(house, await a_task_of(house, await an_account(house)))
        house.clock.advance(timedelta(minutes=1))
    assert await house.cursors.backlog() == [Backlog("clerk", 3, 0, began), Backlog("porter", 3, 0, began)]
    first, second, _ = sorted(await claim(house), key=lambda cursor: cursor.stream)
    await house.cursors.postpone(second, house.clock.now(), has_failed=True)
    async with house.work() as work:
        first = work.cursors.move(first, 4, began)
    assert await house.cursors.settle(first, CLERK.wants, 4)
    clerk, porter = await house.cursors.backlog()
    assert (clerk.streams, clerk.failing, porter.streams, porter.failing) == (2, 1, 3, 0)
    assert began < clerk.oldest_at <= began + timedelta(minutes=1)


async def test_an_operator_can_give_up_one_stream_of_a_consumer_or_all(house: House) -> None:
    streams = []
    for _ in range(3):
        ada = await an_account(house)
        streams.append(stream_of(ada))
        await archive(house, await a_task_of(house, ada))
    cursor = (await claim(house, most=1))[0]
    assert await house.cursors.give_up("clerk", cursor.stream) == 1
    with pytest.raises(Stale):
        async with house.work() as work:
            work.cursors.move(cursor, 3, house.clock.now())
    assert {backlog.consumer: backlog.streams for backlog in await house.cursors.backlog()} == {"clerk": 2, "porter": 3}
    assert await house.cursors.give_up("clerk") == 2
    assert await house.cursors.give_up("nobody") == 0
    assert [backlog.consumer for backlog in await house.cursors.backlog()] == ["porter"]


async def test_nothing_that_a_consumer_has_not_done_is_dropped_with_age(house: House) -> None:
    ada = await an_account(house)
    stream = stream_of(ada)
    task = await a_task_of(house, ada)
    await archive(house, task)
    await archive(house, task)
    kept = timedelta(days=30)
    house.clock.advance(2 * kept)

    async def forget() -> Span:
        await house.upkeep.forget_events(house.clock.now(), kept, 1_000)
        return (await house.journal.survey([stream])).spans[stream]

    assert await forget() == Span(2, 6)
    assert await forget() == Span(2, 6)
    clerk, porter = sorted(await claim(house, *NAMES), key=lambda cursor: cursor.consumer)
    async with house.work() as work:
        work.cursors.move(clerk, 5, house.clock.now())
    assert await forget() == Span(2, 6)
    async with house.work() as work:
        work.cursors.move(porter, 4, house.clock.now())
    assert await forget() == Span(4, 6)
    await house.cursors.give_up("porter")
    assert await forget() == Span(5, 6)
    await house.cursors.give_up("clerk")
    assert await forget() == Span(6, 6)


async def test_whatever_is_written_while_a_cursor_moves_or_is_dropped_is_found(house: House) -> None:
    ada = await an_account(house)
    tasks = [await a_task_of(house, ada) for _ in range(4)]
    ledger = await a_task_of(house, ada)

    async def write(task: Task) -> None:
        for _ in range(10):
            await archive(house, task)
            await asyncio.sleep(0)

    async def step(cursor: Cursor) -> Cursor | None:
        event, head = await house.cursors.next(cursor, CLERK.wants)
        if event is None:
            return None if await house.cursors.settle(cursor, CLERK.wants, head) else cursor
        async with house.work() as work:
            found, _ = await work.tasks.get(ledger.id, ada.id)
            found.edit(ada.id, house.clock.now(), title=f"{event.offset}")
            work.tasks.save(found)
            return work.cursors.move(cursor, event.offset, house.clock.now())

    async def consume() -> None:
        for found in await claim(house):
            cursor: Cursor | None = found
            while cursor is not None:
                cursor = await step(cursor)

    writing = asyncio.gather(*(write(task) for task in tasks))
    while not writing.done():
        await consume()
        await asyncio.sleep(0)
    await writing
    await consume()
    entries = [event_view(e.stream, e.offset, bytes(e.body).decode()) for e in await read_all(house, stream_of(ada))]
    wanted = [entry.offset for entry in entries if entry.type in CLERK.wants]
    assert len(wanted) == 80
    assert [int(str(entry.changes["title"][1])) for entry in entries if entry.type == "task.updated"] == wanted
    assert [backlog.consumer for backlog in await house.cursors.backlog()] == ["porter"]


async def read_all(house: House, stream: str) -> Sequence[Entry]:
    return await house.journal.read(stream, 0, 1_000)
