"""What rooms promise when many change them at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from application.ports.unit_of_work import Stale, retried
from domain.ids import AccountId, MessageId, ParticipantId
from domain.rooms import Control, Message, Policies, Room, RoomFull, RoomRole, StaleEpoch
from tests.contracts.house import House
from tests.contracts.test_rooms import LEAD_MS, change, kept, with_an_item
from tests.support.builders import a_message, a_room, an_account, an_item


async def test_of_forty_who_come_at_once_as_many_get_in_as_there_is_room_for(house: House) -> None:
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    await change(house, room.id, lambda r: r.leave(ada.id, ada.id, house.clock.now()))

    @retried
    async def join(account: AccountId) -> None:
        await change(
            house, room.id, lambda r: r.join(ParticipantId(house.ids.new()), account, "Somebody", house.clock.now())
        )

    accounts = [AccountId(uuid4()) for _ in range(40)]
    came = await asyncio.gather(*map(join, accounts), return_exceptions=True)
    assert [each for each in came if each is not None and not isinstance(each, RoomFull)] == []
    there = await kept(house, room.id)
    assert came.count(None) == len(there.participants) == 10
    assert {who.account_id for who in there.participants.values()} == {
        account for account, outcome in zip(accounts, came, strict=True) if outcome is None
    }
    assert [who.role for who in there.participants.values()].count(RoomRole.HOST) == 1
    asked = {(room.id, account) for account in accounts}
    assert len(await house.room_queries.participating(asked)) == 10


async def test_a_second_device_of_an_account_is_the_same_participant_even_at_the_same_moment(house: House) -> None:
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    account = AccountId(uuid4())

    @retried
    async def join() -> ParticipantId:
        async with house.work() as work:
            there = await work.rooms.get(room.id)
            who = there.join(ParticipantId(house.ids.new()), account, "Bob", house.clock.now())
            work.rooms.save(there)
        return who.id

    assert len(set(await asyncio.gather(*(join() for _ in range(8))))) == 1
    assert len((await kept(house, room.id)).participants) == 2


async def test_of_many_commands_for_one_epoch_one_wins_and_the_others_are_told_the_state(house: House) -> None:
    ada = await an_account(house)
    room = await a_room(house, ada.id)
    await with_an_item(house, room)
    epoch = (await kept(house, room.id)).playback.epoch

    @retried
    async def seek(to: int) -> None:
        await change(house, room.id, lambda r: r.seek(ada.id, house.clock.now(), LEAD_MS, to, epoch))

    sought = await asyncio.gather(*(seek(1_000 * n) for n in range(8)), return_exceptions=True)
    assert sought.count(None) == 1
    refused = [each for each in sought if isinstance(each, StaleEpoch)]
    there = (await kept(house, room.id)).playback
    assert len(refused) == 7
    assert there.epoch == epoch + 1
    assert there.anchor_position_ms == 1_000 * sought.index(None)
    assert [each.extra["state"] for each in refused] == [there.snapshot()] * 7


async def test_what_is_said_and_queued_meanwhile_makes_no_command_stale_nor_the_other_way_round(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    room = await a_room(house, ada.id, bob.id)
    await with_an_item(house, room)
    before = await kept(house, room.id)
    async with house.work() as work:
        there = await work.rooms.get(room.id)
        await a_message(house, room.id, bob.id)
        async with house.work() as other:
            seat, *_ = await other.rooms.seat(room.id, bob.id)
            queue = await other.queues.get(room.id)
            queue.add(seat, [an_item(house, bob.id)], house.clock.now())
            other.queues.save(queue)
        there.seek(ada.id, house.clock.now(), LEAD_MS, 7_000)
        work.rooms.save(there)
    async with house.work() as work:
        seat, workspace, _ = await work.rooms.seat(room.id, bob.id)
        await change(house, room.id, lambda r: r.seek(ada.id, house.clock.now(), LEAD_MS, 8_000))
        id = MessageId(house.ids.new())
        work.messages.add(Message.say(id, room.id, workspace, seat, "Still here.", None, 0, house.clock.now()))
    assert (await kept(house, room.id)).version == before.version + 2
    assert len((await house.room_queries.messages(room.id, bob.id, None, 9)).data) == 2


def _who(room: Room, account: AccountId) -> ParticipantId:
    who = room.participant_of(account)
    assert who is not None
    return who.id


@pytest.mark.parametrize("verb", ["remove", "leave", "mute", "promote", "close", "control"])
@pytest.mark.parametrize("what", ["say", "queue"])
async def test_nobody_says_or_queues_anything_once_they_may_not_any_more(house: House, verb: str, what: str) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    room = await a_room(house, ada.id, bob.id)
    now, bobs = house.clock.now(), _who(room, bob.id)
    verbs: dict[str, Callable[[Room], object]] = {
        "remove": lambda r: r.remove(bobs, ada.id, now),
        "leave": lambda r: r.leave(bob.id, bob.id, now),
        "mute": lambda r: r.change_participant(bobs, ada.id, now, muted=True),
        "promote": lambda r: r.change_participant(bobs, ada.id, now, RoomRole.MODERATOR),
        "close": lambda r: r.close(ada.id, now),
        "control": lambda r: r.change(ada.id, now, policies=Policies(Control.HOST)),
    }
    with pytest.raises(Stale):
        async with house.work() as work:
            seat, workspace, _ = await work.rooms.seat(room.id, bob.id)
            if what == "say":
                id = MessageId(house.ids.new())
                work.messages.add(Message.say(id, room.id, workspace, seat, "Too late.", None, 0, now))
            else:
                queue = await work.queues.get(room.id)
                queue.add(seat, [an_item(house, bob.id)], now)
                work.queues.save(queue)
            await change(house, room.id, verbs[verb])
    snapshot = await house.room_queries.snapshot(room.id, ada.id)
    assert (snapshot.messages, snapshot.queue.items) == ([], [])


async def test_many_who_talk_and_seek_and_vote_at_once_wait_for_each_other_and_none_is_lost(house: House) -> None:
    accounts = [(await an_account(house)).id for _ in range(4)]
    room = await a_room(house, *accounts)
    queue = await with_an_item(house, room)
    assert queue.current is not None

    @retried
    async def seek(account: AccountId) -> None:
        await change(house, room.id, lambda r: r.seek(account, house.clock.now(), LEAD_MS, 1))

    @retried
    async def add(account: AccountId) -> None:
        async with house.work() as work:
            seat, *_ = await work.rooms.seat(room.id, account)
            queue = await work.queues.get(room.id)
            queue.add(seat, [an_item(house, account)], house.clock.now())
            work.queues.save(queue)

    @retried
    async def say(account: AccountId) -> None:
        await a_message(house, room.id, account)

    doings: list[Callable[[AccountId], Awaitable[None]]] = [seek, add, say, say]
    before = await kept(house, room.id)
    await asyncio.gather(*(do(account) for account in accounts for do in doings))
    snapshot = await house.room_queries.snapshot(room.id, accounts[0])
    assert snapshot.room.version == before.version + 4
    assert len(snapshot.queue.items) == 4
    assert len(snapshot.messages) == 8
