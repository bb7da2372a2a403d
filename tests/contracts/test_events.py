"""What every journal promises to its readers, and every broker about its hints."""
# what raises is the leaving of a unit of work, with all that is noted in it

import asyncio
import itertools
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from application.paging import InvalidCursor
from application.ports.events import Entry, EventBody, EventFilter, EventView, Signal, Span, Survey
from domain.access import Role
from domain.channels import account_stream, workspace_stream
from domain.errors import Unavailable
from domain.ids import WorkspaceId
from domain.tasks import Status
from tests.contracts.house import Follower, House, eventually
from tests.support.builders import a_comment, a_task, a_team, an_account

EVERYTHING = EventFilter()


def hint(stream: str, offset: int) -> Entry:
    return Entry(stream, offset, "task.created", UUID(int=offset), msgspec.Raw(b'{"id":"x"}'))


def signal(channel: str, version: int) -> Signal:
    return Signal(channel, "key:ä", version, msgspec.Raw(b'{"price":"1.50","note":"\xc3\xa4"}'))


async def test_entries_are_read_in_order_from_behind_an_offset(house: House) -> None:
    ada = await an_account(house)
    stream = workspace_stream(WorkspaceId(ada.id))
    tasks = [await a_task(house, WorkspaceId(ada.id), ada.id) for _ in range(4)]
    entries = await house.journal.read(stream, 0, 100)
    assert [(entry.stream, entry.offset) for entry in entries] == [(stream, offset) for offset in range(1, 6)]
    assert [entry.resource_id for entry in entries] == [ada.id, *(task.id for task in tasks)]
    assert [entry.type for entry in entries] == ["workspace.created", *["task.created"] * 4]
    assert await house.journal.read(stream, 3, 100) == entries[3:]
    assert await house.journal.read(stream, 1, 2) == entries[1:3]
    assert await house.journal.read(stream, 5, 100) == []
    assert await house.journal.read(stream, 999, 100) == []
    assert not await house.journal.read("workspace:nowhere", 0, 100)


