"""Who comes into a room, what they may do there, and what becomes of a room with its people and its time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from dependency_injector import providers

from adapters.memory import MemoryPresence
from adapters.security.passwords import Argon2Hasher
from application.authentication import CredentialRevoked
from application.ports.presence import Present
from application.principal import Principal
from application.rooms import (
    ROOMS_PLAY,
    ROOMS_READ,
    HostTransfer,
    JoinByCode,
    JoinRoom,
    NewRoom,
    ParticipantPatch,
    PolicyChoices,
    RollCall,
    RoomJoined,
    RoomPatch,
)
from application.scopes import ScopeMissing
from application.workspaces import Acceptance, NewInvitation
from domain.errors import (
    DomainError,
    Exhausted,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Unavailable,
    VersionConflict,
)
from domain.ids import ParticipantId, RoomId
from domain.rooms import (
    Banned,
    Control,
    GuestsNotAllowed,
    PlaybackStatus,
    RoomClosed,
    RoomExpired,
    RoomFull,
    RoomRole,
    Visibility,
    WrongRoomPassword,
)
from tests.application.cinema import ADDRESS, Cinema, code_of
from tests.support.builders import a_room

DAY = 24 * 3_600


async def results(calls: list[Awaitable[object]]) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_who_opens_a_room_is_its_host_under_their_own_name() -> None:
    cinema = await Cinema.open()
    room = await cinema.rooms.open(cinema.ada, NewRoom("Film night"))
    (ada,) = room.participants

    assert (ada.display_name, ada.role, room.state.status) == ("Ada", RoomRole.HOST, PlaybackStatus.IDLE)
    assert (room.max_participants, room.visibility, room.password_set) == (10, Visibility.PRIVATE, False)
    assert room.expires_at == cinema.clock.now() + timedelta(days=1)
    assert len(code_of(room)) == 8
    assert set(code_of(room)) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert room == await cinema.show(room.id)
    assert (await cinema.rooms.page(cinema.ada, None, False, None, 50)).data == [room]


async def test_a_room_of_a_workspace_is_opened_by_its_members() -> None:
    cinema = await Cinema.open()
    team = await cinema.team(cinema.bob)
    room = await cinema.rooms.open(cinema.bob, NewRoom("Film night", team, Visibility.WORKSPACE))
    with pytest.raises(NotFound):
        await cinema.rooms.open(cinema.eve, NewRoom("Film night", team))
    for call in (
        cinema.join(room, cinema.eve),
        cinema.enter(room, cinema.eve),
        cinema.enter(room, None, display_name="G"),
    ):
        with pytest.raises(NotFound):
            await call
    assert (await cinema.join(room, cinema.ada)).participant.role is RoomRole.MEMBER


async def test_the_code_lets_in_and_reads_as_people_write_it() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(visibility=Visibility.PRIVATE)
    with pytest.raises(NotFound):
        await cinema.join(room, cinema.bob)
    code = code_of(room)
    typed = f"{code[:4]}-{code[4:]}".lower().replace("1", "l").replace("0", "o")
    joined = await cinema.entrance.enter(cinema.bob, JoinByCode(typed), ADDRESS)

    assert (joined.participant.display_name, joined.guest) == ("Bob", None)
    await cinema.join(room, cinema.bob)  # who is in comes by the id too, with another device
    assert len((await cinema.show(room.id)).participants) == 2


async def test_who_opened_a_private_room_finds_back_into_it() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(visibility=Visibility.PRIVATE)
    await cinema.rooms.leave(cinema.ada, RoomId(room.id))
    with pytest.raises(NotFound):
        await cinema.show(room.id)
    assert (await cinema.join(room, cinema.ada)).participant.role is RoomRole.HOST


@pytest.mark.parametrize("code", ["00000000", "UUUUUUUU", "0000-0000-0", "ÄÄÄÄÄÄÄÄ"])
async def test_a_code_that_is_none_is_not_found(code: str) -> None:
    cinema = await Cinema.open()
    with pytest.raises(NotFound):
        await cinema.entrance.enter(cinema.bob, JoinByCode(code), ADDRESS)


async def test_codes_cannot_be_tried_at_speed() -> None:
    cinema = await Cinema.open()
    room = await cinema.room()
    refused = await results([cinema.entrance.enter(cinema.bob, JoinByCode(f"{n:08}"), ADDRESS) for n in range(25)])
    assert [type(each) for each in refused] == [NotFound] * 20 + [Exhausted] * 5
    with pytest.raises(Exhausted):
        await cinema.enter(room, None, display_name="Grace")
    await cinema.entrance.enter(cinema.bob, JoinByCode(code_of(room)), "203.0.113.8")


@pytest.mark.parametrize("password", [None, "open sesame"])
async def test_a_class_with_one_address_comes_in_at_once_and_what_is_right_does_not_count(password: str | None) -> None:
    cinema = await Cinema.open()
    rooms = [await cinema.room(allow_guests=True, password=password) for _ in range(3)]
    came = await results([cinema.enter(rooms[n % 3], None, display_name="Grace", password=password) for n in range(27)])
    assert [type(each) for each in came] == [RoomJoined] * 27
    # Nor does it make up for what is wrong.
    wrong = [cinema.entrance.enter(cinema.bob, JoinByCode(f"{n:08}"), ADDRESS) for n in range(20)]
    await results([*wrong[:19], cinema.enter(rooms[0], cinema.bob, password=password), *wrong[19:]])
    with pytest.raises(Exhausted):
        await cinema.enter(rooms[1], cinema.bob, password=password)


async def test_the_code_of_a_room_that_is_over_says_so_until_the_room_is_forgotten() -> None:
    cinema = await Cinema.open()
    closed, expired = await cinema.room(allow_guests=True), await cinema.room()
    await cinema.rooms.close(cinema.ada, RoomId(closed.id))
    await cinema.pass_time(hours=25)
    for room, refusal in ((closed, RoomClosed), (expired, RoomExpired)):
        for who in (cinema.bob, None):
            with pytest.raises(RoomClosed) as refused:
                await cinema.enter(room, who, display_name=None if who else "Grace")
            assert type(refused.value) is refusal
    for_members = await cinema.room(workspace_id=await cinema.team(cinema.bob), visibility=Visibility.WORKSPACE)
    await cinema.rooms.close(cinema.ada, RoomId(for_members.id))
    with pytest.raises(RoomClosed):
        await cinema.enter(for_members, cinema.bob)
    with pytest.raises(NotFound):
        await cinema.enter(for_members, cinema.eve)


async def test_of_forty_who_join_at_once_as_many_come_in_as_there_is_room_for() -> None:
    cinema = await Cinema.open()
    room = await cinema.room()
    people = await cinema.crowd(40)
    done = await results([cinema.join(room, each) for each in people])
    refused = [each for each in done if isinstance(each, Exception)]

    assert {type(each) for each in refused} <= {RoomFull, Unavailable}
    assert len((await cinema.show(room.id)).participants) == 10
    assert len(refused) == 31


async def test_what_a_joiner_is_shown_is_what_it_can_follow_from_there() -> None:
    cinema = await Cinema.open()
    room = await cinema.room()
    joined = await cinema.join(room, cinema.bob)
    assert (await cinema.types(room.id))[:2] == ["room.created", "participant.changed"]
    assert await cinema.types(room.id, after=joined.offset) == []
    assert (await cinema.types(room.id))[-1] == "participant.joined"
    assert joined.room == await cinema.show(room.id, cinema.bob)
    shown = await cinema.rooms.snapshot(cinema.bob, RoomId(room.id))
    assert (shown.room, shown.offset, shown.journal_epoch) == (joined.room, joined.offset, joined.journal_epoch)
    await cinema.join(room, cinema.bob)
    assert await cinema.types(room.id, after=joined.offset) == ["participant.changed"] * 0


async def test_a_password_is_asked_for_and_counted() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(password="ｏｐｅｎ sesame")  # noqa: RUF001  # full width, which is the same word
    with pytest.raises(WrongRoomPassword):
        await cinema.join(room, cinema.bob)
    joined = await cinema.join(room, cinema.bob, "open sesame")
    assert joined.room.password_set
    await cinema.join(room, cinema.bob)  # not asked again
    tries = await results([cinema.join(room, cinema.eve, "wrong") for _ in range(7)])
    assert [type(each) for each in tries] == [WrongRoomPassword] * 5 + [Exhausted] * 2
    with pytest.raises(NotFound):
        await cinema.rooms.change(cinema.ada, RoomId(UUID(int=1)), RoomPatch(password="x"))
    other = await cinema.rooms.open(cinema.eve, NewRoom("Mine", visibility=Visibility.LINK, password="known"))
    await cinema.rooms.leave(cinema.eve, RoomId(other.id))
    await cinema.join(other, cinema.eve, "known")
    with pytest.raises(Exhausted):  # a right one elsewhere does not help
        await cinema.join(room, cinema.eve, "open sesame")


async def test_a_password_is_changed_and_taken_away_by_the_host() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(password="old")
    await cinema.join(room, cinema.bob, "old")
    for stranger, refusal in ((cinema.bob, Forbidden), (cinema.eve, NotFound)):
        with pytest.raises(refusal):
            await cinema.rooms.change(stranger, RoomId(room.id), RoomPatch(password="mine"))
    await cinema.rooms.change(cinema.ada, RoomId(room.id), RoomPatch(password="new"))
    with pytest.raises(WrongRoomPassword):
        await cinema.join(room, cinema.eve, "old")
    changed = await cinema.rooms.change(cinema.ada, RoomId(room.id), RoomPatch(password=None))
    assert not changed.password_set
    await cinema.join(room, cinema.eve)


class Interrupted(Argon2Hasher):
    """Lets something happen while a password is compared."""

    meanwhile: Callable[[], Awaitable[object]]

    async def verify(self, password: str, encoded: str | None) -> bool:
        await self.meanwhile()
        return await super().verify(password, encoded)


async def test_a_password_that_is_changed_while_it_is_compared_lets_nobody_in() -> None:
    hasher = Interrupted(memory_kib=8, passes=1)
    cinema = await Cinema.open(hasher=providers.Object(hasher))
    room = await cinema.room(password="old")
    change = RoomPatch(password="new")
    hasher.meanwhile = lambda: cinema.rooms.change(cinema.ada, RoomId(room.id), change)
    with pytest.raises(WrongRoomPassword):
        await cinema.join(room, cinema.bob, "old")


# -------------------------------------------------------------------------------------------------------------- guests


async def test_a_guest_comes_by_the_code_and_can_do_nothing_elsewhere() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(allow_guests=True)
    grace, joined = await cinema.guest(room, "  Grace ")

    assert (joined.participant.display_name, joined.participant.role) == ("Grace", RoomRole.GUEST)
    assert joined.guest
    assert (joined.guest.token_type, joined.guest.expires_in) == ("Bearer", DAY)
    assert (await cinema.show(room.id, grace)).id == room.id
    with pytest.raises(ScopeMissing):
        await cinema.rooms.open(grace, NewRoom("Mine"))
    with pytest.raises(ScopeMissing):
        await cinema.enter(room, grace)
    with pytest.raises(ScopeMissing):
        await cinema.house.tasks().page(grace, None, None, "", None, 50)
    other = await cinema.rooms.open(cinema.bob, NewRoom("Others", visibility=Visibility.LINK))
    with pytest.raises(NotFound):
        await cinema.show(other.id, grace)


async def test_no_guest_comes_where_none_may_or_without_a_name() -> None:
    cinema = await Cinema.open()
    with pytest.raises(GuestsNotAllowed):
        await cinema.guest(await cinema.room())
    room = await cinema.room(allow_guests=True)
    for name in (None, "", "\u200b"):
        with pytest.raises(Invalid):
            await cinema.entrance.enter(None, JoinByCode(code_of(room), display_name=name), ADDRESS)


async def test_a_guest_who_finds_no_room_leaves_no_account_behind() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob, allow_guests=True, max_participants=2)
    with pytest.raises(RoomFull):
        await cinema.guest(room)
    async with cinema.work() as work:
        assert len(await work.accounts.page(None, 100)) == 3


Ending = Callable[[Cinema, UUID, ParticipantId, Principal], Awaitable[object]]
ENDINGS: dict[str, Ending] = {
    "leaves": lambda c, room, who, guest: c.rooms.leave(guest, RoomId(room)),
    "is sent out": lambda c, room, who, guest: c.rooms.remove(c.ada, RoomId(room), who),
    "is banned": lambda c, room, who, guest: c.rooms.remove(c.ada, RoomId(room), who, ban=True),
    "is gone too long": lambda c, room, who, guest: c.pass_time(seconds=121),
    "is there when it is closed": lambda c, room, who, guest: c.rooms.close(c.ada, RoomId(room)),
    "is there when it expires": lambda c, room, who, guest: c.pass_time(seconds=DAY),
}


@pytest.mark.parametrize("how", ENDINGS)
async def test_a_guest_can_do_nothing_any_more_who(how: str) -> None:
    cinema = await Cinema.open()
    room = await cinema.room(allow_guests=True)
    grace, joined = await cinema.guest(room)
    await ENDINGS[how](cinema, room.id, ParticipantId(joined.participant.id), grace)
    assert joined.guest
    with pytest.raises(CredentialRevoked):
        await cinema.house.guests().find(joined.guest.access_token)


async def test_a_guest_stays_as_long_as_the_room() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(allow_guests=True)
    grace, joined = await cinema.guest(room)
    await cinema.connect(room.id, grace)
    extended = await cinema.rooms.extend(cinema.ada, RoomId(room.id))
    assert extended.expires_at == room.expires_at + timedelta(days=1)
    cinema.wait(seconds=DAY + 1)
    assert joined.guest
    assert await cinema.house.guests().find(joined.guest.access_token)


# ----------------------------------------------------------------------------------------------------- rights and roles


async def test_every_use_case_asks_for_its_scope_before_anything_else() -> None:
    cinema = await Cinema.open()
    nobody = replace(cinema.ada, scopes=frozenset())
    id, who = RoomId(UUID(int=1)), ParticipantId(UUID(int=2))
    calls: list[Awaitable[object]] = [
        cinema.rooms.read(nobody, id),
        cinema.rooms.page(nobody, None, False, None, 50),
        cinema.rooms.snapshot(nobody, id),
        cinema.rooms.open(nobody, NewRoom("Mine")),
        cinema.rooms.change(nobody, id, RoomPatch()),
        cinema.rooms.extend(nobody, id),
        cinema.rooms.close(nobody, id),
        cinema.entrance.join(nobody, id, JoinRoom()),
        cinema.entrance.enter(nobody, JoinByCode("00000000"), ADDRESS),
        cinema.rooms.leave(nobody, id),
        cinema.rooms.transfer(nobody, id, HostTransfer(who)),
        cinema.rooms.change_participant(nobody, id, who, ParticipantPatch()),
        cinema.rooms.remove(nobody, id, who),
        cinema.control(id, nobody, action="play"),
        cinema.queues.read(nobody, id),
        cinema.chat.page(nobody, id, None, 50),
        cinema.chat.history(nobody, id, None, 50),
    ]
    for call in calls:
        with pytest.raises(ScopeMissing):
            await call


async def test_a_credential_that_may_play_does_not_host() -> None:
    cinema = await Cinema.open()
    room = await cinema.room()
    key = replace(cinema.ada, scopes=frozenset({ROOMS_READ.name, ROOMS_PLAY.name}))
    assert (await cinema.show(room.id, key)).id == room.id
    with pytest.raises(ScopeMissing):
        await cinema.rooms.close(key, RoomId(room.id))


async def test_the_host_changes_settings_of_the_version_that_they_have_seen() -> None:
    cinema = await Cinema.open()
    room = await cinema.room()
    patch = RoomPatch(name="Series", policies=PolicyChoices(control=Control.HOST))
    changed = await cinema.rooms.change(cinema.ada, RoomId(room.id), patch, room.version)
    assert (changed.name, changed.policies.control, changed.policies.wait) == ("Series", Control.HOST, "all")
    with pytest.raises(VersionConflict) as conflict:
        await cinema.rooms.change(cinema.ada, RoomId(room.id), RoomPatch(name="Mine"), room.version)
    assert conflict.value.extra["current"] == changed
    with pytest.raises(VersionConflict):
        await cinema.rooms.close(cinema.ada, RoomId(room.id), room.version)
    same = await cinema.rooms.change(cinema.ada, RoomId(room.id), patch)
    assert same == changed


async def test_a_room_lets_in_no_more_than_the_installation_allows() -> None:
    cinema = await Cinema.open()
    rooms = cinema.rooms
    rooms._most = 4
    room = await rooms.open(cinema.ada, NewRoom("Film night"))
    assert room.max_participants == 4
    with pytest.raises(Invalid):
        await rooms.open(cinema.ada, NewRoom("Film night", max_participants=5))
    with pytest.raises(Invalid):
        await rooms.change(cinema.ada, RoomId(room.id), RoomPatch(max_participants=5))


async def test_the_host_gives_roles_sends_out_and_hands_on() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob, cinema.eve)
    _, bob, eve = (ParticipantId(each.id) for each in room.participants)
    id = RoomId(room.id)
    made = await cinema.rooms.change_participant(
        cinema.ada, id, bob, ParticipantPatch(role=RoomRole.MODERATOR, muted=True)
    )
    assert (made.role, made.muted) == (RoomRole.MODERATOR, True)
    await cinema.rooms.remove(cinema.bob, id, eve, ban=True)
    with pytest.raises(Banned):
        await cinema.join(room, cinema.eve)
    with pytest.raises(NotFound):
        await cinema.enter(room, cinema.eve)  # the code is another
    after = await cinema.rooms.transfer(cinema.ada, id, HostTransfer(bob))
    assert [each.role for each in after.participants] == [RoomRole.MODERATOR, RoomRole.HOST]


async def test_who_opened_a_room_closes_it_even_from_outside() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob)
    await cinema.rooms.leave(cinema.ada, RoomId(room.id))
    with pytest.raises(NotFound):
        await cinema.rooms.close(cinema.eve, RoomId(room.id))
    await cinema.rooms.close(cinema.ada, RoomId(room.id))
    assert (await cinema.show(room.id, cinema.bob)).close_reason == "closed"
    with pytest.raises(RoomClosed):
        await cinema.join(room, cinema.eve)
    with pytest.raises(RoomClosed):
        await cinema.rooms.close(cinema.ada, RoomId(room.id))
    assert [each.id for each in (await cinema.rooms.page(cinema.bob, None, True, None, 50)).data] == [room.id]


async def test_an_account_has_only_so_many_rooms_open() -> None:
    cinema = await Cinema.open()
    opened = []
    with pytest.raises(QuotaExceeded):
        while True:
            opened.append(await cinema.rooms.open(cinema.ada, NewRoom("Film night")))
    await cinema.rooms.close(cinema.ada, RoomId(opened[0].id))
    await cinema.rooms.open(cinema.ada, NewRoom("Film night"))


# ---------------------------------------------------------------------------------------------------------------- time


async def test_a_place_is_kept_for_thirty_seconds_and_the_host_passes_on() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob)
    await cinema.disconnect(room.id, cinema.ada)
    await cinema.pass_time(seconds=19)
    assert (await cinema.show(room.id)).participants[0].role is RoomRole.HOST
    await cinema.pass_time(seconds=1)
    assert [each.role for each in (await cinema.show(room.id, cinema.bob)).participants] == [RoomRole.HOST]
    assert (await cinema.types(room.id))[-2:] == ["participant.left", "host.passed"]


async def test_who_is_back_in_time_keeps_the_place_even_if_nobody_told() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob)
    await cinema.disconnect(room.id, cinema.ada)
    presence = f"presence:room:{room.id}"
    await cinema.presence.enter(presence, cinema.ada.account_id, "the word of which was lost")
    await cinema.pass_time(seconds=20)
    assert (await cinema.show(room.id)).participants[0].slot_until is None


async def test_who_is_gone_is_found_even_if_nobody_told() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob)
    await cinema.presence.leave(f"presence:room:{room.id}", f"of {cinema.ada.account_id}")
    await cinema.connect(room.id, cinema.eve)  # any word about the room will do
    await cinema.pass_time(seconds=20)
    assert [each.display_name for each in (await cinema.show(room.id, cinema.bob)).participants] == ["Bob"]


async def test_who_was_connected_to_a_killed_process_is_found_by_calling_the_roll() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob)
    await cinema.presence.leave(f"presence:room:{room.id}", f"of {cinema.bob.account_id}")
    roll = RollCall(cinema.house.room_queries(), cinema.rooms, cinema.clock)
    assert "rooms" in {loop.name for loop in cinema.house.loops()}
    await roll.call()
    kept = (await cinema.show(room.id)).participants[1].slot_until
    assert kept == cinema.clock.now() + timedelta(seconds=20)
    told = await cinema.types(room.id)
    await roll.call()
    assert await cinema.types(room.id) == told
    await cinema.pass_time(seconds=20)
    assert [each.display_name for each in (await cinema.show(room.id)).participants] == ["Ada"]


class Emptied(MemoryPresence):
    """Presence that may have lost some of those who are there."""

    async def present(self, channel: str) -> Present:
        return (await super().present(channel))._replace(is_complete=False)


async def test_while_some_may_be_missing_only_those_are_gone_who_said_so() -> None:
    cinema = await Cinema.open(presence=providers.Singleton(Emptied))
    room = await cinema.room(cinema.bob, cinema.eve)
    await cinema.presence.leave(f"presence:room:{room.id}", f"of {cinema.bob.account_id}")
    await cinema.connect(room.id, cinema.ada)
    assert [each.slot_until for each in (await cinema.show(room.id)).participants] == [None] * 3
    await cinema.disconnect(room.id, cinema.eve)
    await cinema.pass_time(seconds=20)  # it is over, but perhaps she is back
    slots = [each.slot_until for each in (await cinema.show(room.id)).participants]
    assert slots == [None, None, cinema.clock.now() + timedelta(seconds=20)]


class Unreachable(MemoryPresence):
    """Presence whose store is away now and then."""

    is_away = False

    async def present(self, channel: str) -> Present:
        if self.is_away:
            raise Unavailable("The store of presence does not answer.")
        return await super().present(channel)


async def test_nobody_loses_a_place_while_presence_cannot_be_asked() -> None:
    presence = Unreachable()
    cinema = await Cinema.open(presence=providers.Object(presence))
    room = await cinema.room(cinema.bob)
    await cinema.disconnect(room.id, cinema.bob)
    presence.is_away = True
    with pytest.raises(Unavailable):  # so the room is told again
        await cinema.disconnect(room.id, cinema.ada)
    for _ in range(3):
        await cinema.pass_time(seconds=20)
        slots = [each.slot_until for each in (await cinema.show(room.id)).participants]
        assert slots == [None, cinema.clock.now() + timedelta(seconds=20)]
    presence.is_away = False
    await cinema.pass_time(seconds=20)
    (ada,) = (await cinema.show(room.id)).participants
    assert ada.slot_until == cinema.clock.now() + timedelta(seconds=20)


async def test_a_room_warns_twice_and_then_its_time_is_over() -> None:
    cinema = await Cinema.open()
    room = await cinema.room()
    await cinema.pass_time(seconds=DAY - 600)
    await cinema.pass_time(seconds=540)
    assert (await cinema.types(room.id))[-2:] == ["room.expiring", "room.expiring"]
    await cinema.pass_time(seconds=60)
    assert (await cinema.types(room.id))[-1] == "room.expired"
    for call in (cinema.join(room, cinema.ada), cinema.control(room.id, action="play"), cinema.join(room, cinema.bob)):
        with pytest.raises(RoomExpired):
            await call


async def test_a_deleted_workspace_closes_its_rooms_and_no_others() -> None:
    cinema = await Cinema.open()
    team = await cinema.team(cinema.bob)
    inside = [await cinema.room(workspace_id=team) for _ in range(2)]
    outside = await cinema.room()
    await cinema.workspaces.delete(cinema.ada, team)  # type: ignore[arg-type]
    await cinema.follow_up()

    assert {(await cinema.show(room.id)).close_reason for room in inside} == {"workspace_deleted"}
    assert (await cinema.show(outside.id)).closed_at is None
    await cinema.follow_up()
    assert (await cinema.types(inside[0].id)).count("room.closed") == 1


async def test_a_member_who_is_removed_leaves_the_rooms_that_are_for_members_however_many_others_there_are() -> None:
    cinema = await Cinema.open()
    cinema.house.quota_limits().limits["rooms"] = 50
    team = await cinema.team(cinema.bob)
    kinds = [*[Visibility.LINK] * 20, Visibility.WORKSPACE]
    ada, bob = cinema.ada.account_id, cinema.bob.account_id
    rooms = [await a_room(cinema, ada, bob, workspace_id=team, visibility=kind) for kind in kinds]
    await cinema.workspaces.remove(cinema.ada, team, cinema.bob.account_id)  # type: ignore[arg-type]
    await cinema.follow_up()

    *others, event = [(await cinema.news(room.id))[-1] for room in rooms]
    assert (event.type, event.data["reason"]) == ("participant.left", "member_removed")
    assert "participant.left" not in {each.type for each in others}


async def test_a_member_who_is_back_before_that_stays() -> None:
    cinema = await Cinema.open()
    team = await cinema.team(cinema.bob)
    room = await cinema.room(cinema.bob, workspace_id=team, visibility=Visibility.WORKSPACE)
    await cinema.workspaces.remove(cinema.ada, team, cinema.bob.account_id)  # type: ignore[arg-type]
    made = await cinema.workspaces.invite(cinema.ada, team, NewInvitation())  # type: ignore[arg-type]
    await cinema.workspaces.accept(cinema.bob, Acceptance(made.token))
    await cinema.follow_up()
    assert len((await cinema.show(room.id)).participants) == 2


async def test_a_disabled_account_leaves_every_room() -> None:
    cinema = await Cinema.open()
    rooms = [await cinema.room(cinema.bob) for _ in range(2)]
    async with cinema.work() as work:
        bob = await work.accounts.get(cinema.bob.account_id)
        bob.disable(cinema.clock.now())
        work.accounts.save(bob)
    await cinema.follow_up()
    for room in rooms:
        event = (await cinema.news(room.id))[-1]
        assert (event.type, event.data["reason"]) == ("participant.left", "account_disabled")


async def test_operators_see_how_many_rooms_and_people_there_are() -> None:
    cinema = await Cinema.open()
    rooms = [await cinema.room(), await cinema.room(cinema.bob), await cinema.room(cinema.bob)]
    await cinema.rooms.close(cinema.ada, RoomId(rooms[2].id))
    shown = {row.name: await row.ask() for row in cinema.house.gauges()}
    assert shown.items() >= {"rooms": 3, "rooms_open": 2, "room_participants": 3}.items()


async def test_it_is_counted_who_came_in_and_who_did_not() -> None:
    cinema = await Cinema.open()
    room = await cinema.room(cinema.bob, allow_guests=True, max_participants=3)
    await cinema.guest(room)
    refused: list[type[DomainError]] = []
    try:
        await cinema.join(room, cinema.eve)
    except RoomFull:
        refused.append(RoomFull)
    assert refused
    counted = [outcome for what, outcome in cinema.observer.happenings if what == "room_joined"]
    assert counted == ["account", "guest", "room_full"]
