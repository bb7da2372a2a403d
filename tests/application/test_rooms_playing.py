"""What plays in a room: commands and their epochs, the queue, what is said, and what happens by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from application.ports.rooms import StateView
from application.rooms import (
    ItemPatch,
    JoinRoom,
    Move,
    NewItem,
    NewItems,
    NewMessage,
    ParticipantPatch,
    QueuePatch,
    RoomReport,
    Skip,
)
from domain.errors import Exhausted, Forbidden, Invalid, NotFound, QuotaExceeded
from domain.ids import MessageId, ParticipantId, QueueItemId, RoomId
from domain.rooms import ITEMS_MAX, Muted, PlaybackStatus, QueueMode, RoomClosed, StaleEpoch
from tests.application.cinema import Cinema


async def a_show() -> tuple[Cinema, RoomId]:
    """A room of Ada's and Bob's, which plays the first of two items of a minute."""
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob)
    await cinema.put(room.id, count=2)
    await cinema.control(room.id, action="next")
    await cinema.control(room.id, action="play")
    return cinema, RoomId(room.id)


async def results(calls: list[Awaitable[object]]) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("people", [2, 8])
async def test_of_those_who_seek_at_once_one_wins_and_the_others_get_the_state_of_now(people: int) -> None:
    cinema, room = await a_show()
    crowd = [cinema.ada, *await cinema.crowd(people - 1)]
    for each in crowd[1:]:
        await cinema.entrance.join(each, room, JoinRoom())
    epoch = (await cinema.show(room)).state.epoch
    calls = [
        cinema.control(room, each, action="seek", position_ms=10_000 * n, epoch=epoch)
        for n, each in enumerate(crowd, 1)
    ]
    done = await results(list(calls))

    (won,) = (each for each in done if isinstance(each, StateView))
    lost = [each for each in done if isinstance(each, StaleEpoch)]
    assert len(lost) == people - 1
    assert (await cinema.show(room)).state == won
    for stale in lost:
        assert stale.extra["server_time"] == cinema.clock.now()
        state = stale.extra["state"]
        assert isinstance(state, dict)
        assert (state["epoch"], state["anchor_position_ms"]) == (won.epoch, won.anchor_position_ms)
    assert [event.data["epoch"] for event in await cinema.news(room) if event.type == "room.state"] == [1, 2, 3]


async def test_a_command_without_an_epoch_is_for_whatever_plays() -> None:
    cinema, room = await a_show()
    done = await results([cinema.control(room, action="seek", position_ms=n) for n in range(5)])
    assert all(isinstance(each, StateView) for each in done)
    assert (await cinema.show(room)).state.epoch == 7


async def test_every_command_does_its_own() -> None:
    cinema, room = await a_show()
    cinema.wait(seconds=10)
    paused = await cinema.control(room, action="pause")
    assert (paused.status, paused.anchor_position_ms) == (PlaybackStatus.PAUSED, 9_500)  # half a second ahead
    assert (await cinema.control(room, action="rate", rate=1.25)).rate == 1.25
    assert (await cinema.control(room, action="seek", position_ms=30_000)).anchor_position_ms == 30_000
    playing = await cinema.control(room, action="play")
    assert playing.anchor_at == cinema.clock.now() + timedelta(milliseconds=500)
    (waiting,) = (await cinema.queues.read(cinema.ada, room)).items
    loaded = await cinema.control(room, action="load", item_id=waiting.id, position_ms=5_000)
    assert (loaded.status, loaded.item_id, loaded.anchor_position_ms) == (PlaybackStatus.LOADING, waiting.id, 5_000)
    same = await cinema.control(room, action="next", item_id=UUID(int=1))
    assert same == loaded
    assert (await cinema.control(room, action="next")).status is PlaybackStatus.ENDED


@pytest.mark.parametrize(("action", "pointer"), [("seek", "/position_ms"), ("rate", "/rate"), ("load", "/item_id")])
async def test_a_command_says_what_it_needs(action: str, pointer: str) -> None:
    cinema, room = await a_show()
    with pytest.raises(Invalid) as refused:
        await cinema.control(room, action=action)
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("action", "fields", "pointer"),
    [
        ("play", {"rate": 2.0}, "/rate"),
        ("pause", {"position_ms": 5}, "/position_ms"),
        ("seek", {"position_ms": 5, "item_id": UUID(int=1)}, "/item_id"),
        ("rate", {"rate": 2.0, "position_ms": 5}, "/position_ms"),
        ("load", {"item_id": UUID(int=1), "rate": 2.0}, "/rate"),
        ("next", {"position_ms": 5}, "/position_ms"),
    ],
)
async def test_a_command_with_what_its_action_does_not_take_is_refused(
    action: str, fields: dict[str, object], pointer: str
) -> None:
    cinema, room = await a_show()
    with pytest.raises(Invalid) as refused:
        await cinema.control(room, action=action, **fields)
    assert refused.value.pointer == pointer


async def test_a_participant_commands_ten_times_in_ten_seconds() -> None:
    cinema, room = await a_show()
    done = await results([cinema.control(room, cinema.bob, action="seek", position_ms=n) for n in range(12)])
    assert [type(each) for each in done].count(Exhausted) == 2
    await cinema.control(room, cinema.ada, action="pause")


async def test_an_item_that_nobody_reports_on_starts_and_ends_by_itself_and_the_next_follows() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob)
    first, second = await cinema.put(room.id, count=2)
    await cinema.control(room.id, action="next")
    await cinema.pass_time(seconds=8)
    playing = (await cinema.show(room.id)).state
    assert (playing.status, playing.item_id) == (PlaybackStatus.PLAYING, first)
    await cinema.pass_time(seconds=63.5)
    loading = (await cinema.show(room.id)).state
    assert (loading.status, loading.item_id) == (PlaybackStatus.LOADING, second)
    await cinema.pass_time(seconds=8)
    await cinema.pass_time(seconds=63.5)
    assert (await cinema.show(room.id)).state.status is PlaybackStatus.ENDED


async def test_an_empty_room_stands_still_and_keeps_its_queue() -> None:
    cinema, room = await a_show()
    await cinema.disconnect(room, cinema.ada, cinema.bob)
    await cinema.pass_time(seconds=20)
    joined = await cinema.entrance.join(cinema.eve, room, JoinRoom())
    assert (joined.room.state.status, joined.room.state.anchor_position_ms) == (PlaybackStatus.PAUSED, 19_500)
    assert len((await cinema.queues.read(cinema.eve, room)).items) == 1


# --------------------------------------------------------------------------------------------------------------- queue


async def test_half_of_those_who_are_here_skip_an_item() -> None:
    cinema, room = await a_show()
    await cinema.entrance.join(cinema.eve, room, JoinRoom())
    await cinema.connect(room, cinema.eve)
    before = (await cinema.show(room)).state
    assert await cinema.rooms.skip(cinema.bob, room, Skip()) == before
    after = await cinema.rooms.skip(cinema.eve, room, Skip(before.epoch))
    assert (after.status, after.epoch) == (PlaybackStatus.LOADING, before.epoch + 1)
    with pytest.raises(StaleEpoch):
        await cinema.rooms.skip(cinema.ada, room, Skip(before.epoch))


async def remove(cinema: Cinema, room: RoomId) -> None:
    bob = next(each for each in (await cinema.show(room)).participants if each.display_name == "Bob")
    await cinema.rooms.remove(cinema.ada, room, ParticipantId(bob.id))


async def disable(cinema: Cinema) -> None:
    async with cinema.work() as work:
        bob = await work.accounts.get(cinema.bob.account_id)
        bob.disable(cinema.clock.now())
        work.accounts.save(bob)
    await cinema.follow_up()


GOINGS: dict[str, Callable[[Cinema, RoomId], Awaitable[object]]] = {
    "leaves": lambda c, room: c.rooms.leave(c.bob, room),
    "is sent out": remove,
    "loses the connection": lambda c, room: c.disconnect(room, c.bob),
    "is disabled": lambda c, room: disable(c),
}


@pytest.mark.parametrize("how", GOINGS)
async def test_an_item_is_skipped_by_half_of_those_who_are_left_when_somebody(how: str) -> None:
    cinema, room = await a_show()
    await cinema.entrance.join(cinema.eve, room, JoinRoom())
    await cinema.connect(room, cinema.eve)
    before = (await cinema.show(room)).state
    await cinema.rooms.skip(cinema.eve, room, Skip())
    await GOINGS[how](cinema, room)
    after = (await cinema.show(room)).state
    assert (after.item_id != before.item_id, after.status) == (True, PlaybackStatus.LOADING)
    assert (await cinema.queues.read(cinema.ada, room)).skips == ()


async def test_who_goes_last_of_all_that_still_watch_ends_the_item_and_the_next_follows() -> None:
    cinema, room = await a_show()
    before = (await cinema.show(room)).state
    cinema.wait(seconds=60)
    ended = RoomReport(before.epoch, before.item_id, 59_500, ended=True)
    await cinema.house.room_reports().report(cinema.ada, room, ended)
    assert (await cinema.show(room)).state == before
    await cinema.rooms.leave(cinema.bob, room)
    assert (await cinema.show(room)).state.item_id != before.item_id


async def test_the_queue_is_changed_by_those_who_are_in() -> None:
    cinema, room = await a_show()
    added = await cinema.queues.add_many(
        cinema.bob, room, NewItems([NewItem("https://films.example/2", "Second"), NewItem("https://films.example/3")])
    )
    second, third = (QueueItemId(each.id) for each in added.items[-2:])
    await cinema.queues.vote(cinema.bob, room, third, True)
    moved = await cinema.queues.move(cinema.ada, room, third, Move(0))
    assert (moved.items[0].id, moved.items[0].votes) == (third, (cinema.bob.account_id,))
    edited = await cinema.queues.edit(cinema.bob, room, second, ItemPatch(title="The second"))
    assert edited.title == "The second"
    await cinema.queues.remove(cinema.bob, room, second)
    assert (await cinema.queues.arrange(cinema.ada, room, QueuePatch(QueueMode.VOTE))).mode is QueueMode.VOTE
    assert (await cinema.control(room, action="next")).item_id == third
    with pytest.raises(Forbidden):
        await cinema.queues.arrange(cinema.bob, room, QueuePatch(QueueMode.LOOP))
    with pytest.raises(NotFound):
        await cinema.queues.add(cinema.eve, room, NewItem("https://films.example/4"))
    with pytest.raises(NotFound):
        await cinema.queues.read(cinema.eve, room)
    with pytest.raises(QuotaExceeded):
        for _ in range(3):
            await cinema.queues.add_many(
                cinema.ada, room, NewItems([NewItem("https://films.example/5")] * (ITEMS_MAX // 2))
            )


async def test_the_host_says_how_long_an_item_is() -> None:
    cinema, room = await a_show()
    item = (await cinema.show(room)).state.item_id
    assert item
    await cinema.queues.edit(cinema.ada, room, QueueItemId(item), ItemPatch(duration_ms=30_000))
    assert (await cinema.show(room)).state.duration_ms == 30_000
    await cinema.pass_time(seconds=34)
    assert (await cinema.show(room)).state.item_id != item


# ------------------------------------------------------------------------------------------------------------- messages


async def test_a_message_keeps_where_the_item_was_and_does_not_touch_the_room() -> None:
    cinema, room = await a_show()
    before = await cinema.show(room)
    cinema.wait(seconds=5)
    said = await cinema.chat.say(cinema.bob, room, NewMessage("Look at that!"))
    assert (said.display_name, said.text, said.position_ms) == ("Bob", "Look at that!", 4_500)
    assert await cinema.show(room) == before
    assert (await cinema.chat.page(cinema.ada, room, None, 50)).data == [said]
    await cinema.chat.delete(cinema.ada, room, MessageId(said.id))
    assert [each.text for each in (await cinema.chat.page(cinema.ada, room, None, 50)).data] == [""]
    types = [event.type for event in (await cinema.chat.history(cinema.bob, room, None, 50)).data]
    assert types[:2] == ["message.deleted", "message.said"]


async def test_nobody_says_more_than_five_things_in_five_seconds_or_anything_while_muted() -> None:
    cinema, room = await a_show()
    bob = ParticipantId((await cinema.show(room)).participants[1].id)
    done = await results([cinema.chat.say(cinema.bob, room, NewMessage("Hm.")) for _ in range(7)])
    assert [type(each) for each in done].count(Exhausted) == 2
    await cinema.rooms.change_participant(cinema.ada, room, bob, ParticipantPatch(muted=True))
    cinema.house.limits().enabled = False
    with pytest.raises(Muted):
        await cinema.chat.say(cinema.bob, room, NewMessage("Hm."))
    await cinema.rooms.leave(cinema.bob, room)
    await cinema.entrance.join(cinema.bob, room, JoinRoom())
    with pytest.raises(Muted):
        await cinema.chat.say(cinema.bob, room, NewMessage("Hm."))
    with pytest.raises(NotFound):
        await cinema.chat.say(cinema.eve, room, NewMessage("Hm."))
    await cinema.rooms.close(cinema.ada, room)
    with pytest.raises(RoomClosed):
        await cinema.chat.say(cinema.ada, room, NewMessage("Hm."))
    assert (await cinema.chat.history(cinema.bob, room, None, 50)).data
