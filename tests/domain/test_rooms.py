"""Who comes into a room and goes, who may do what there, and what time does to it."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from domain.errors import Forbidden, Invalid, NotFound, QuotaExceeded
from domain.identity import DISPLAY_NAME_MAX
from domain.ids import AccountId, ParticipantId, RoomId
from domain.rooms import (
    LIFETIME,
    PARTICIPANT_NAME_MAX,
    Banned,
    Control,
    GuestsNotAllowed,
    Muted,
    Policies,
    Right,
    Room,
    RoomClosed,
    RoomExpired,
    RoomFull,
    RoomRole,
    Seat,
    Visibility,
)
from domain.rooms.gathering import BANNED_MAX, MUTED_MAX
from tests.support.rooms import ADA, BOB, EVE, NOW, WORKSPACE, a_room, place_of, told, types

SECOND = timedelta(seconds=1)
DOT = AccountId(UUID(int=4))


def moved(room: Room) -> list[str]:
    """What was told since the last question."""
    return types(room.take_news())


def test_the_first_one_is_the_host_and_everything_about_the_room_is_told() -> None:
    room = Room.open(
        RoomId(UUID(int=9)),
        ParticipantId(UUID(int=5)),
        "  Film   night ",
        "0123ABCD",
        ADA,
        "Ada",
        NOW,
        workspace_id=WORKSPACE,
        visibility=Visibility.WORKSPACE,
        password_hash="hashed",
    )
    (event,) = room.take_news()

    assert (room.name, room.host, room.expires_at) == ("Film night", room.participant_of(ADA), NOW + LIFETIME)
    assert (event.type, event.stream, event.within) == ("room.created", f"room:{room.id}", f"workspace:{WORKSPACE}")
    assert event.data["password_set"] is True
    assert "hashed" not in str(event)
    assert "0123ABCD" not in str(event)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"max_participants": 1}, "/max_participants"),
        ({"max_participants": 11}, "/max_participants"),
        ({"visibility": Visibility.WORKSPACE}, "/visibility"),
        ({"visibility": Visibility.WORKSPACE, "workspace_id": WORKSPACE, "allow_guests": True}, "/allow_guests"),
    ],
)
def test_a_room_is_refused_that_cannot_be(wrong: dict[str, object], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        a_room(**wrong)
    assert refused.value.pointer == pointer


def test_it_is_told_who_comes_in() -> None:
    room = a_room(allow_guests=True)
    came = room.join(ParticipantId(UUID(int=77)), EVE, " Eve ", NOW, is_guest=True)
    (event,) = room.take_news()
    assert (event.type, event.actor) == ("participant.joined", EVE)
    assert event.data == {
        "participant_id": came.id,
        "account_id": EVE,
        "display_name": "Eve",
        "role": RoomRole.GUEST,
        "is_guest": True,
        "muted": False,
    }


def test_a_second_device_is_the_same_participant() -> None:
    room = a_room(BOB)
    room.attend([ADA, BOB], NOW)
    room.take_news()

    assert room.join(ParticipantId(UUID(int=77)), BOB, "Bob's phone", NOW) == room.participant_of(BOB)
    assert moved(room) == []


def test_who_comes_in_again_keeps_the_place_that_would_have_been_lost() -> None:
    room = a_room(BOB)
    room.attend([ADA, BOB], NOW)
    room.attend([ADA], NOW)
    room.join(ParticipantId(UUID(int=77)), BOB, "Bob", NOW + 19 * SECOND)
    room.elapse(NOW + 38 * SECOND)

    assert room.participant_of(BOB)


def test_no_more_come_in_than_the_room_lets_in() -> None:
    room = a_room(BOB, max_participants=2)
    with pytest.raises(RoomFull):
        room.join(ParticipantId(UUID(int=77)), EVE, "Eve", NOW)
    with pytest.raises(RoomFull):
        a_room(BOB, EVE).change(ADA, NOW, max_participants=2)
    assert room.join(ParticipantId(UUID(int=77)), BOB, "Bob's phone", NOW) == room.participant_of(BOB)
    room.leave(BOB, BOB, NOW)
    room.join(ParticipantId(UUID(int=77)), EVE, "Eve", NOW)
    room.change(ADA, NOW, max_participants=2)

    assert room.participant_of(EVE)


def test_guests_come_in_where_they_are_allowed_and_host_only_while_nobody_else_is_in() -> None:
    with pytest.raises(GuestsNotAllowed):
        a_room().join(ParticipantId(UUID(int=77)), EVE, "Eve", NOW, is_guest=True)
    room = a_room(allow_guests=True)
    room.join(ParticipantId(UUID(int=77)), EVE, "Eve", NOW, is_guest=True)
    assert room.seat(EVE).role is RoomRole.GUEST
    with pytest.raises(Invalid):
        room.transfer(place_of(room, EVE), ADA, NOW)
    room.leave(ADA, ADA, NOW)
    assert room.seat(EVE).role is RoomRole.HOST
    room.join(ParticipantId(UUID(int=78)), BOB, "Bob", NOW)

    assert (room.seat(BOB).role, room.seat(EVE).role) == (RoomRole.HOST, RoomRole.GUEST)


def test_a_place_is_kept_for_a_while_and_then_given_up() -> None:
    room = a_room(BOB)
    room.attend([ADA, BOB], NOW)
    room.attend([ADA], NOW)
    assert room.due_at == NOW + 20 * SECOND  # after the ten that have passed before anybody counts as gone
    room.elapse(NOW + 19 * SECOND)
    assert room.participant_of(BOB)
    room.take_news()
    room.elapse(NOW + 20 * SECOND)

    assert room.participant_of(BOB) is None
    (event,) = room.take_news()
    assert (event.type, event.actor, event.data["account_id"], event.data["reason"]) == (
        "participant.left",
        None,
        BOB,
        "lost",
    )


def test_who_is_back_in_time_has_never_been_away() -> None:
    room = a_room(BOB)
    room.attend([ADA, BOB], NOW)
    room.attend([ADA], NOW)
    room.attend([ADA, BOB], NOW + 5 * SECOND)
    room.elapse(NOW + 60 * SECOND)

    assert room.participant_of(BOB)


def test_who_joins_and_never_connects_is_in_for_two_minutes() -> None:
    room = a_room()
    room.elapse(NOW + 119 * SECOND)
    assert room.participant_of(ADA)
    room.elapse(NOW + 120 * SECOND)
    assert not room.participants


def test_the_longest_present_moderator_is_the_next_host_or_else_the_longest_present_member() -> None:
    room = a_room(BOB, EVE, DOT)
    room.attend([ADA, BOB, EVE, DOT], NOW)
    room.change_participant(place_of(room, DOT), ADA, NOW, role=RoomRole.MODERATOR)
    room.take_news()
    room.leave(ADA, ADA, NOW)
    assert room.seat(DOT).role is RoomRole.HOST
    assert told(room.take_news(), "host.passed") == [{"from": None, "to": DOT}]
    room.leave(DOT, DOT, NOW)

    assert room.seat(BOB).role is RoomRole.HOST


def test_a_host_who_is_there_is_better_than_one_who_may_be_back() -> None:
    room = a_room(BOB, EVE)
    room.attend([ADA, EVE], NOW)
    room.leave(ADA, ADA, NOW)
    assert room.seat(EVE).role is RoomRole.HOST


def test_the_first_one_in_an_empty_room_is_its_host() -> None:
    room = a_room()
    room.leave(ADA, ADA, NOW)
    room.join(ParticipantId(UUID(int=77)), BOB, "Bob", NOW)
    assert room.seat(BOB).role is RoomRole.HOST


def test_the_host_hands_the_room_on_and_moderates_it_from_then_on() -> None:
    room = a_room(BOB)
    room.transfer(place_of(room, ADA), ADA, NOW)
    assert moved(room) == []
    room.transfer(place_of(room, BOB), ADA, NOW)
    assert (room.seat(BOB).role, room.seat(ADA).role) == (RoomRole.HOST, RoomRole.MODERATOR)
    with pytest.raises(Forbidden):
        room.transfer(place_of(room, ADA), ADA, NOW)


def test_who_is_sent_out_may_come_back_but_not_who_is_banned() -> None:
    room = a_room(BOB, EVE)
    room.remove(place_of(room, BOB), ADA, NOW)
    room.join(ParticipantId(UUID(int=77)), BOB, "Bob", NOW)
    room.take_news()
    room.remove(place_of(room, EVE), ADA, NOW, new_code="NEWC0DE0")

    assert room.join_code == "NEWC0DE0"
    (sent,) = told(room.take_news(), "participant.removed")
    assert (sent["account_id"], sent["reason"], sent["banned"]) == (EVE, "banned", True)
    with pytest.raises(Banned):
        room.join(ParticipantId(UUID(int=78)), EVE, "Eve", NOW)


def test_a_room_bans_so_many_and_no_more() -> None:
    room = a_room(BOB)
    room.banned = tuple(AccountId(UUID(int=1_000 + n)) for n in range(BANNED_MAX))
    with pytest.raises(QuotaExceeded):
        room.remove(place_of(room, BOB), ADA, NOW, new_code="NEWC0DE0")


@pytest.mark.parametrize(
    ("by", "whom", "may"),
    [
        (RoomRole.HOST, RoomRole.MODERATOR, True),
        (RoomRole.HOST, RoomRole.GUEST, True),
        (RoomRole.MODERATOR, RoomRole.MEMBER, True),
        (RoomRole.MODERATOR, RoomRole.GUEST, True),
        (RoomRole.MODERATOR, RoomRole.MODERATOR, False),
        (RoomRole.MODERATOR, RoomRole.HOST, False),
        (RoomRole.MEMBER, RoomRole.GUEST, False),
        (RoomRole.GUEST, RoomRole.GUEST, False),
    ],
)
def test_people_are_sent_out_and_muted_by_those_above_them(by: RoomRole, whom: RoomRole, may: bool) -> None:
    room = a_room(allow_guests=True)
    for account, role in ((BOB, by), (EVE, whom)):
        if role is not RoomRole.HOST:
            room.join(ParticipantId(UUID(int=70 + account.int)), account, "X", NOW, role is RoomRole.GUEST)
        if role is RoomRole.MODERATOR:
            room.change_participant(place_of(room, account), ADA, NOW, role=role)
    actor = ADA if by is RoomRole.HOST else BOB
    target = place_of(room, ADA if whom is RoomRole.HOST else EVE)
    verbs: list[Callable[[], None]] = [
        lambda: room.change_participant(target, actor, NOW, muted=True),
        lambda: room.remove(target, actor, NOW),
    ]
    for verb in verbs:
        if may:
            verb()
        else:
            with pytest.raises(Forbidden):
                verb()


def test_a_mute_outlives_every_way_of_going_until_somebody_takes_it_back() -> None:
    goings: list[Callable[[Room], None]] = [
        lambda room: room.leave(BOB, BOB, NOW),
        lambda room: room.remove(place_of(room, BOB), ADA, NOW),
        lambda room: room.elapse(NOW + timedelta(seconds=121)),
    ]
    room = a_room(BOB)
    room.attend([ADA], NOW)
    room.change_participant(place_of(room, BOB), ADA, NOW, muted=True)
    for number, go in enumerate(goings):
        go(room)
        room.take_news()
        came = room.join(ParticipantId(UUID(int=77 + number)), BOB, "Bob", NOW)
        assert came.muted
        assert not room.muted
        assert told(room.take_news(), "participant.joined")[0]["muted"] is True
    room.change_participant(place_of(room, BOB), ADA, NOW, muted=False)
    room.leave(BOB, BOB, NOW)
    assert not room.join(ParticipantId(UUID(int=88)), BOB, "Bob", NOW).muted


def test_a_mute_ends_with_becoming_the_host_and_of_a_guest_with_going() -> None:
    room = a_room(BOB, allow_guests=True)
    room.join(ParticipantId(UUID(int=77)), EVE, "Eve", NOW, is_guest=True)
    for account in (BOB, EVE):
        room.change_participant(place_of(room, account), ADA, NOW, muted=True)
    for account in (EVE, BOB, ADA):
        room.leave(account, account, NOW)
    assert [*room.muted] == [BOB]  # a guest who comes again has another account
    assert not room.join(ParticipantId(UUID(int=78)), BOB, "Bob", NOW).muted
    room.leave(BOB, BOB, NOW)
    assert not room.muted


def test_a_room_mutes_so_many_and_no_more() -> None:
    room = a_room(BOB, EVE)
    room.muted = tuple(AccountId(UUID(int=1_000 + n)) for n in range(MUTED_MAX - 1))
    room.change_participant(place_of(room, BOB), ADA, NOW, muted=True)
    with pytest.raises(QuotaExceeded):
        room.change_participant(place_of(room, EVE), ADA, NOW, muted=True)
    room.change_participant(place_of(room, BOB), ADA, NOW, muted=False)
    room.change_participant(place_of(room, EVE), ADA, NOW, muted=True)


def test_only_the_host_gives_roles_and_only_those_of_members_and_moderators() -> None:
    room = a_room(BOB, EVE, allow_guests=True)
    room.join(ParticipantId(UUID(int=77)), DOT, "Dot", NOW, is_guest=True)
    bob, dot = place_of(room, BOB), place_of(room, DOT)
    with pytest.raises(Forbidden):
        room.change_participant(bob, EVE, NOW, role=RoomRole.MODERATOR)
    for no_change in ({"role": RoomRole.MEMBER}, {"muted": False}):
        with pytest.raises(Forbidden):
            room.change_participant(bob, EVE, NOW, **no_change)
    for who, role in ((bob, RoomRole.HOST), (bob, RoomRole.GUEST), (dot, RoomRole.MODERATOR)):
        with pytest.raises(Invalid):
            room.change_participant(who, ADA, NOW, role=role)
    with pytest.raises(NotFound):
        room.change_participant(ParticipantId(UUID(int=1)), ADA, NOW, muted=True)
    room.take_news()
    room.change_participant(bob, ADA, NOW, role=RoomRole.MEMBER, muted=False)
    assert moved(room) == []
    room.change_participant(bob, ADA, NOW, role=RoomRole.MODERATOR, muted=True)

    (event,) = room.take_news()
    assert event.changes == {"role": (RoomRole.MEMBER, RoomRole.MODERATOR), "muted": (False, True)}


# ---------------------------------------------------------------------------------------------------------- the table

_ALL = {RoomRole.HOST, RoomRole.MODERATOR, RoomRole.MEMBER, RoomRole.GUEST}


@pytest.mark.parametrize(
    ("right", "control", "who"),
    [
        (Right.CONTROL, Control.HOST, {RoomRole.HOST}),
        (Right.CONTROL, Control.MODERATORS, {RoomRole.HOST, RoomRole.MODERATOR}),
        (Right.CONTROL, Control.EVERYONE, _ALL - {RoomRole.GUEST}),
        (Right.ADD, Control.HOST, _ALL - {RoomRole.GUEST}),
        (Right.ADD, Control.EVERYONE, _ALL),
        (Right.ARRANGE, Control.EVERYONE, {RoomRole.HOST, RoomRole.MODERATOR}),
        (Right.MODERATE, Control.EVERYONE, {RoomRole.HOST, RoomRole.MODERATOR}),
        (Right.SPEAK, Control.HOST, _ALL),
        (Right.VOTE, Control.HOST, _ALL),
        (Right.OWN, Control.EVERYONE, {RoomRole.HOST}),
    ],
)
def test_a_role_has_the_rights_of_the_table(right: Right, control: Control, who: set[RoomRole]) -> None:
    seats = {role: Seat(ADA, ParticipantId(UUID(int=5)), "Ada", role, control) for role in RoomRole}
    assert {role for role, seat in seats.items() if seat.allows(right)} == who
    for role in _ALL - who:
        with pytest.raises(Forbidden) as refused:
            seats[role].require(right)
        assert refused.value.extra == {"required_permission": right.value}


def test_who_is_muted_listens_and_votes_and_does_not_speak() -> None:
    seat = Seat(ADA, ParticipantId(UUID(int=5)), "Ada", RoomRole.MEMBER, Control.EVERYONE, muted=True)
    seat.require(Right.VOTE)
    with pytest.raises(Muted):
        seat.require(Right.SPEAK)


# ------------------------------------------------------------------------------------------------------- the settings


def test_the_host_changes_settings_and_what_stays_the_same_is_not_told() -> None:
    room = a_room(BOB, workspace_id=WORKSPACE)
    room.change(ADA, NOW, name="Film night", visibility=Visibility.PRIVATE, max_participants=10, policies=Policies())
    assert moved(room) == []
    for wrong in (BOB, EVE):
        with pytest.raises(Forbidden if wrong == BOB else NotFound):
            room.change(wrong, NOW, name="Mine")
    policies = Policies(control=Control.HOST)
    room.change(ADA, NOW, name="Series", visibility=Visibility.LINK, allow_guests=True, policies=policies)

    (event,) = room.take_news()
    assert event.changes == {
        "name": ("Film night", "Series"),
        "visibility": (Visibility.PRIVATE, Visibility.LINK),
        "allow_guests": (False, True),
        "policies": (Policies(), policies),
    }


def test_a_room_for_members_alone_lets_in_no_guests_whichever_was_set_first() -> None:
    room = a_room(workspace_id=WORKSPACE, allow_guests=True)
    with pytest.raises(Invalid) as refused:
        room.change(ADA, NOW, visibility=Visibility.WORKSPACE)
    assert refused.value.pointer == "/visibility"
    room.change(ADA, NOW, visibility=Visibility.WORKSPACE, allow_guests=False)
    for wanted in (Visibility.WORKSPACE, None):
        with pytest.raises(Invalid) as refused:
            room.change(ADA, NOW, visibility=wanted, allow_guests=True)
        assert refused.value.pointer == "/allow_guests"
    room.change(ADA, NOW, visibility=Visibility.LINK, allow_guests=True)
    assert room.allow_guests


def test_only_the_host_asks_for_a_password_and_extends() -> None:
    room = a_room(BOB)
    room.change_participant(place_of(room, BOB), ADA, NOW, role=RoomRole.MODERATOR)
    with pytest.raises(Forbidden):
        room.set_password(BOB, NOW, "hash")
    with pytest.raises(Forbidden):
        room.extend(BOB, NOW)


def test_of_a_password_is_told_only_whether_there_is_one() -> None:
    room = a_room()
    for password_hash in ("hash of one", "hash of another", None):
        room.set_password(ADA, NOW, password_hash)
        room.set_password(ADA, NOW, password_hash)
    news = room.take_news()

    assert [event.changes["password_set"] for event in news] == [(False, True), (True, True), (True, False)]
    assert "hash" not in str(news)


# ----------------------------------------------------------------------------------------------------- time and ending


def test_a_room_ends_after_its_time_and_says_so_before() -> None:
    room = a_room()
    room.attend([ADA], NOW)
    ends = NOW + timedelta(hours=24)
    room.take_news()
    for at in (ends - timedelta(minutes=10), ends - timedelta(minutes=1)):
        assert room.due_at == at
        room.elapse(at)
    assert [data["minutes"] for data in told(room.take_news(), "room.expiring")] == [10, 1]
    with pytest.raises(RoomExpired):  # although nobody has told it yet
        room.join(ParticipantId(UUID(int=7)), BOB, "Bob", ends)
    room.elapse(ends)

    assert (moved(room), room.due_at, room.closed_at) == (["room.expired"], None, ends)
    for refused in (
        lambda: room.seat(ADA),
        lambda: room.join(ParticipantId(UUID(int=7)), BOB, "Bob", ends),
        lambda: room.close(ADA, ends),
    ):
        with pytest.raises(RoomExpired) as gone:
            refused()
        assert gone.value.extra == {"reason": "expired", "closed_at": ends}
    room.attend([], ends)
    room.elapse(ends + timedelta(days=1))
    assert moved(room) == []


def test_an_extended_room_warns_again() -> None:
    room = a_room()
    room.attend([ADA], NOW)
    ends = NOW + timedelta(hours=24)
    room.elapse(ends - timedelta(minutes=10))
    room.extend(ADA, ends - timedelta(minutes=9))
    assert room.due_at == ends + timedelta(hours=24) - timedelta(minutes=10)


def test_a_room_lives_for_seven_days_at_most() -> None:
    room = a_room()
    for _ in range(9):
        room.extend(ADA, NOW)
    assert room.expires_at == NOW + timedelta(days=7)
    assert moved(room) == ["room.extended"] * 6


def test_a_room_of_ten_minutes_warns_once() -> None:
    room = a_room(lifetime=timedelta(minutes=10))
    assert room.due_at == NOW + 120 * SECOND  # the place of its host; the first warning would have been now
    room.attend([ADA], NOW)
    assert room.due_at == NOW + timedelta(minutes=9)


def test_a_room_of_half_a_minute_warns_of_nothing() -> None:
    room = a_room(lifetime=30 * SECOND)
    room.elapse(NOW + 30 * SECOND)
    assert moved(room) == ["room.expired"]


@pytest.mark.parametrize(("by", "may"), [(ADA, True), (BOB, False), (None, True)])
def test_the_host_the_one_who_opened_it_and_the_system_close_a_room(by: AccountId | None, may: bool) -> None:
    room = a_room(BOB)
    if not may:
        with pytest.raises(Forbidden):
            room.close(by, NOW)
        return
    room.close(by, NOW, reason="closed")
    assert told(room.take_news(), "room.closed") == [{"reason": "closed"}]
    assert room.participants
    with pytest.raises(RoomClosed) as gone:
        room.seat(ADA)
    assert not isinstance(gone.value, RoomExpired)


def test_who_opened_a_room_closes_it_from_outside() -> None:
    room = a_room(BOB)
    room.leave(ADA, ADA, NOW)
    room.close(ADA, NOW)
    assert room.closed_at == NOW


def test_a_stranger_is_told_nothing_of_a_room() -> None:
    room = a_room()
    verbs: list[Callable[[], object]] = [
        lambda: room.seat(EVE),
        lambda: room.leave(EVE, EVE, NOW),
        lambda: room.play(EVE, NOW, 300),
        lambda: room.remove(place_of(room, ADA), EVE, NOW),
    ]
    for verb in verbs:
        with pytest.raises(NotFound):
            verb()


def test_a_disabled_account_is_made_to_leave() -> None:
    room = a_room(BOB)
    room.leave(BOB, None, NOW, reason="account_disabled")
    (event,) = room.take_news()
    assert (event.actor, event.data["reason"]) == (None, "account_disabled")


def test_a_participant_can_be_called_what_an_account_can() -> None:
    assert PARTICIPANT_NAME_MAX == DISPLAY_NAME_MAX
