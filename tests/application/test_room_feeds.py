"""Who may follow a room, and what may be said there for a moment."""

import pytest
from msgspec import Raw

from application.ports.feeds import Ground
from application.rooms import ParticipantPatch, RoomFeeds
from application.rooms.measures import REACTIONS_PER_PARTICIPANT
from domain.channels import TYPING, Channel
from domain.errors import Exhausted, Invalid
from domain.ids import ParticipantId, RoomId
from domain.rooms import REACTIONS, ROOM, STATUS, Muted
from tests.application.cinema import Cinema

HURRAY = Raw('{"emoji": "🎉"}'.encode())


def feeds_of(cinema: Cinema) -> RoomFeeds:
    return RoomFeeds(cinema.house.room_queries(), cinema.house.newest(), cinema.house.limits())


async def test_those_who_are_in_a_room_follow_it_and_nobody_else() -> None:
    cinema = await Cinema.open()
    place, feeds = Channel(ROOM, (await cinema.room(cinema.bob)).id), feeds_of(cinema)
    asked = {(place, each.account_id) for each in (cinema.ada, cinema.bob, cinema.eve)}
    ground = Ground(str(place))
    inside = {(place, each.account_id): ground for each in (cinema.ada, cinema.bob)}
    assert await feeds.allowed(asked) == inside
    assert feeds.ground(place, cinema.ada.account_id) == ground
    assert await feeds.newest([Channel(STATUS, place)]) == []


async def test_a_reaction_is_an_emoji_of_somebody_who_is_not_muted() -> None:
    cinema = await Cinema.open()
    room, feeds = await cinema.room(cinema.bob), feeds_of(cinema)
    place = Channel(ROOM, room.id)
    channel, bob = Channel(REACTIONS, place), cinema.bob.account_id
    await feeds.said(bob, channel, HURRAY)
    for wrong in (b"{}", b'"hurray"', b'{"emoji": ""}', b'{"emoji": " "}', b'{"emoji": "%s"}' % (b"x" * 17)):
        with pytest.raises(Invalid):
            await feeds.said(bob, channel, Raw(wrong))
    his = ParticipantId(room.participants[1].id)
    await cinema.rooms.change_participant(cinema.ada, RoomId(room.id), his, ParticipantPatch(muted=True))
    with pytest.raises(Muted):
        await feeds.said(bob, channel, HURRAY)
    await feeds.said(cinema.ada.account_id, channel, HURRAY)
    await feeds.said(bob, Channel(TYPING, place), Raw(b"true"))


async def test_so_many_reactions_come_in_five_seconds_and_no_more() -> None:
    cinema = await Cinema.open()
    channel, feeds = Channel(REACTIONS, Channel(ROOM, (await cinema.room()).id)), feeds_of(cinema)
    for _ in range(REACTIONS_PER_PARTICIPANT.limit):
        await feeds.said(cinema.ada.account_id, channel, HURRAY)
    with pytest.raises(Exhausted):
        await feeds.said(cinema.ada.account_id, channel, HURRAY)
    cinema.wait(seconds=5)
    await feeds.said(cinema.ada.account_id, channel, HURRAY)
