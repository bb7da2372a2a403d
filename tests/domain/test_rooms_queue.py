"""What a room plays next, who wants it, and what is said in it."""

from uuid import UUID

import pytest

from domain.errors import Forbidden, Invalid, NotFound, QuotaExceeded
from domain.ids import AccountId, MessageId, QueueItemId
from domain.rooms import (
    ITEMS_MAX,
    MESSAGE_MAX,
    URL_MAX_BYTES,
    Control,
    Message,
    Muted,
    Playback,
    Policies,
    Queue,
    QueueItem,
    QueueMode,
    Room,
)
from tests.support.rooms import ADA, BOB, EVE, NOW, WORKSPACE, a_queue, a_room, an_item, place_of, told, types

LEAD = 300


def ids(queue: Queue) -> list[int]:
    return [item.id.int - 100 for item in queue.items]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://films.example/1",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "//films.example/1",
        "films.example/1",
        "https://",
        "https://:80/",
        "http://[::1",
        "https://films.example:0/",
        "https://films.example:99999/",
        "https://ada:secret@films.example/",
        "https://films.example/a b",
        "https://films.example/\u202e1",
        "https://films.example/\x00",
        "https://films.example/" + "a" * URL_MAX_BYTES,
        "https://films.example/" + "ä" * (URL_MAX_BYTES // 2),
        "",
    ],
)
def test_only_addresses_of_http_are_played(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        QueueItem.of(QueueItemId(UUID(int=1)), url, "", None, ADA, NOW)
    assert refused.value.pointer == "/url"


@pytest.mark.parametrize("url", ["http://films.example", "HTTPS://films.example:8443/ä?t=1#x", "https://[::1]/1"])
def test_an_address_stays_as_it_is(url: str) -> None:
    assert QueueItem.of(QueueItemId(UUID(int=1)), f" {url} ", "", None, ADA, NOW).url == url


@pytest.mark.parametrize("duration_ms", [0, -1, 7 * 24 * 3_600_000 + 1])
def test_a_duration_has_bounds(duration_ms: int) -> None:
    with pytest.raises(Invalid):
        an_item(1, duration_ms)


def test_items_stand_in_the_order_in_which_they_came() -> None:
    room = a_room(workspace_id=WORKSPACE)
    queue = Queue(room.id, WORKSPACE)
    queue.add(room.seat(ADA), [an_item(1), an_item(2)], NOW)
    news = queue.take_news()
    assert (ids(queue), types(news), queue.version) == ([1, 2], ["queue.added"] * 2, 2)
    assert {(event.stream, event.within) for event in news} == {(f"room:{room.id}", f"workspace:{WORKSPACE}")}


def test_a_queue_holds_two_hundred_and_takes_all_or_none() -> None:
    room = a_room()
    queue = a_queue(room, items=ITEMS_MAX - 1)
    with pytest.raises(QuotaExceeded):
        queue.add(room.seat(ADA), [an_item(500), an_item(501)], NOW)
    queue.add(room.seat(ADA), [an_item(500)], NOW)
    assert len(queue.items) == ITEMS_MAX


def test_members_arrange_what_is_their_own_and_moderators_everything() -> None:
    room = a_room(BOB)
    queue = a_queue(room, items=2)
    bob = room.seat(BOB)
    queue.add(bob, [an_item(3, by=BOB)], NOW)
    with pytest.raises(Forbidden):
        queue.remove(bob, an_item(1).id, NOW)
    with pytest.raises(Forbidden):
        queue.edit(bob, an_item(1).id, NOW, title="Mine")
    with pytest.raises(Forbidden):
        queue.move(bob, an_item(3).id, 0, NOW)
    with pytest.raises(Forbidden):
        queue.set_mode(bob, QueueMode.LOOP, NOW)
    queue.edit(bob, an_item(3).id, NOW, title="Mine")
    queue.remove(bob, an_item(3).id, NOW)
    queue.take_news()
    queue.remove(room.seat(ADA), an_item(1).id, NOW)
    assert ids(queue) == [2]
    assert told(queue.take_news(), "queue.removed") == [{"item_id": an_item(1).id}]


@pytest.mark.parametrize(("position", "order"), [(0, [3, 1, 2]), (1, [1, 3, 2]), (9, [1, 2, 3]), (-4, [3, 1, 2])])
def test_an_item_is_moved_to_a_place(position: int, order: list[int]) -> None:
    room = a_room()
    queue = a_queue(room)
    queue.move(room.seat(ADA), an_item(3).id, position, NOW)
    assert ids(queue) == order
    assert [data["position"] for data in told(queue.take_news(), "queue.moved")] == [order.index(3)] * (position != 9)


def test_what_stays_the_same_in_a_queue_is_not_told() -> None:
    room = a_room()
    queue, seat = a_queue(room), room.seat(ADA)
    queue.set_mode(seat, QueueMode.MANUAL, NOW)
    queue.edit(seat, an_item(1).id, NOW, title="Film 1")
    queue.vote(seat, an_item(1).id, NOW, wanted=False)
    assert types(queue.take_news()) == []


def test_of_an_item_only_what_changed_is_told() -> None:
    room = a_room()
    queue = a_queue(room)
    queue.edit(room.seat(ADA), an_item(1).id, NOW, title="Another", duration_ms=60_000)
    queue.set_mode(room.seat(ADA), QueueMode.VOTE, NOW)
    first, second = queue.take_news()
    assert (first.changes, first.data) == ({"title": ("Film 1", "Another")}, {"item_id": an_item(1).id})
    assert (second.changes, second.data) == ({"mode": (QueueMode.MANUAL, QueueMode.VOTE)}, {"item_id": None})


def test_the_item_with_most_votes_is_next_and_of_equals_the_first() -> None:
    room = a_room(BOB, EVE)
    queue = a_queue(room, mode=QueueMode.VOTE)
    for account in (BOB, BOB, EVE):
        queue.vote(room.seat(account), an_item(3).id, NOW)
    queue.vote(room.seat(ADA), an_item(2).id, NOW)
    assert [data["votes"] for data in told(queue.take_news(), "queue.voted")] == [1, 2, 1]
    queue.vote(room.seat(EVE), an_item(3).id, NOW, wanted=False)
    room.next(queue, ADA, NOW, LEAD)

    assert (queue.current and queue.current.id, queue.current and queue.current.votes) == (an_item(2).id, ())
    assert ids(queue) == [1, 3]


def test_an_item_is_played_out_of_turn() -> None:
    room = a_room()
    queue = a_queue(room)
    room.load(queue, an_item(2).id, ADA, NOW, LEAD)
    room.load(queue, an_item(2).id, ADA, NOW, LEAD, position_ms=5_000)
    assert (room.playback.item_id, room.playback.anchor_position_ms, ids(queue)) == (an_item(2).id, 5_000, [1, 3])
    assert types(queue.take_news()) == ["queue.advanced"]
    with pytest.raises(NotFound):
        room.load(queue, an_item(9).id, ADA, NOW, LEAD)


def test_a_loop_of_one_item_plays_it_again() -> None:
    room = a_room()
    queue = a_queue(room, items=1, mode=QueueMode.LOOP)
    room.next(queue, ADA, NOW, LEAD)
    room.next(queue, ADA, NOW, LEAD)
    assert (room.playback.epoch, room.playback.item_id, ids(queue)) == (2, an_item(1).id, [])


@pytest.mark.parametrize(("here", "votes_needed"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_an_item_is_skipped_by_half_of_those_who_are_here(here: int, votes_needed: int) -> None:
    people = [ADA, *(AccountId(UUID(int=n)) for n in range(20, 19 + here))]
    room = a_room(*people[1:], AccountId(UUID(int=40)))  # the last one is never there
    room.attend(people, NOW)
    queue = a_queue(room)
    room.next(queue, ADA, NOW, LEAD)
    for votes, account in enumerate(people[:votes_needed]):
        assert room.playback.epoch == 1, votes
        room.skip(queue, account, NOW, LEAD)
        if votes + 1 < votes_needed:
            room.skip(queue, account, NOW, LEAD)
    assert (room.playback.epoch, room.playback.item_id, queue.skips) == (2, an_item(2).id, ())


def test_who_goes_leaves_an_item_to_the_votes_of_the_others() -> None:
    people = [ADA, BOB, EVE, AccountId(UUID(int=4)), AccountId(UUID(int=5))]
    room = a_room(*people[1:])
    room.attend(people, NOW)
    queue = a_queue(room)
    room.next(queue, ADA, NOW, LEAD)
    for account in (ADA, EVE):
        room.skip(queue, account, NOW, LEAD)
    room.attend(people[:3] + people[4:], NOW)
    room.leave(EVE, EVE, NOW)  # and with her a vote
    room.recount(queue, NOW, LEAD)
    assert room.playback.item_id == an_item(1).id
    room.attend([], NOW)  # all of them may be back
    room.recount(queue, NOW, LEAD)
    assert room.playback.item_id == an_item(1).id
    room.attend([ADA, BOB], NOW)
    room.take_news()
    room.recount(queue, NOW, LEAD)
    (event,) = room.take_news()
    assert (event.data["reason"], event.actor, room.playback.item_id) == ("skipped", None, an_item(2).id)
    room.recount(queue, NOW, LEAD)
    assert (room.playback.item_id, queue.skips) == (an_item(2).id, ())


def test_guests_add_where_everybody_controls() -> None:
    for control, may in ((Control.EVERYONE, True), (Control.MODERATORS, False)):
        room = a_room(allow_guests=True, policies=Policies(control=control))
        room.join(place_of(a_room(EVE), EVE), EVE, "Eve", NOW, is_guest=True)
        queue = a_queue(room, items=0)
        if may:
            queue.add(room.seat(EVE), [an_item(1, by=EVE)], NOW)
        else:
            with pytest.raises(Forbidden):
                queue.add(room.seat(EVE), [an_item(1, by=EVE)], NOW)


# ------------------------------------------------------------------------------------------------------------ messages


def said(room: Room, by: AccountId, text: str = "Hello") -> Message:
    playback: Playback = room.playback
    id, where = MessageId(UUID(int=50)), playback.position_ms(NOW)
    return Message.say(id, room.id, room.workspace_id, room.seat(by), text, playback.item_id, where, NOW)


def test_a_message_says_who_said_it_and_where_the_item_was() -> None:
    room = a_room(BOB, workspace_id=WORKSPACE)
    room.load(a_queue(room), an_item(1).id, ADA, NOW, LEAD, position_ms=7_000)
    (event,) = said(room, BOB, "  Look at that!  ").take_news()
    assert (event.type, event.stream, event.within) == ("message.said", f"room:{room.id}", f"workspace:{WORKSPACE}")
    assert event.data == {
        "participant_id": place_of(room, BOB),
        "account_id": BOB,
        "display_name": "Person 2",
        "text": "Look at that!",
        "item_id": an_item(1).id,
        "position_ms": 7_000,
    }


@pytest.mark.parametrize("text", ["", "  ", "a" * (MESSAGE_MAX + 1), "\x00"])
def test_a_message_has_bounds(text: str) -> None:
    with pytest.raises(Invalid):
        said(a_room(), ADA, text)


def test_who_is_muted_says_nothing() -> None:
    room = a_room(BOB)
    room.change_participant(place_of(room, BOB), ADA, NOW, muted=True)
    with pytest.raises(Muted):
        said(room, BOB)


def test_a_message_is_taken_away_by_its_author_and_by_moderators_once() -> None:
    room = a_room(BOB, EVE)
    with pytest.raises(Forbidden):
        said(room, BOB).delete(room.seat(EVE), NOW)
    said(room, BOB).delete(room.seat(ADA), NOW)
    message = said(room, BOB)
    message.delete(room.seat(BOB), NOW)
    assert (message.text, message.deleted_at, types(message.take_news())) == (
        "",
        NOW,
        ["message.said", "message.deleted"],
    )
    with pytest.raises(NotFound):
        message.delete(room.seat(BOB), NOW)
