"""What every repository of rooms, of their queues and of their messages promises."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from application.ports.rooms import MessageRepository, QueueRepository, RoomRepository
from application.ports.unit_of_work import Stale
from domain.errors import NotFound, QuotaExceeded
from domain.ids import AccountId, MessageId, ParticipantId, RoomId, WorkspaceId
from domain.rooms import (
    Control,
    HostLeave,
    Message,
    Policies,
    Progress,
    Queue,
    QueueMode,
    Report,
    Room,
    RoomClosed,
    RoomExpired,
    RoomRole,
    Visibility,
    Wait,
    room_stream,
)
from tests.contracts.house import House
from tests.support.builders import Work, a_code, a_message, a_room, a_team, an_account, an_item

PORTS = (RoomRepository, QueueRepository, MessageRepository)
LEAD_MS = 300


async def kept(house: House, id: RoomId) -> Room:
    async with house.work() as work:
        return await work.rooms.get(id)


async def kept_queue(house: House, id: RoomId) -> Queue:
    async with house.work() as work:
        return await work.queues.get(id)


async def change(house: House, id: RoomId, verb: Callable[[Room], object]) -> Room:
    async with house.work() as work:
        room = await work.rooms.get(id)
        verb(room)
        work.rooms.save(room)
    return room


async def with_an_item(house: House, room: Room) -> Queue:
    """The queue of a room in which its host has put an item, which it loads."""
    by, now = room.created_by, house.clock.now()
    async with house.work() as work:
        there, queue = await work.rooms.get(room.id), await work.queues.get(room.id)
        queue.add(there.seat(by), [an_item(house, by)], now)
        there.load(queue, queue.items[0].id, by, now, LEAD_MS)
        work.rooms.save(there)
        work.queues.save(queue)
    return queue


async def test_a_room_comes_back_as_it_was_saved(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id)
    room = await a_room(
        house,
        ada.id,
        bob.id,
        workspace_id=team.id,
        visibility=Visibility.WORKSPACE,
        password_hash="a hash",
        max_participants=7,
        policies=Policies(Control.MODERATORS, Wait.QUORUM, HostLeave.PAUSE),
    )
    assert await kept(house, room.id) == room
    await change(house, room.id, lambda r: r.attend([ada.id, bob.id], house.clock.now()))
    await with_an_item(house, room)
    house.clock.advance(timedelta(seconds=1, microseconds=7))
    loading = await kept(house, room.id)
    assert loading.playback.status == "loading"
    ready = Report(loading.playback.epoch, loading.playback.item_id, 0, ready=True, duration_ms=90_000)
    await change(house, room.id, lambda r: r.report(ada.id, ready, house.clock.now(), LEAD_MS))
    await change(house, room.id, lambda r: r.report(bob.id, ready, house.clock.now(), LEAD_MS))
    await change(house, room.id, lambda r: r.set_rate(ada.id, house.clock.now(), 1.25))
    house.clock.advance(timedelta(seconds=5))
    stuck = replace(ready, epoch=(await kept(house, room.id)).playback.epoch, ready=False, buffering=True)
    said = await change(house, room.id, lambda r: r.report(bob.id, stuck, house.clock.now(), LEAD_MS))
    assert await kept(house, room.id) == said
    house.clock.advance(timedelta(seconds=3))
    changed = await change(house, room.id, lambda r: r.elapse(house.clock.now()))
    assert changed.participant_of(bob.id).holds  # type: ignore[union-attr]
    assert await kept(house, room.id) == changed


async def test_every_change_of_settings_and_people_is_kept(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    room = await a_room(house, ada.id, bob.id, eve.id)
    now = house.clock.now()
    ids = {who.account_id: who.id for who in room.participants.values()}
    verbs: list[Callable[[Room], object]] = [
        lambda r: r.change(ada.id, now, name="Other", max_participants=4, allow_guests=True, policies=Policies()),
        lambda r: r.change(ada.id, now, policies=Policies(Control.HOST, Wait.NONE, HostLeave.PAUSE)),
        lambda r: r.set_password(ada.id, now, "another hash"),
        lambda r: r.extend(ada.id, now),
        lambda r: r.change_participant(ids[bob.id], ada.id, now, RoomRole.MODERATOR, True),
        lambda r: r.attend([ada.id], now),
        lambda r: r.leave(bob.id, bob.id, now),
        lambda r: r.join(ids[bob.id], bob.id, "Bob", now),
        lambda r: r.transfer(ids[bob.id], ada.id, now),
        lambda r: r.remove(ids[eve.id], bob.id, now, a_code()),
        lambda r: r.leave(bob.id, bob.id, now),
        lambda r: r.close(ada.id, now),
    ]
    for verb in verbs:
        changed = await change(house, room.id, verb)
        assert await kept(house, room.id) == changed
    assert changed.banned == (eve.id,)
    assert changed.closed_at == now


async def test_an_absent_room_is_not_found_and_neither_is_what_would_be_in_it(house: House) -> None:
    ada = await an_account(house)
    finds: list[Callable[[Work], Awaitable[object]]] = [
        lambda work: work.rooms.get(RoomId(uuid4())),
        lambda work: work.rooms.by_code("00000000"),
        lambda work: work.rooms.seat(RoomId(uuid4()), ada.id),
        lambda work: work.queues.get(RoomId(uuid4())),
        lambda work: work.messages.get(MessageId(uuid4()), RoomId(uuid4())),
    ]
    for find in finds:
        async with house.work() as work:
            with pytest.raises(NotFound):
                await find(work)


async def test_a_code_leads_to_its_open_room_or_to_the_one_that_was_closed_last(house: House) -> None:
    ada = await an_account(house)
    first = await a_room(house, ada.id, join_code="7KQ2M4XZ")
    async with house.work() as work:
        assert (await work.rooms.by_code("7KQ2M4XZ")).id == first.id
    with pytest.raises(Stale):
        await a_room(house, ada.id, join_code="7KQ2M4XZ")
    other, joined = await a_room(house, ada.id), await an_account(house, "Bob")
    code = other.join_code
    await change(house, other.id, lambda r: r.join(ParticipantId(uuid4()), joined.id, "Bob", house.clock.now()))
    who = (await kept(house, other.id)).participant_of(joined.id)
    assert who is not None
    with pytest.raises(Stale):
        await change(house, other.id, lambda r: r.remove(who.id, ada.id, house.clock.now(), "7KQ2M4XZ"))
    assert (await kept(house, other.id)).join_code == code
    await change(house, first.id, lambda r: r.close(ada.id, house.clock.now()))
    async with house.work() as work:
        assert (await work.rooms.by_code("7KQ2M4XZ")).closed_at is not None
    second = await a_room(house, ada.id, join_code="7KQ2M4XZ")
    async with house.work() as work:
        assert (await work.rooms.by_code("7KQ2M4XZ")).id == second.id
    house.clock.advance(timedelta(seconds=1))
    await change(house, second.id, lambda r: r.close(ada.id, house.clock.now()))
    async with house.work() as work:
        assert (await work.rooms.by_code("7KQ2M4XZ")).id == second.id
    await house.room_upkeep.forget(house.clock.now() + timedelta(days=1), timedelta(), 9)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.rooms.by_code("7KQ2M4XZ")


async def test_a_seat_is_that_of_its_room_and_a_closed_room_has_none(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    room = await a_room(house, ada.id, bob.id, policies=Policies(Control.HOST))
    await with_an_item(house, room)
    room = await kept(house, room.id)
    async with house.work() as work:
        assert await work.rooms.seat(room.id, bob.id) == (room.seat(bob.id), None, room.playback)
        with pytest.raises(NotFound):
            await work.rooms.seat(room.id, eve.id)
    await change(house, room.id, lambda r: r.close(ada.id, house.clock.now(), "workspace_deleted"))
    with pytest.raises(RoomClosed) as refused:
        async with house.work() as work:
            await work.rooms.seat(room.id, bob.id)
    assert refused.value.extra == {"reason": "workspace_deleted", "closed_at": house.clock.now()}
    other = await a_room(house, ada.id)
    house.clock.advance(timedelta(days=2))
    await change(house, other.id, lambda r: r.elapse(house.clock.now()))
    with pytest.raises(NotFound if (await kept(house, other.id)).participant_of(ada.id) is None else RoomExpired):
        async with house.work() as work:
            await work.rooms.seat(other.id, ada.id)


async def test_open_rooms_are_found_by_who_is_in_them_and_by_their_workspace(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id)
    plain = await a_room(house, ada.id, bob.id)
    for_members = {"workspace_id": team.id, "visibility": Visibility.WORKSPACE}
    there, closed = [await a_room(house, ada.id, bob.id, **for_members) for _ in range(2)]
    with_a_code = await a_room(house, ada.id, bob.id, workspace_id=team.id)
    alone = await a_room(house, ada.id, **for_members)
    await change(house, closed.id, lambda r: r.close(ada.id, house.clock.now()))

    async def found(account: AccountId, most: int = 9, workspace: WorkspaceId | None = None) -> set[RoomId]:
        async with house.work() as work:
            return {room.id for room in await work.rooms.of_account(account, most, workspace)}

    assert await found(bob.id) == {plain.id, there.id, with_a_code.id}
    assert await found(bob.id, workspace=team.id) == {there.id}
    assert await found(ada.id, workspace=team.id) == {there.id, alone.id}
    assert len(await found(ada.id, most=2)) == 2
    async with house.work() as work:
        assert {room.id for room in await work.rooms.of_workspace(team.id, 9)} == {
            there.id,
            with_a_code.id,
            alone.id,
        }
        (one,) = await work.rooms.of_workspace(team.id, 1)
        one.close(None, house.clock.now(), "workspace_deleted")
        work.rooms.save(one)
    assert (await kept(house, one.id)).close_reason == "workspace_deleted"


async def test_an_account_opens_as_many_rooms_as_its_quota_and_a_closed_one_makes_room(house: House) -> None:
    house.quotas.limits["rooms"] = 2
    ada, bob = await an_account(house), await an_account(house, "Bob")
    first, _ = [await a_room(house, ada.id) for _ in range(2)]
    with pytest.raises(QuotaExceeded):
        await a_room(house, ada.id)
    await a_room(house, bob.id, ada.id)
    await change(house, first.id, lambda r: r.seek(ada.id, house.clock.now(), 0, 0) if r.playback.item_id else None)
    await change(house, first.id, lambda r: r.close(ada.id, house.clock.now()))
    await a_room(house, ada.id)
    with pytest.raises(QuotaExceeded):
        await a_room(house, ada.id)


async def test_a_workspace_has_as_many_rooms_as_its_quota_whoever_opens_them(house: House) -> None:
    house.quotas.limits["workspace_rooms"] = 2
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id)
    first, _ = [await a_room(house, who.id, workspace_id=team.id) for who in (ada, bob)]
    with pytest.raises(QuotaExceeded):
        await a_room(house, bob.id, workspace_id=team.id)
    await a_room(house, bob.id)
    await change(house, first.id, lambda r: r.close(ada.id, house.clock.now()))
    await a_room(house, bob.id, workspace_id=team.id)


async def test_a_queue_is_there_with_its_room_and_comes_back_as_it_was_saved(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    room = await a_room(house, ada.id, workspace_id=team.id)
    assert await kept_queue(house, room.id) == Queue(room.id, team.id)
    seat, now = room.seat(ada.id), house.clock.now()
    items = [an_item(house, ada.id, f"Part {n}") for n in range(14)]
    verbs: list[Callable[[Queue], object]] = [
        lambda q: q.add(seat, items[:1], now),
        lambda q: q.add(seat, items[1:], now),
        lambda q: q.move(seat, items[3].id, 0, now),
        lambda q: q.vote(seat, items[5].id, now),
        lambda q: q.set_mode(seat, QueueMode.VOTE, now),
        lambda q: q.next(ada.id, now),
        lambda q: q.vote_skip(seat, [ada.id, AccountId(uuid4()), AccountId(uuid4())], now),
        lambda q: q.edit(seat, items[5].id, now, title="Other", duration_ms=7),
        lambda q: q.remove(seat, items[7].id, now),
        lambda q: q.set_mode(seat, QueueMode.LOOP, now),
        lambda q: q.next(ada.id, now),
        lambda q: q.take(items[9].id, ada.id, now),
    ]
    for verb in verbs:
        async with house.work() as work:
            queue = await work.queues.get(room.id)
            verb(queue)
            work.queues.save(queue)
        assert await kept_queue(house, room.id) == queue
    assert {item.id for item in queue.items} | {items[9].id} == {item.id for item in items} - {items[7].id}
    assert (await kept(house, room.id)).version == room.version


async def test_a_queue_that_was_changed_meanwhile_is_stale_the_first_time_too(house: House) -> None:
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    seat = room.seat(ada.id)
    for _ in range(2):
        before = await kept_queue(house, room.id)
        with pytest.raises(Stale):
            async with house.work() as work:
                queue = await work.queues.get(room.id)
                queue.add(seat, [an_item(house, ada.id)], house.clock.now())
                work.queues.save(queue)
                async with house.work() as other:
                    faster = await other.queues.get(room.id)
                    faster.add(seat, [an_item(house, ada.id, "Faster")], house.clock.now())
                    other.queues.save(faster)
        assert [item.title for item in (await kept_queue(house, room.id)).items[len(before.items) :]] == ["Faster"]


async def test_a_message_comes_back_as_it_was_said_and_deleted_and_only_in_its_room(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    room, other = await a_room(house, ada.id, bob.id), await a_room(house, ada.id)
    await with_an_item(house, room)
    said = await a_message(house, room.id, bob.id, "Ä 🚀")

    async def message() -> Message:
        async with house.work() as work:
            with pytest.raises(NotFound):
                await work.messages.get(said.id, other.id)
            return await work.messages.get(said.id, room.id)

    assert await message() == said
    assert said.item_id is not None
    with pytest.raises(Stale):
        async with house.work() as work:
            slower = await work.messages.get(said.id, room.id)
            slower.delete(room.seat(ada.id), house.clock.now())
            work.messages.save(slower)
            async with house.work() as faster:
                deleted = await faster.messages.get(said.id, room.id)
                deleted.delete(room.seat(bob.id), house.clock.now())
                faster.messages.save(deleted)
    assert await message() == deleted
    assert (deleted.text, deleted.deleted_at) == ("", house.clock.now())


async def test_what_a_room_its_queue_and_its_messages_tell_stands_in_one_stream(house: House) -> None:
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    await with_an_item(house, room)
    await a_message(house, room.id, ada.id)
    entries = await house.journal.read(room_stream(room.id), 0, 100)
    assert [entry.type for entry in entries] == [
        "room.created",
        "room.state",
        "queue.added",
        "queue.advanced",
        "message.said",
    ]


async def test_the_participant_that_a_progress_belongs_to_is_the_only_one_that_changes(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    room = await a_room(house, ada.id, bob.id)
    await change(house, room.id, lambda r: r.attend([ada.id, bob.id], house.clock.now()))
    await with_an_item(house, room)
    now = await kept(house, room.id)
    ready = Report(now.playback.epoch, now.playback.item_id, 0, ready=True)
    await change(house, room.id, lambda r: r.report(bob.id, ready, house.clock.now(), LEAD_MS))
    progress = {who.account_id: who.progress for who in (await kept(house, room.id)).participants.values()}
    assert progress == {ada.id: Progress.LOADING, bob.id: Progress.READY}


async def test_a_room_is_due_when_it_says_and_a_closed_one_never(house: House) -> None:
    ada = await an_account(house)
    room, other = await a_room(house, ada.id), await a_room(house, ada.id)
    now, deadlines = house.clock.now(), house.room_deadlines
    assert room.due_at is not None
    assert (await deadlines.look(now, 9)).first_at == room.due_at
    assert {late.id for late in await deadlines.late(room.due_at, 9)} == {room.id, other.id}
    changed = await change(house, room.id, lambda r: r.attend([ada.id], now))
    assert changed.due_at is not None
    assert changed.due_at > room.due_at
    assert {late.id for late in await deadlines.late(room.due_at, 9)} == {other.id}
    assert [late.due_at for late in await deadlines.late(changed.due_at, 9)] == [other.due_at, changed.due_at]
    for each in (room, other):
        await change(house, each.id, lambda r: r.close(ada.id, now))
    assert (await deadlines.look(now, 9)).first_at is None
