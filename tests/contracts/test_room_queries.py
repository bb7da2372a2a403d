"""What everybody who asks for rooms is promised, and what is forgotten of them."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from application.paging import InvalidCursor
from application.ports.rooms import (
    MESSAGES_KEPT,
    MESSAGES_SHOWN,
    MessageView,
    RoomQueries,
    RoomUpkeep,
    RoomView,
    message_view,
    queue_view,
    view_of,
)
from application.ports.unit_of_work import retried
from domain.access import Role
from domain.errors import NotFound
from domain.ids import AccountId, MessageId, ParticipantId, RoomId, WorkspaceId
from domain.rooms import Control, HostLeave, Message, Policies, Room, Visibility, Wait, room_stream
from tests.contracts.house import House
from tests.contracts.test_rooms import LEAD_MS, change, kept, kept_queue, with_an_item
from tests.support.builders import a_message, a_room, a_team, an_account, an_item

PORTS = (RoomQueries, RoomUpkeep)


async def close(house: House, room: Room) -> Room:
    return await change(house, room.id, lambda r: r.close(room.created_by, house.clock.now()))


async def say_often(house: House, room: Room, times: int) -> list[Message]:
    """So many messages of the host, in one unit of work."""
    seat, now = room.seat(room.created_by), house.clock.now()
    said = [
        Message.say(MessageId(house.ids.new()), room.id, room.workspace_id, seat, f"{n}", None, 0, now)
        for n in range(times)
    ]
    async with house.work() as work:
        for message in said:
            work.messages.add(message)
    return said


async def test_a_room_is_seen_by_those_who_are_in_it_as_it_was_saved_and_by_nobody_else(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    policies = Policies(Control.MODERATORS, Wait.QUORUM, HostLeave.PAUSE)
    room = await a_room(house, ada.id, bob.id, password_hash="a hash", policies=policies, allow_guests=True)
    house.clock.advance(timedelta(seconds=1))
    await change(house, room.id, lambda r: r.attend([bob.id], house.clock.now()))
    await with_an_item(house, room)
    queries = house.room_queries
    for account in (ada.id, bob.id):
        assert await queries.view(room.id, account) == view_of(await kept(house, room.id))
        assert await queries.queue(room.id, account) == queue_view(await kept_queue(house, room.id))
    for id, account in ((room.id, eve.id), (RoomId(uuid4()), ada.id)):
        for seen in (
            queries.view(id, account),
            queries.queue(id, account),
            queries.snapshot(id, account),
            queries.messages(id, account, None, 9),
        ):
            with pytest.raises(NotFound):
                await seen
    assert (await queries.view(room.id, bob.id)).password_set


async def test_a_closed_room_is_seen_by_those_who_were_in_it_last_and_opens_nothing(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    room = await a_room(house, ada.id, bob.id, eve.id)
    await a_message(house, room.id, bob.id)
    await change(house, room.id, lambda r: r.leave(eve.id, eve.id, house.clock.now()))
    queries, asked = house.room_queries, {(room.id, each.id) for each in (ada, bob, eve)}
    assert set(await queries.participating(asked)) == {(room.id, ada.id), (room.id, bob.id)}
    closed = await close(house, room)
    assert await queries.view(room.id, bob.id) == view_of(closed)
    assert len((await queries.messages(room.id, ada.id, None, 9)).data) == 1
    with pytest.raises(NotFound):
        await queries.view(room.id, eve.id)
    assert not await queries.participating(asked)
    assert not await queries.participating([])


async def test_the_rooms_of_an_account_come_in_pages_the_newest_first_open_or_closed(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    house.quotas.limits["rooms"] = 50
    rooms = [await a_room(house, ada.id, bob.id) for _ in range(7)]
    await a_room(house, ada.id)
    for room in rooms[:3]:
        await close(house, room)

    async def listed(closed: bool) -> list[str]:
        names, cursor = [], None
        while True:
            page = await house.room_queries.page(bob.id, None, closed, cursor, 2)
            assert len(page.data) <= 2
            names += [str(view.id) for view in page.data]
            cursor = page.next_cursor
            if cursor is None:
                return names

    assert await listed(closed=False) == [str(room.id) for room in reversed(rooms[3:])]
    assert await listed(closed=True) == [str(room.id) for room in reversed(rooms[:3])]
    (newest,) = (await house.room_queries.page(bob.id, None, False, None, 1)).data
    assert newest == await house.room_queries.view(rooms[-1].id, bob.id)
    cursor = (await house.room_queries.page(bob.id, None, False, None, 1)).next_cursor
    with pytest.raises(InvalidCursor):
        await house.room_queries.page(bob.id, None, True, cursor, 1)


async def test_the_rooms_of_a_workspace_are_those_that_a_member_is_in_or_may_join(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    house.quotas.limits["rooms"] = 50
    there = {"workspace_id": team.id, "visibility": Visibility.WORKSPACE}
    open_to_all = [await a_room(house, ada.id, **there) for _ in range(5)]
    private = [await a_room(house, ada.id, *who, workspace_id=team.id) for who in ((bob.id,), ())]
    elsewhere = await a_room(house, ada.id, bob.id)
    other_team = await a_team(house, ada.id, {})
    await a_room(house, ada.id, workspace_id=other_team.id, visibility=Visibility.WORKSPACE)
    over = [await a_room(house, ada.id, bob.id, **there), await a_room(house, ada.id, **there)]
    for room in over:
        await close(house, room)
    banned = await a_room(house, ada.id, bob.id, **there)
    await change(house, banned.id, lambda r: r.remove(_id(r, bob.id), ada.id, house.clock.now(), "7KQ2M4XZ"))
    mine = open_to_all[2]
    await change(house, mine.id, lambda r: r.join(ParticipantId(uuid4()), bob.id, "Bob", house.clock.now()))

    async def listed(by: AccountId, workspace: WorkspaceId, closed: bool = False) -> list[RoomView]:
        views: list[RoomView] = []
        cursor = None
        while True:
            page = await house.room_queries.page(by, workspace, closed, cursor, 2)
            assert len(page.data) <= 2
            views += page.data
            cursor = page.next_cursor
            if cursor is None:
                return views

    shown = await listed(bob.id, team.id)
    assert [view.id for view in shown] == [room.id for room in (private[0], *reversed(open_to_all))]
    known = {view.id: view.join_code for view in shown if view.join_code is not None}
    assert known == {room.id: room.join_code for room in (mine, private[0])}
    outside = shown[1]
    assert replace(outside, join_code=open_to_all[4].join_code) == view_of(await kept(house, open_to_all[4].id))
    assert [view.id for view in await listed(bob.id, team.id, closed=True)] == [over[0].id]
    assert elsewhere.id not in {view.id for view in shown}
    assert len(await listed(ada.id, team.id)) == 8
    for account, workspace in ((eve.id, team.id), (bob.id, other_team.id), (ada.id, WorkspaceId(uuid4()))):
        for closed in (False, True):
            with pytest.raises(NotFound):
                await house.room_queries.page(account, workspace, closed, None, 9)
    cursor = (await house.room_queries.page(bob.id, team.id, False, None, 1)).next_cursor
    for account, given, closed in ((bob.id, None, False), (bob.id, team.id, True), (ada.id, team.id, False)):
        with pytest.raises(InvalidCursor):
            await house.room_queries.page(account, given, closed, cursor, 1)


async def test_a_room_for_a_workspace_that_everybody_left_is_still_in_its_list(house: House) -> None:
    ada = await an_account(house, "Ada")
    team = await a_team(house, ada.id, {})
    room = await a_room(house, ada.id, workspace_id=team.id, visibility=Visibility.WORKSPACE)
    await change(house, room.id, lambda r: r.leave(ada.id, ada.id, house.clock.now()))
    (view,) = (await house.room_queries.page(ada.id, team.id, False, None, 9)).data
    assert (view.id, list(view.participants), view.join_code) == (room.id, [], None)


async def test_a_list_within_a_place_has_the_rooms_of_that_workspace_or_that_room(house: House) -> None:
    ada = await an_account(house)
    team, other = [await a_team(house, ada.id) for _ in range(2)]
    ours, theirs = [await a_room(house, ada.id, workspace_id=each.id) for each in (team, other)]
    apart = await a_room(house, ada.id)
    over = await a_room(house, ada.id, workspace_id=team.id)
    await close(house, over)

    async def listed(within: UUID | None, *, closed: bool = False) -> list[RoomId]:
        return [RoomId(view.id) for view in (await house.room_queries.page(ada.id, None, closed, None, 9, within)).data]

    assert await listed(None) == [apart.id, theirs.id, ours.id]
    assert await listed(team.id) == [ours.id]
    assert await listed(team.id, closed=True) == [over.id]
    assert await listed(apart.id) == [apart.id]
    assert await listed(uuid4()) == []
    there = [(ours.id, team.id), (None, other.id), (ours.id, ours.id), (None, apart.id)]
    for found, within in there:
        page = await house.room_queries.page(ada.id, WorkspaceId(team.id), False, None, 9, within)
        assert [view.id for view in page.data] == [id for id in (found,) if id]
    cursor = (await house.room_queries.page(ada.id, None, False, None, 1)).next_cursor
    with pytest.raises(InvalidCursor):
        await house.room_queries.page(ada.id, None, False, cursor, 1, team.id)


async def test_a_snapshot_has_all_of_a_room(house: House) -> None:
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    bare = await house.room_queries.snapshot(room.id, ada.id)
    assert (bare.queue.version, bare.queue.current, list(bare.queue.items), list(bare.messages)) == (0, None, [], [])
    await with_an_item(house, room)
    said = [await a_message(house, room.id, ada.id, f"{n}") for n in range(MESSAGES_SHOWN + 2)]
    snapshot = await house.room_queries.snapshot(room.id, ada.id)
    assert snapshot.room == await house.room_queries.view(room.id, ada.id)
    assert snapshot.queue == queue_view(await kept_queue(house, room.id))
    assert snapshot.messages == [message_view(each) for each in said[2:]]
    survey = await house.journal.survey([room_stream(room.id)])
    assert (snapshot.journal_epoch, snapshot.offset) == (survey.epoch, survey.spans[room_stream(room.id)].head)


async def test_a_snapshot_has_what_the_stream_tells_up_to_its_offset_and_nothing_of_what_comes_then(
    house: House,
) -> None:
    """However many write meanwhile: who goes on from the offset misses nothing, and gets nothing twice."""
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    await with_an_item(house, room)

    @retried
    async def write(number: int) -> None:
        async with house.work() as work:
            there, queue = await work.rooms.get(room.id), await work.queues.get(room.id)
            there.seek(ada.id, house.clock.now(), LEAD_MS, number)
            queue.add(there.seat(ada.id), [an_item(house, ada.id)], house.clock.now())
            work.rooms.save(there)
            work.queues.save(queue)
        await a_message(house, room.id, ada.id)

    snapshots = [await house.room_queries.snapshot(room.id, ada.id)]
    writing = asyncio.gather(*map(write, range(8)))
    while not writing.done():
        snapshots.append(await house.room_queries.snapshot(room.id, ada.id))
        await asyncio.sleep(0)
    await writing
    snapshots.append(await house.room_queries.snapshot(room.id, ada.id))
    entries = await house.journal.read(room_stream(room.id), 0, 1_000)
    for snapshot in snapshots:
        told = [entry.type.partition(".")[0] for entry in entries if entry.offset <= snapshot.offset]
        shown = snapshot.room.version, snapshot.queue.version, len(snapshot.messages)
        assert shown == tuple(map(told.count, ("room", "queue", "message")))
    assert snapshots[-1].offset == len(entries)
    assert len({snapshot.offset for snapshot in snapshots}) > 1


async def test_messages_come_in_pages_the_newest_first_and_no_more_than_the_newest_five_hundred(house: House) -> None:
    ada = await an_account(house)
    room, other = await a_room(house, ada.id), await a_room(house, ada.id)
    said = [message for times in (7, 300, 200) for message in await say_often(house, room, times)]
    await say_often(house, other, 3)
    seen: list[MessageView] = []
    cursor = None
    while True:
        page = await house.room_queries.messages(room.id, ada.id, cursor, 200)
        seen += page.data
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [message_view(message) for message in reversed(said[7:])]
    with pytest.raises(InvalidCursor):
        cursor = (await house.room_queries.messages(room.id, ada.id, None, 1)).next_cursor
        await house.room_queries.messages(other.id, ada.id, cursor, 1)
    async with house.work() as work:
        last = await work.messages.get(said[-1].id, room.id)
        last.delete(room.seat(ada.id), house.clock.now())
        work.messages.save(last)
    (newest,) = (await house.room_queries.messages(room.id, ada.id, None, 1)).data
    assert (newest.text, newest.deleted_at) == ("", house.clock.now())


async def test_older_messages_are_forgotten_in_pieces_and_at_least_the_newest_five_hundred_stay(house: House) -> None:
    ada = await an_account(house)
    room, quiet = await a_room(house, ada.id), await a_room(house, ada.id)
    said = [message for times in (11, 400, 390) for message in await say_often(house, room, times)]
    await say_often(house, quiet, MESSAGES_KEPT)
    upkeep = house.room_upkeep
    dropped = [await upkeep.forget_messages(90) for _ in range(5)]
    surplus = len(said) - MESSAGES_KEPT
    assert dropped[:2] == [90, 90]
    assert surplus - 100 < sum(dropped) <= surplus
    assert dropped[-1] == 0

    async def is_there(message: Message) -> bool:
        async with house.work() as work:
            try:
                return await work.messages.get(message.id, room.id) == message
            except NotFound:
                return False

    there = [await is_there(message) for message in said]
    assert there == [False] * sum(dropped) + [True] * (len(said) - sum(dropped))
    messages = house.room_queries.messages
    assert len((await messages(quiet.id, ada.id, None, MESSAGES_KEPT)).data) == MESSAGES_KEPT


async def test_a_room_that_was_closed_for_long_enough_goes_with_all_that_is_in_it_and_no_other(house: House) -> None:
    ada = await an_account(house)
    house.quotas.limits["rooms"] = 50
    old = [await a_room(house, ada.id) for _ in range(25)]
    for room in old:
        await with_an_item(house, room)
        await a_message(house, room.id, ada.id)
        await close(house, room)
    house.clock.advance(timedelta(days=1))
    younger, open_room = await a_room(house, ada.id), await a_room(house, ada.id)
    await close(house, younger)
    house.clock.advance(timedelta(days=29, seconds=1))
    upkeep, now, month = house.room_upkeep, house.clock.now(), timedelta(days=30)
    assert [await upkeep.forget(now, month, 23) for _ in range(3)] == [23, 2, 0]
    for room in old:
        with pytest.raises(NotFound):
            await house.room_queries.view(room.id, ada.id)
        async with house.work() as work:
            with pytest.raises(NotFound):
                await work.queues.get(room.id)
    assert [view.id for view in (await house.room_queries.page(ada.id, None, True, None, 9)).data] == [younger.id]
    assert (await house.room_queries.view(open_room.id, ada.id)).closed_at is None
    assert (await house.store.stored())["rooms"] == 2


async def test_several_who_forget_at_once_forget_each_thing_once(house: House) -> None:
    ada = await an_account(house)
    room, upkeep = await a_room(house, ada.id), house.room_upkeep
    for times in (11, 400, 390):
        await say_often(house, room, times)
    dropped = await asyncio.gather(*(upkeep.forget_messages(1_000) for _ in range(5)))
    messages = (await house.room_queries.messages(room.id, ada.id, None, 1_000)).data
    assert len(messages) == MESSAGES_KEPT
    assert 201 < sum(dropped) <= 301
    await close(house, room)
    gone = await asyncio.gather(*(upkeep.forget(house.clock.now() + timedelta(1), timedelta(), 9) for _ in range(5)))
    assert sum(gone) == 1


async def test_a_message_for_a_room_that_was_forgotten_meanwhile_is_refused(house: House) -> None:
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    seat, now = room.seat(ada.id), house.clock.now()
    message = Message.say(MessageId(house.ids.new()), room.id, None, seat, "Anybody?", None, 0, now)
    await close(house, room)
    assert await house.room_upkeep.forget(now + timedelta(days=1), timedelta(), 9) == 1
    with pytest.raises(NotFound):
        async with house.work() as work:
            work.messages.add(message)


async def test_who_is_asked_about_often_is_told_for_each_room_and_account_by_itself(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    rooms = [await a_room(house, ada.id), await a_room(house, bob.id), await a_room(house, ada.id, bob.id)]
    pairs = {(room.id, account) for room in rooms for account in (ada.id, bob.id, AccountId(uuid4()))}
    found = set(await house.room_queries.participating(pairs | {(uuid4(), ada.id)}))
    assert found == {(room.id, who.account_id) for room in rooms for who in room.participants.values()}
    await change(house, rooms[2].id, lambda r: r.remove(_id(rooms[2], bob.id), ada.id, house.clock.now()))
    assert set(await house.room_queries.participating(pairs)) == found - {(rooms[2].id, bob.id)}


def _id(room: Room, account: AccountId) -> ParticipantId:
    who = room.participant_of(account)
    assert who is not None
    return who.id


async def test_who_is_muted_is_in_the_room_and_does_not_speak(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    room = await a_room(house, ada.id, bob.id)
    pairs = {(room.id, ada.id), (room.id, bob.id), (uuid4(), ada.id)}
    assert set(await house.room_queries.speaking(pairs)) == {(room.id, ada.id), (room.id, bob.id)}
    now = house.clock.now()
    await change(house, room.id, lambda r: r.change_participant(_id(room, bob.id), ada.id, now, muted=True))
    assert set(await house.room_queries.speaking(pairs)) == {(room.id, ada.id)}
    assert set(await house.room_queries.participating(pairs)) == {(room.id, ada.id), (room.id, bob.id)}
    await change(house, room.id, lambda r: r.close(ada.id, now))
    assert not await house.room_queries.speaking(pairs)


async def test_those_open_rooms_are_found_in_which_somebody_is_connected(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    rooms = [await a_room(house, ada.id, bob.id) for _ in range(4)]
    for room, here in zip(rooms, ([ada.id], [], [ada.id, bob.id], [bob.id]), strict=True):
        async with house.work() as work:
            there = await work.rooms.get(room.id)
            there.attend(here, house.clock.now())
            work.rooms.save(there)
    await close(house, rooms[3])
    nobody, found = RoomId(UUID(int=0)), sorted([rooms[0].id, rooms[2].id])
    assert list(await house.room_queries.attended(nobody, 9)) == found
    assert list(await house.room_queries.attended(nobody, 1)) == found[:1]
    assert list(await house.room_queries.attended(found[0], 9)) == found[1:]