async def test_heads_are_the_newest_offsets_and_zero_where_nothing_was_written(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    streams = [workspace_stream(team.id), account_stream(bob.id), "workspace:nowhere"]
    heads = await house.journal.heads(streams)
    assert dict(heads) == dict(zip(streams, (2, 2, 0), strict=True))
    assert dict(await house.journal.heads([])) == {}


async def test_the_body_of_an_entry_is_the_event_as_everybody_reads_it(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    house.clock.advance(timedelta(milliseconds=1500))
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.edit(ada.id, house.clock.now(), title="Ä 🚀", status=Status.DONE, labels=["x"], due_at=house.clock.now())
        work.tasks.save(found)
    (entry,) = await house.journal.read(workspace_stream(WorkspaceId(ada.id)), 2, 10)
    body = msgspec.json.decode(entry.body, type=EventBody)
    assert (body.type, body.version, body.at, body.actor) == ("task.updated", 1, house.clock.now(), ada.id)
    assert (body.resource.type, body.resource.id, body.resource.version) == ("task", task.id, 2)
    now = "2026-01-05T09:00:01.500000Z"
    assert body.changes == {
        "title": (task.title, "Ä 🚀"),
        "status": ("todo", "done"),
        "labels": ([], ["x"]),
        "due_at": (None, now),
        "completed_at": (None, now),
    }
    assert (body.data, body.request_id, body.traceparent) == ({}, "", "")
    assert body.id.version == 7
    (view,) = (await house.journal.page(entry.stream, EVERYTHING, True, None, 1)).data
    assert view == EventView(entry.stream, entry.offset, **{f: getattr(body, f) for f in EventBody.__struct_fields__})


async def test_the_ids_of_events_are_all_different(house: House) -> None:
    ada = await an_account(house)
    for _ in range(3):
        await a_task(house, WorkspaceId(ada.id), ada.id)
    views = (await house.journal.page(workspace_stream(WorkspaceId(ada.id)), EVERYTHING, False, None, 50)).data
    assert len({view.id for view in views}) == len(views) == 4


async def test_each_condition_keeps_the_events_that_meet_it(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    start = house.clock.now()
    house.clock.advance(timedelta(seconds=1))
    task = await a_task(house, team.id, ada.id)
    house.clock.advance(timedelta(seconds=1))
    await a_comment(house, task.id, bob.id)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.unassign(bob.id, None, house.clock.now())
        found.edit(ada.id, house.clock.now(), title="New")
        work.tasks.save(found)

    async def kept(**conditions: object) -> list[int]:
        wanted = EventFilter(**conditions)  # type: ignore[arg-type]
        page = await house.journal.page(workspace_stream(team.id), wanted, False, None, 50)
        return [view.offset for view in page.data]

    # 1 workspace.created, 2 member.added (both at the start), 3 task.created, 4 task.comment.created, 5 task.updated
    assert await kept() == [1, 2, 3, 4, 5]
    assert await kept(type="task.created") == [3]
    assert await kept(type="task") == []
    assert await kept(type="task.*") == [3, 4, 5]
    assert await kept(type="task.comment.*") == [4]
    assert await kept(type="*") == [1, 2, 3, 4, 5]
    assert await kept(type="task_*") == []
    assert await kept(type="%") == []
    assert await kept(resource_id=team.id) == [1, 2]
    assert await kept(resource_id=task.id) == [3, 4, 5]
    assert await kept(actor=bob.id) == [2, 4]
    assert await kept(after=start) == [1, 2, 3, 4, 5]
    assert await kept(after=start + timedelta(seconds=1)) == [3, 4, 5]
    assert await kept(before=start + timedelta(seconds=1)) == [1, 2]
    assert await kept(after=start + timedelta(seconds=1), before=start + timedelta(seconds=2)) == [3]
    assert await kept(type="task.*", actor=ada.id, resource_id=task.id, after=start) == [3, 5]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("wanted", [EVERYTHING, EventFilter(type="task.*")])
async def test_cursors_walk_the_journal_exactly_once_while_it_grows(
    house: House, newest_first: bool, wanted: EventFilter
) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    for _ in range(9):
        await a_task(house, mine, ada.id)
    first = 1 if wanted is EVERYTHING else 2
    seen: list[int] = []
    cursor, grown = None, 0
    while True:
        page = await house.journal.page(workspace_stream(mine), wanted, newest_first, cursor, 3)
        seen += [view.offset for view in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
        if grown < 4:
            await a_task(house, mine, ada.id)
            grown += 1
    assert seen == (list(range(10, first - 1, -1)) if newest_first else list(range(first, 10 + grown + 1)))


async def test_a_cursor_belongs_to_its_stream_its_order_and_its_conditions(house: House) -> None:
    ada = await an_account(house)
    stream, other = workspace_stream(WorkspaceId(ada.id)), account_stream(ada.id)
    for _ in range(3):
        await a_task(house, WorkspaceId(ada.id), ada.id)
    cursor = (await house.journal.page(stream, EVERYTHING, True, None, 1)).next_cursor
    for name, wanted, newest_first, given in (
        (other, EVERYTHING, True, cursor),
        (stream, EventFilter(type="task.*"), True, cursor),
        (stream, EVERYTHING, False, cursor),
        (stream, EVERYTHING, True, "nonsense"),
    ):
        with pytest.raises(InvalidCursor):
            await house.journal.page(name, wanted, newest_first, given, 1)


async def test_a_survey_tells_the_lineage_and_what_is_kept_of_each_stream(house: House) -> None:
    epoch = (await house.journal.survey([])).epoch
    assert epoch
    ada = await an_account(house)
    mine = workspace_stream(WorkspaceId(ada.id))
    await a_task(house, WorkspaceId(ada.id), ada.id)
    assert await house.journal.survey([mine, "workspace:nowhere"]) == Survey(
        epoch, {mine: Span(0, 2), "workspace:nowhere": Span(0, 0)}
    )


async def test_readers_of_a_stream_see_it_grow_without_ever_a_hole(house: House) -> None:
    ada = await an_account(house)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    writing = asyncio.gather(*(a_task(house, mine, ada.id) for _ in range(30)))
    seen: list[int] = []
    async with asyncio.timeout(20):
        while len(seen) < 31:
            seen += [entry.offset for entry in await house.journal.read(stream, seen[-1] if seen else 0, 7)]
            assert seen == list(range(1, len(seen) + 1))
            await asyncio.sleep(0)
    await writing


async def test_committed_events_are_hinted_at_and_failed_ones_never(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    follower = await Follower(house, workspace_stream(mine)).start()
    with pytest.raises(ZeroDivisionError):
        async with house.work() as work:
            found = await work.workspaces.get(mine)
            found.change(ada.id, house.clock.now(), name="Never")
            work.workspaces.save(found)
            raise ZeroDivisionError
    await a_task(house, mine, ada.id)
    hints = [entry for entry in await follower.hints() if entry.type != "workspace.created"]
    assert hints == list(await house.journal.read(workspace_stream(mine), 1, 10))


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_hints_arrive_whole_and_in_order_from_every_process(house: House, elsewhere: bool) -> None:
    follower = await Follower(house, "workspace:a").start()
    publisher = house.elsewhere if elsewhere else house.broker
    sent = [hint("workspace:a", offset) for offset in range(1, 51)]
    publisher.publish(sent[:1])
    publisher.publish(sent[1:])
    assert await follower.hints() == sent


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_only_followed_streams_are_hinted_at(house: House, elsewhere: bool) -> None:
    follower = await Follower(house, "workspace:a").start()
    publisher = house.elsewhere if elsewhere else house.broker
    publisher.publish([hint("workspace:b", 1), hint("workspace:a", 1)])
    assert await follower.hints() == [hint("workspace:a", 1)]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_signals_arrive_whole_and_in_order_among_the_hints_from_every_process(
    house: House, elsewhere: bool
) -> None:
    follower = await Follower(house, "market:AAPL").start()
    publisher = house.elsewhere if elsewhere else house.broker
    sent = [(signal, hint)[number % 3 == 0]("market:AAPL", number) for number in range(1, 51)]
    publisher.publish(sent[:1])
    publisher.publish(sent[1:])
    assert await follower.news() == sent


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_only_signals_of_followed_channels_arrive(house: House, elsewhere: bool) -> None:
    follower = await Follower(house, "market:AAPL").start()
    publisher = house.elsewhere if elsewhere else house.broker
    publisher.publish([signal("market:AAPL.B", 1), signal("market:AAPL", 2), signal("typing:task:a", 0)])
    assert await follower.news() == [signal("market:AAPL", 2)]


async def test_ones_own_hints_and_signals_arrive_before_publishing_returns(house: House) -> None:
    arrived: list[Entry | Signal] = []
    house.broker.listen(arrived.append, lambda: None)
    house.broker.follow("market:AAPL")
    house.broker.publish([signal("market:AAPL", 1), hint("market:AAPL", 2)])
    assert arrived == [signal("market:AAPL", 1), hint("market:AAPL", 2)]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_stream_can_be_left_and_followed_again(house: House, elsewhere: bool) -> None:
    follower = await Follower(house, "workspace:a").start()
    publisher = house.elsewhere if elsewhere else house.broker
    offsets = itertools.count(1)

    async def is_quiet_about_b() -> bool:
        entry = hint("workspace:b", next(offsets))
        publisher.publish([entry])
        return entry not in await follower.hints()

    async def hears_of_b() -> bool:
        return not await is_quiet_about_b()

    for _ in range(2):
        house.broker.follow("workspace:b")
        await eventually(hears_of_b)
        house.broker.unfollow("workspace:b")
        await eventually(is_quiet_about_b)
    house.broker.unfollow("workspace:never-followed")


async def test_a_topic_that_two_follow_is_heard_until_both_have_left(house: House) -> None:
    arrived: list[Entry | Signal] = []
    house.broker.listen(arrived.append, lambda: None)
    house.broker.unfollow("market:AAPL")  # nobody follows it yet, so this does not count
    house.broker.follow("market:AAPL")
    house.broker.follow("market:AAPL")
    for version in (1, 2, 3):
        house.broker.publish([signal("market:AAPL", version)])
        assert len(arrived) == min(version, 2)
        house.broker.unfollow("market:AAPL")


async def test_a_broker_that_carries_hints_is_well(house: House) -> None:
    async def is_well() -> bool:
        try:
            await house.broker.check()
        except Unavailable:
            return False
        return True

    await eventually(is_well)


async def test_publishing_never_fails_its_writer(house: House) -> None:
    def broken(item: Entry | Signal) -> None:
        raise ZeroDivisionError

    house.broker.publish([])
    house.broker.publish([hint("workspace:a", 1), signal("workspace:a", 1)])
    house.broker.listen(broken, lambda: None)
    house.broker.follow("workspace:a")
    house.broker.publish([hint("workspace:a", 1), signal("workspace:a", 1)])
