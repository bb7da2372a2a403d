"""What plays in a room, where it is, and for whom it waits."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Forbidden, Invalid, NotFound
from domain.ids import AccountId, ParticipantId, QueueItemId
from domain.rooms import (
    Control,
    HostLeave,
    NothingLoaded,
    Playback,
    PlaybackStatus,
    Policies,
    Progress,
    Queue,
    QueueMode,
    Report,
    Room,
    StaleEpoch,
    Wait,
    lead_ms,
)
from tests.support.rooms import ADA, BOB, EVE, NOW, a_queue, a_room, an_item, told, types

SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)
LEAD = 300
CROWD = [ADA, BOB, EVE, *(AccountId(UUID(int=n)) for n in range(4, 11))]
ITEM = QueueItemId(UUID(int=101))


def a_loading_room(people: int = 2, **settings: object) -> tuple[Room, Queue]:
    """A room of this many, all connected, that has just loaded an item of a minute."""
    room = a_room(*CROWD[1:people], **settings)
    room.attend(CROWD, NOW)
    queue = a_queue(room)
    room.next(queue, ADA, NOW, LEAD)
    room.take_news()
    return room, queue


def a_playing_room(people: int = 2, **settings: object) -> tuple[Room, Queue]:
    """The same, which plays from `NOW` on."""
    room, queue = a_loading_room(people, **settings)
    room.play(ADA, NOW - LEAD * MS, LEAD)
    room.take_news()
    return room, queue


def hear(
    room: Room, people: Collection[AccountId], at: int = 0, position_ms: int | None = None, **report: bool
) -> None:
    """Reports of these on the present epoch, some seconds from NOW."""
    now = room.playback
    position_ms = now.anchor_position_ms if position_ms is None else position_ms
    for account in people:
        room.report(account, Report(now.epoch, now.item_id, position_ms, **report), NOW + at * SECOND, LEAD)


def status(room: Room) -> PlaybackStatus:
    return room.playback.status


# ------------------------------------------------------------------------------------------------------ the arithmetic


@pytest.mark.parametrize(
    ("after_ms", "rate", "position_ms"),
    [
        (0, 1.0, 5_000),
        (-900, 1.0, 5_000),
        (1, 1.0, 5_001),
        (1_000, 1.25, 6_250),
        (3, 0.5, 5_001),
        (600_000, 3.0, 60_000),
    ],
)
def test_a_position_is_the_anchor_and_the_time_since_but_not_past_the_end(
    after_ms: int, rate: float, position_ms: int
) -> None:
    playing = Playback(PlaybackStatus.PLAYING, ITEM, 1, 5_000, NOW, rate, duration_ms=60_000)
    assert playing.position_ms(NOW + after_ms * MS) == position_ms
    for still in set(PlaybackStatus) - {PlaybackStatus.PLAYING}:
        assert replace(playing, status=still).position_ms(NOW + 10 * SECOND) == 5_000


@given(
    anchor_ms=st.integers(0, 10**8),
    hundredths=st.integers(25, 300),
    duration_ms=st.integers(1, 10**8),
    us=st.integers(0, 10**12),
)
def test_a_position_is_exact_never_falls_and_reaches_the_end_when_it_is_said_to(
    anchor_ms: int, hundredths: int, duration_ms: int, us: int
) -> None:
    playing = Playback(PlaybackStatus.PLAYING, ITEM, 1, anchor_ms, NOW, hundredths / 100, duration_ms)
    at = NOW + timedelta(microseconds=us)
    open_ended = replace(playing, duration_ms=None)
    assert open_ended.position_ms(at) == anchor_ms + us * hundredths // 100_000
    assert playing.position_ms(at) <= playing.position_ms(at + MS)
    assert playing.ends_at is not None
    assert playing.position_ms(playing.ends_at) == duration_ms
    if playing.ends_at > NOW:
        assert playing.position_ms(playing.ends_at - timedelta(microseconds=1)) < duration_ms


@pytest.mark.parametrize(("round_trips", "lead"), [([], 500), ([20, 40], 300), ([20, 400], 550), ([9_000], 1_500)])
def test_a_start_lies_as_far_ahead_as_the_slowest_needs_to_hear_of_it(round_trips: list[int], lead: int) -> None:
    assert lead_ms(round_trips) == lead


# ---------------------------------------------------------------------------------------------------------- commands


def test_a_start_and_a_seek_lie_ahead_and_a_pause_is_at_once() -> None:
    room, _ = a_loading_room()
    room.play(ADA, NOW, 400)
    assert (room.playback.anchor_at, room.playback.position_ms(NOW + 400 * MS)) == (NOW + 400 * MS, 0)
    room.seek(ADA, NOW + 5 * SECOND, 600, 30_000)
    assert room.playback.position_ms(NOW + 6 * SECOND) == 30_400
    room.pause(ADA, NOW + 6 * SECOND)

    assert (status(room), room.playback.anchor_position_ms) == (PlaybackStatus.PAUSED, 30_400)
    assert [state["epoch"] for state in told(room.take_news(), "room.state")] == [2, 3, 4]


def test_what_is_so_already_begins_no_epoch() -> None:
    room, _ = a_playing_room()
    room.play(ADA, NOW, LEAD)
    room.set_rate(ADA, NOW, 1.0)
    room.pause(ADA, NOW)
    room.take_news()
    room.pause(ADA, NOW)
    assert types(room.take_news()) == []


def test_another_rate_goes_on_from_where_it_is() -> None:
    room, _ = a_playing_room()
    room.set_rate(ADA, NOW + 10 * SECOND, 1.5)
    assert room.playback.position_ms(NOW + 12 * SECOND) == 13_000
    room.pause(ADA, NOW + 12 * SECOND)
    room.set_rate(ADA, NOW + 20 * SECOND, 1.0)
    assert (room.playback.position_ms(NOW + 30 * SECOND), room.playback.rate) == (13_000, 1.0)


def test_another_rate_before_the_start_does_not_move_the_start() -> None:
    room, _ = a_loading_room()
    room.play(ADA, NOW, 900)
    room.set_rate(ADA, NOW, 2.0)
    assert room.playback.position_ms(NOW + SECOND) == 200


@pytest.mark.parametrize("rate", [0.24, 3.01, float("nan"), float("inf"), -1.0])
def test_a_rate_has_bounds(rate: float) -> None:
    room, _ = a_playing_room()
    with pytest.raises(Invalid):
        room.set_rate(ADA, NOW, rate)


@pytest.mark.parametrize("position_ms", [-1, 7 * 24 * 3_600_000 + 1])
def test_a_position_has_bounds(position_ms: int) -> None:
    room, _ = a_playing_room()
    with pytest.raises(Invalid):
        room.seek(ADA, NOW, LEAD, position_ms)


def test_nobody_goes_past_the_end() -> None:
    room, _ = a_playing_room()
    room.seek(ADA, NOW, LEAD, 90_000)
    assert room.playback.position_ms(NOW) == 60_000


def test_of_two_commands_for_one_epoch_one_wins_and_the_other_hears_the_state_of_now() -> None:
    room, queue = a_playing_room()
    epoch = room.playback.epoch
    room.seek(ADA, NOW, LEAD, 10_000, epoch)
    commands: list[Callable[[], None]] = [
        lambda: room.seek(BOB, NOW, LEAD, 20_000, epoch),
        lambda: room.play(BOB, NOW, LEAD, epoch),
        lambda: room.pause(BOB, NOW, epoch),
        lambda: room.set_rate(BOB, NOW, 2.0, epoch),
        lambda: room.load(queue, queue.items[0].id, BOB, NOW, LEAD, epoch),
        lambda: room.next(queue, BOB, NOW, LEAD, epoch),
        lambda: room.skip(queue, BOB, NOW, LEAD, epoch),
    ]
    for command in commands:
        with pytest.raises(StaleEpoch) as stale:
            command()
        assert stale.value.extra == {"state": room.playback.snapshot(), "server_time": NOW}
    assert room.playback.anchor_position_ms == 10_000


def test_nothing_is_controlled_without_the_right_or_without_an_item() -> None:
    room, _ = a_playing_room(policies=Policies(control=Control.MODERATORS))
    with pytest.raises(Forbidden):
        room.pause(BOB, NOW)
    empty = a_room()
    for command in (empty.pause, lambda by, at: empty.seek(by, at, LEAD, 0), lambda by, at: empty.play(by, at, LEAD)):
        with pytest.raises(NothingLoaded):
            command(ADA, NOW)
    with pytest.raises(NothingLoaded):
        empty.next(a_queue(empty, items=0), ADA, NOW, LEAD)
    with pytest.raises(NotFound):
        empty.skip(a_queue(empty), ADA, NOW, LEAD)


def test_what_ended_begins_again_or_is_looked_at_paused() -> None:
    room, queue = a_playing_room()
    queue.items = []
    room.next(queue, ADA, NOW, LEAD)
    room.next(queue, ADA, NOW, LEAD)
    assert (status(room), room.playback.position_ms(NOW)) == (PlaybackStatus.ENDED, 60_000)
    room.seek(ADA, NOW, LEAD, 7_000)
    assert (status(room), room.playback.position_ms(NOW)) == (PlaybackStatus.PAUSED, 7_000)
    room.next(queue, ADA, NOW, LEAD)
    room.play(ADA, NOW, LEAD)
    assert (status(room), room.playback.position_ms(NOW)) == (PlaybackStatus.PLAYING, 0)


# ------------------------------------------------------------------------------------------------- ready and buffering


@pytest.mark.parametrize(("wait", "needed"), [(Wait.ALL, 10), (Wait.QUORUM, 8), (Wait.NONE, 0)], ids=str)
def test_an_item_starts_when_as_many_are_ready_as_the_policy_says(wait: Wait, needed: int) -> None:
    room, _ = a_loading_room(10, policies=Policies(wait=wait))
    for n, account in enumerate(CROWD[:needed]):
        assert status(room) is PlaybackStatus.LOADING, n
        hear(room, [account], at=1, ready=True)
    assert status(room) is PlaybackStatus.PLAYING
    assert room.playback.anchor_at == NOW + bool(needed) * SECOND + LEAD * MS


def test_an_item_starts_after_eight_seconds_at_the_latest() -> None:
    room, _ = a_loading_room()
    hear(room, [ADA], at=1, ready=True)
    room.elapse(NOW + 8 * SECOND - MS)
    assert status(room) is PlaybackStatus.LOADING
    room.elapse(NOW + 8 * SECOND, 700)

    assert (status(room), room.playback.anchor_at) == (PlaybackStatus.PLAYING, NOW + 8 * SECOND + 700 * MS)
    assert told(room.take_news(), "room.state")[-1]["reason"] == "overdue"


def test_ready_is_who_is_where_it_starts_and_in_this_epoch() -> None:
    room, _ = a_loading_room()
    hear(room, [ADA, BOB], position_ms=501, ready=True)
    hear(room, [ADA, BOB], ready=True, buffering=True)
    hear(room, [BOB], ready=True)
    hear(room, [BOB])
    hear(room, [ADA], ready=True)
    assert status(room) is PlaybackStatus.LOADING  # Bob was ready and is not any more
    room.seek(ADA, NOW, LEAD, 20_000)
    hear(room, [BOB], ready=True)
    assert status(room) is PlaybackStatus.LOADING  # Ada was ready somewhere else
    hear(room, [ADA], position_ms=20_500, ready=True)
    assert (status(room), room.playback.duration_ms) == (PlaybackStatus.PLAYING, 60_000)


def test_a_report_on_another_epoch_or_item_changes_nothing() -> None:
    room, _ = a_loading_room()
    now = room.playback
    for epoch, item in ((now.epoch - 1, now.item_id), (now.epoch + 1, now.item_id), (now.epoch, an_item(9).id)):
        room.report(ADA, Report(epoch, item, 0, ready=True), NOW, LEAD)
    idle = a_room()
    idle.report(ADA, Report(0, None, 0, ready=True), NOW, LEAD)
    assert (types(room.take_news()), types(idle.take_news())) == ([], [])


def test_nobody_waits_for_who_joins_late_until_they_are_ready_once() -> None:
    room, _ = a_loading_room()
    room.join(ParticipantId(UUID(int=77)), EVE, "Eve", NOW)
    room.attend([ADA, BOB, EVE], NOW)
    hear(room, [ADA, BOB], ready=True)
    assert status(room) is PlaybackStatus.PLAYING
    hear(room, [EVE], at=1, buffering=True)
    room.elapse(NOW + 5 * SECOND)
    assert status(room) is PlaybackStatus.PLAYING
    hear(room, [EVE], at=6, ready=True)
    hear(room, [EVE], at=7, buffering=True)
    room.elapse(NOW + 9 * SECOND)
    assert status(room) is PlaybackStatus.WAITING


def test_the_end_does_not_wait_for_who_joins_late() -> None:
    room, _ = a_playing_room()
    room.join(ParticipantId(UUID(int=77)), EVE, "Eve", NOW)
    room.attend([ADA, BOB, EVE], NOW)
    hear(room, [ADA, BOB], at=60, ended=True)
    assert status(room) is PlaybackStatus.ENDED


def test_what_nobody_waits_for_is_not_told() -> None:
    patient, _ = a_playing_room(policies=Policies(wait=Wait.NONE))
    hear(patient, [BOB], at=5, buffering=True)
    room, _ = a_playing_room()
    room.join(ParticipantId(UUID(int=77)), EVE, "Eve", NOW)
    room.take_news()
    hear(room, [EVE], at=5, buffering=True)
    assert (types(patient.take_news()), types(room.take_news())) == ([], [])


def test_nobody_is_at_the_end_of_what_does_not_play() -> None:
    room, _ = a_loading_room()
    hear(room, [ADA, BOB], at=7, ended=True)
    assert (status(room), types(room.take_news())) == (PlaybackStatus.LOADING, [])


def test_nobody_waits_for_who_is_gone() -> None:
    room, _ = a_loading_room()
    hear(room, [ADA], ready=True)
    room.attend([ADA], NOW + SECOND)
    assert status(room) is PlaybackStatus.PLAYING
    room, _ = a_loading_room()
    hear(room, [ADA], ready=True)
    room.leave(BOB, BOB, NOW)
    assert status(room) is PlaybackStatus.PLAYING


def test_a_player_that_stutters_does_not_matter_and_one_that_stands_still_stops_all() -> None:
    room, _ = a_playing_room()
    hear(room, [BOB], at=5, buffering=True)
    hear(room, [BOB], at=6)
    room.elapse(NOW + 9 * SECOND)
    assert status(room) is PlaybackStatus.PLAYING
    hear(room, [BOB], at=10, buffering=True)
    hear(room, [BOB], at=11, buffering=True)
    assert room.due_at == NOW + 12 * SECOND
    room.elapse(NOW + 12 * SECOND)
    assert (status(room), room.playback.position_ms(NOW)) == (PlaybackStatus.WAITING, 12_000)
    hear(room, [BOB], at=14, ready=True)

    assert (status(room), room.playback.anchor_position_ms) == (PlaybackStatus.PLAYING, 12_000)
    assert room.playback.anchor_at == NOW + 14 * SECOND + LEAD * MS


def test_a_room_waits_for_ten_seconds_at_most() -> None:
    room, _ = a_playing_room()
    hear(room, [BOB], buffering=True)
    room.elapse(NOW + 2 * SECOND)
    assert room.due_at == NOW + 12 * SECOND
    room.elapse(NOW + 12 * SECOND)
    assert status(room) is PlaybackStatus.PLAYING


def test_one_participant_stops_a_room_three_times_in_five_minutes_and_no_more() -> None:
    room, _ = a_playing_room()
    waited = []
    for second in (0, 60, 120, 180, 301, 362):
        room.seek(ADA, NOW + second * SECOND, LEAD, 0)
        hear(room, [BOB], at=second, buffering=True)
        room.elapse(NOW + (second + 2) * SECOND)
        waited.append(status(room) is PlaybackStatus.WAITING)
        room.elapse(NOW + (second + 12) * SECOND)
    # The first wait began at 2 s, the second at 62 s.
    assert waited == [True, True, True, False, False, True]


@pytest.mark.parametrize(
    ("wait", "stuck", "waits"), [(Wait.QUORUM, 2, False), (Wait.QUORUM, 3, True), (Wait.NONE, 9, False)]
)
def test_a_room_goes_on_without_as_many_as_the_policy_says(wait: Wait, stuck: int, waits: bool) -> None:
    room, _ = a_playing_room(10, policies=Policies(wait=wait))
    for second, account in enumerate(CROWD[:stuck]):
        hear(room, [account], at=second, buffering=True)
    room.elapse(NOW + (stuck + 1) * SECOND)
    assert (status(room) is PlaybackStatus.WAITING) is waits


def test_a_host_who_has_no_patience_plays() -> None:
    room, _ = a_loading_room()
    room.play(ADA, NOW, LEAD)
    assert (status(room), room.starts_by) == (PlaybackStatus.PLAYING, None)


def test_a_host_who_waits_for_nobody_any_more_starts_what_is_loading() -> None:
    room, _ = a_loading_room()
    room.change(ADA, NOW, policies=Policies(wait=Wait.NONE))
    assert status(room) is PlaybackStatus.PLAYING


# ------------------------------------------------------------------------------------------------------ how long it is


def test_the_length_is_the_median_of_what_players_say() -> None:
    room, _ = a_loading_room(3)
    for account, duration_ms in ((ADA, 50_000), (BOB, 90_000), (EVE, 51_000)):
        room.report(account, Report(1, ITEM, 0, ready=True, duration_ms=duration_ms), NOW, LEAD)
    assert room.playback.duration_ms == 51_000
    room.report(BOB, Report(room.playback.epoch, ITEM, 0, ready=True, duration_ms=10_000), NOW, LEAD)
    assert room.playback.duration_ms == 51_000  # the first word of each counts
    assert told(room.take_news(), "room.state")[-1]["duration_ms"] == 51_000


def test_the_length_that_a_host_states_stands() -> None:
    room, queue = a_loading_room()
    assert queue.current is not None
    room.state_duration(queue.current, ADA, NOW)
    assert room.playback.duration_ms == 60_000  # as the one who added it believes; players may know better
    room.state_duration(queue.edit(room.seat(ADA), queue.current.id, NOW, duration_ms=30_000), ADA, NOW)
    room.report(ADA, Report(1, ITEM, 0, ready=True, duration_ms=50_000), NOW, LEAD)
    assert (room.playback.duration_ms, room.playback.epoch) == (30_000, 1)
    assert [(each["reason"], each["duration_ms"]) for each in told(room.take_news(), "room.state")] == [
        ("duration", 30_000)
    ]
    room.next(queue, ADA, NOW, LEAD)
    room.report(ADA, Report(2, room.playback.item_id, 0, ready=True, duration_ms=50_000), NOW, LEAD)
    assert room.playback.duration_ms == 50_000


def test_what_is_said_of_another_item_or_by_who_only_added_it_does_not_stand() -> None:
    room, queue = a_loading_room()
    waiting = queue.edit(room.seat(ADA), an_item(2).id, NOW, duration_ms=30_000)
    assert queue.current is not None
    for item in (waiting, queue.current):
        room.state_duration(item, ADA, NOW)
    assert types(room.take_news()) == []
    room.report(ADA, Report(1, ITEM, 0, ready=True, duration_ms=50_000), NOW, LEAD)
    assert room.playback.duration_ms == 50_000


# ------------------------------------------------------------------------------------------------------- end of an item


def test_an_item_ends_three_seconds_after_its_end_or_when_all_are_there() -> None:
    room, _ = a_playing_room()
    assert room.due_at == NOW + 63 * SECOND
    room.elapse(NOW + 63 * SECOND)
    assert (status(room), room.playback.position_ms(NOW)) == (PlaybackStatus.ENDED, 60_000)
    room, _ = a_playing_room()
    hear(room, [ADA], at=30, ended=True)
    assert room.participants[room.seat(ADA).participant_id].progress is not Progress.ENDED  # that cannot be
    hear(room, [ADA], at=58, ended=True)
    assert status(room) is PlaybackStatus.PLAYING
    hear(room, [BOB], at=60, ended=True)
    assert status(room) is PlaybackStatus.ENDED


def test_an_item_of_unknown_length_ends_three_seconds_after_the_first_is_at_its_end() -> None:
    room, queue = a_playing_room()
    queue.items = [an_item(7, duration_ms=None)]
    room.next(queue, ADA, NOW, LEAD)
    room.play(ADA, NOW - LEAD * MS, LEAD)
    assert room.playback.ends_at is None
    hear(room, [BOB], at=40, ended=True)
    assert room.playback.duration_ms == 40_000
    room.elapse(NOW + 43 * SECOND)
    assert status(room) is PlaybackStatus.ENDED


def test_ten_who_are_at_the_end_go_on_by_one_item() -> None:
    room, queue = a_playing_room(10)
    hear(room, CROWD, at=60, ended=True)
    epoch = room.playback.epoch
    for _ in range(10):
        room.advance(queue, epoch, NOW + 60 * SECOND, LEAD)
    assert (room.playback.epoch, room.playback.item_id, len(queue.items)) == (epoch + 1, an_item(2).id, 1)
    for _ in range(10):
        room.next(queue, ADA, NOW, LEAD, item_id=an_item(2).id)
    assert (room.playback.item_id, len(queue.items)) == (an_item(3).id, 0)


def test_only_what_has_ended_is_followed_by_the_next() -> None:
    room, queue = a_playing_room()
    room.advance(queue, room.playback.epoch, NOW, LEAD)
    room.elapse(NOW + 63 * SECOND)
    room.advance(queue, room.playback.epoch - 1, NOW + 63 * SECOND, LEAD)
    assert (status(room), len(queue.items)) == (PlaybackStatus.ENDED, 2)


def test_nothing_goes_on_in_a_room_that_nobody_is_in_any_more() -> None:
    room, queue = a_playing_room(1)
    room.elapse(NOW + 63 * SECOND)
    room.leave(ADA, ADA, NOW + 63 * SECOND)
    room.advance(queue, room.playback.epoch, NOW + 64 * SECOND, LEAD)
    assert status(room) is PlaybackStatus.ENDED


def test_a_queue_that_is_a_loop_never_ends() -> None:
    room, queue = a_playing_room()
    queue.set_mode(room.seat(ADA), QueueMode.LOOP, NOW)
    seen = []
    for _ in range(4):
        seen.append(room.playback.item_id)
        room.next(queue, ADA, NOW, LEAD)
    assert seen == [an_item(n).id for n in (1, 2, 3, 1)]


# ------------------------------------------------------------------------------------------------ nobody there any more


def test_an_empty_room_stands_still_where_it_is_and_goes_on_from_there() -> None:
    room, _ = a_playing_room(1)
    room.attend([], NOW + 5 * SECOND)
    room.elapse(NOW + 25 * SECOND)
    assert (status(room), room.playback.position_ms(NOW + 99 * SECOND)) == (PlaybackStatus.PAUSED, 25_000)
    room.join(ParticipantId(UUID(int=77)), BOB, "Bob", NOW + 99 * SECOND)
    room.play(BOB, NOW + 100 * SECOND, LEAD)
    assert room.playback.position_ms(NOW) == 25_000


@pytest.mark.parametrize(
    ("policy", "after"), [(HostLeave.TRANSFER, PlaybackStatus.PLAYING), (HostLeave.PAUSE, PlaybackStatus.PAUSED)]
)
def test_what_follows_when_the_host_leaves_is_a_policy(policy: HostLeave, after: PlaybackStatus) -> None:
    room, _ = a_playing_room(policies=Policies(host_leave=policy))
    room.leave(ADA, ADA, NOW)
    assert status(room) is after
    assert types(room.take_news())[:2] == ["participant.left", "host.passed"]


def test_a_room_that_is_closed_plays_no_more() -> None:
    room, _ = a_playing_room()
    room.close(ADA, NOW + 4 * SECOND)
    assert (status(room), room.playback.anchor_position_ms) == (PlaybackStatus.PAUSED, 4_000)
    assert types(room.take_news()) == ["room.state", "room.closed"]
