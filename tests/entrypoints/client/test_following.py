"""The loop that brings a player to where its room is, step by step."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from entrypoints.client import Frame
from entrypoints.client.following import COST_MAX_MS, DriftLoop, Mode, ServerClock

BEGIN = datetime(2026, 9, 21, tzinfo=UTC)
SERVER_BEGIN = BEGIN.timestamp() * 1000


@dataclass
class Player:
    """Does at once what it is told, and moves only with `pass_time`."""

    position: float = 0.0
    duration: float | None = 600.0
    is_paused: bool = True
    is_ready: bool = True
    ahead: float = 10.0
    is_stiff: bool = False
    seeks: int = 0
    _rate: float = 1.0

    @property
    def rate(self) -> float:
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if self.is_stiff and rate % 1:
            raise ValueError(rate)
        self._rate = rate

    def play(self) -> None:
        self.is_paused = False

    def pause(self) -> None:
        self.is_paused = True

    def seek(self, position: float) -> None:
        self.position = position
        self.seeks += 1


class Watching:
    """A loop with its player, and time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.player = Player()
        self.loop = DriftLoop(self.player)
        self.follow("loading")
        self.loop.loaded()

    def follow(self, status: str, position_ms: int = 0, *, in_ms: float = 0.0, epoch: int = 1, rate: float = 1) -> bool:
        return self.loop.follow(state(status, position_ms, self.now + in_ms, epoch=epoch, rate=rate))

    def pass_time(self, ms: float = 250.0) -> float:
        self.now += ms
        if not self.player.is_paused and self.player.is_ready:
            self.player.position += self.player.rate * ms / 1000
        return self.tick()

    def tick(self) -> float:
        return self.loop.tick(self.now, SERVER_BEGIN + self.now)

    def play(self) -> None:
        """Play in step with the room."""
        self.follow("playing", in_ms=1000, epoch=2)
        wait = self.tick()
        for _ in range(40):
            wait = self.pass_time(wait)
        assert self.player.rate == 1
        assert abs(self.loop.drift_ms or 0) < 30

    def move(self, ms: float) -> None:
        self.player.position += ms / 1000


def state(status: str, position_ms: int, at_ms: float, *, epoch: int, rate: float = 1, item_id: str = "film") -> Frame:
    return {
        "status": status,
        "item_id": item_id,
        "epoch": epoch,
        "anchor_position_ms": position_ms,
        "anchor_at": (BEGIN + timedelta(milliseconds=at_ms)).isoformat(),
        "rate": rate,
    }


@pytest.fixture
def watching() -> Watching:
    return Watching()


def test_what_is_a_little_off_is_left_alone(watching: Watching) -> None:
    watching.play()
    watching.move(-25)
    watching.pass_time()
    assert (watching.player.rate, watching.player.seeks) == (1, 0)


@pytest.mark.parametrize(("off_ms", "rate"), [(-40, 1.07), (-400, 1.1), (40, 0.93), (400, 0.9)])
def test_who_is_further_off_plays_faster_or_slower_until_there(watching: Watching, off_ms: float, rate: float) -> None:
    watching.play()
    watching.move(off_ms)
    watching.pass_time()
    assert watching.player.rate == pytest.approx(rate, abs=0.03)
    while watching.player.rate != 1:
        watching.pass_time()
    assert abs(watching.loop.drift_ms or 0) < 10
    assert watching.player.seeks == 0


def test_the_rate_of_the_room_is_what_is_bent(watching: Watching) -> None:
    watching.play()
    watching.follow("playing", 5000, epoch=3, rate=1.5)
    for _ in range(20):
        watching.pass_time()
    assert watching.player.rate == 1.5
    watching.move(-400)
    watching.pass_time()
    assert watching.player.rate == pytest.approx(1.65)


def test_who_is_far_off_seeks_to_where_the_room_will_be_when_that_is_done(watching: Watching) -> None:
    watching.play()
    watching.move(-2000)
    watching.pass_time()
    assert watching.player.seeks == 1
    assert watching.player.position * 1000 == pytest.approx(watching.now - 1000 + 300)


def test_what_a_seek_costs_is_learned(watching: Watching) -> None:
    watching.play()
    missed = []
    for _ in range(2):
        watching.move(-2000)
        watching.pass_time()
        watching.player.is_ready = False
        for _ in range(3):
            watching.pass_time()  # this player takes 750 ms
        watching.player.is_ready = True
        watching.pass_time()
        missed.append(watching.loop.drift_ms or 0)
        while watching.now < 120_000:
            watching.pass_time()
    assert missed[0] == pytest.approx(450, abs=30)
    assert abs(missed[1]) < 30


def test_an_odd_seek_does_not_teach_nonsense(watching: Watching) -> None:
    watching.play()
    watching.move(-2000)
    watching.pass_time()
    watching.player.is_ready = False
    watching.pass_time(9000)
    watching.player.is_ready = True
    watching.pass_time()
    assert watching.loop._seek_cost.ms == COST_MAX_MS


def test_seeks_are_rare_and_after_the_third_a_member_is_left_alone_until_it_asks(watching: Watching) -> None:
    watching.play()
    at: list[float] = []
    while not watching.loop.is_lagging:
        watching.move(-2000)
        before = watching.player.seeks
        watching.pass_time()
        if watching.player.seeks > before:
            at.append(watching.now)
    assert len(at) == 3
    assert at[1] - at[0] >= 5000
    assert at[2] - at[1] >= 10_000
    for _ in range(400):
        watching.pass_time()
    assert (watching.player.seeks, watching.player.rate) == (3, 1)
    assert watching.loop.report()["sync"] == "lagging"
    watching.loop.resync()
    watching.pass_time()
    assert watching.player.seeks == 4


def test_a_command_ends_being_left_alone(watching: Watching) -> None:
    watching.play()
    watching.loop.is_lagging = True
    watching.follow("paused", 7000, epoch=3)
    assert not watching.loop.is_lagging


def test_a_player_that_knows_whole_rates_only_seeks_earlier(watching: Watching) -> None:
    watching.play()
    watching.player.is_stiff = True
    watching.move(-300)
    watching.pass_time()
    watching.pass_time()
    assert (watching.player.rate, watching.player.seeks) == (1, 0)
    watching.move(-150)
    watching.pass_time()
    assert (watching.player.rate, watching.player.seeks) == (1, 1)


@pytest.mark.parametrize(
    ("mode", "off_ms", "found"),
    [
        ("strict", -2500, (1, 1)),
        ("relaxed", -2500, (1.1, 0)),
        ("relaxed", -3500, (1, 1)),
        ("free", -2500, (1, 0)),
        ("free", -9000, (1, 0)),
    ],
)
def test_a_mode_says_how_far_off_is_too_far(
    watching: Watching, mode: Mode, off_ms: float, found: tuple[float, int]
) -> None:
    watching.play()
    watching.loop.mode = mode
    watching.move(off_ms)
    watching.pass_time()
    assert (watching.player.rate, watching.player.seeks) == found


def test_a_start_waits_for_its_moment_less_what_a_start_costs(watching: Watching) -> None:
    watching.follow("playing", 10_000, in_ms=1000, epoch=2)
    assert watching.tick() == 250
    assert watching.player.position == 10
    for _ in range(3):
        assert watching.player.is_paused
        wait = watching.pass_time()
    assert wait == 50  # a start is taken to cost 200 ms at first
    watching.pass_time(50)
    assert not watching.player.is_paused


def test_a_pause_brings_everybody_to_the_same_moment(watching: Watching) -> None:
    watching.play()
    watching.follow("paused", 4321, epoch=3)
    watching.pass_time()
    assert watching.player.is_paused
    assert watching.player.position == 4.321


def test_a_player_that_cannot_go_there_exactly_is_sent_there_once(watching: Watching) -> None:
    watching.follow("paused", 4321, epoch=2)
    watching.tick()
    watching.player.position = 4.0
    for _ in range(5):
        watching.pass_time()
    assert watching.player.seeks == 1


def test_who_comes_late_begins_where_the_room_will_be(watching: Watching) -> None:
    watching.now = 60_000
    watching.loop.follow(state("playing", 0, 0, epoch=2))
    watching.tick()
    assert not watching.player.is_paused
    assert watching.player.position == pytest.approx(60.3)


@pytest.mark.parametrize(("offset_ms", "position"), [(2000, 62.3), (-2000, 58.3)])
def test_an_own_offset_moves_a_member_and_not_what_it_reports(
    watching: Watching, offset_ms: int, position: float
) -> None:
    watching.loop.offset_ms = offset_ms
    watching.now = 60_000
    watching.loop.follow(state("playing", 0, 0, epoch=2))
    watching.tick()
    assert watching.player.position == pytest.approx(position)
    assert watching.loop.report()["position_ms"] == 60_300


def test_an_offset_before_the_beginning_starts_so_much_later(watching: Watching) -> None:
    watching.loop.offset_ms = -3000
    watching.follow("playing", epoch=2)
    while watching.player.is_paused:
        watching.pass_time(min(250, watching.tick()))
    assert watching.now == pytest.approx(2800)


def test_a_member_is_ready_when_it_is_there_and_has_two_seconds(watching: Watching) -> None:
    player, loop = watching.player, watching.loop
    for position, ahead, is_ready, wanted in (
        (0.0, 2.0, True, True),
        (0.4, 10.0, True, True),
        (0.6, 10.0, True, False),
        (0.0, 1.9, True, False),
        (0.0, 10.0, False, False),
    ):
        player.position, player.ahead, player.is_ready = position, ahead, is_ready
        watching.tick()
        assert loop.report()["ready"] is wanted, (position, ahead, is_ready)


def test_who_stands_still_for_half_a_second_is_buffering(watching: Watching) -> None:
    watching.play()
    watching.player.is_ready = False
    watching.pass_time()
    assert not watching.loop.report()["buffering"]
    watching.pass_time()
    report = watching.loop.report()
    assert (report["buffering"], report["ready"]) == (True, False)
    watching.player.is_ready = True
    watching.pass_time()
    report = watching.loop.report()
    assert (report["buffering"], report["ready"]) == (False, True)


def test_the_end_is_told_and_nobody_is_sent_back_from_it(watching: Watching) -> None:
    watching.player.duration = 10.0
    watching.play()
    while watching.player.position < 10:
        watching.pass_time()
    watching.player.position, watching.player.is_paused = 10.0, True
    watching.pass_time()
    report = watching.loop.report()
    assert (report["ended"], report["buffering"], report["duration_ms"]) == (True, False, 10_000)
    assert (watching.player.is_paused, watching.player.seeks) == (True, 0)


def test_an_older_state_is_refused(watching: Watching) -> None:
    assert watching.follow("paused", 5000, epoch=3)
    assert not watching.follow("playing", 0, epoch=2)
    assert watching.loop.state is not None
    assert watching.loop.state["status"] == "paused"


def test_another_item_is_not_played_before_it_is_loaded(watching: Watching) -> None:
    watching.play()
    watching.loop.follow(state("playing", 0, watching.now, epoch=3, item_id="another"))
    watching.pass_time()
    assert watching.player.is_paused
    report = watching.loop.report()
    assert (report["item_id"], report["ready"], report["position_ms"]) == ("another", False, 0)
    assert report["duration_ms"] is None
    watching.loop.loaded()
    watching.pass_time()
    assert not watching.player.is_paused


def test_the_quickest_way_there_and_the_quickest_way_back_tell_the_time() -> None:
    clock = ServerClock()
    assert not clock.is_known
    for sent, there, back in ((0, 100, 10), (1000, 10, 100), (2000, 60, 60)):
        received = 5000 + sent + there
        clock.take(sent, received, received + 30, sent + there + 30 + back)
    assert clock.at(0) == 5000
    assert clock.rtt_ms == 110


def test_no_way_is_shorter_than_none() -> None:
    clock = ServerClock()
    clock.take(0, 5000, 5001, 0.2)
    assert clock.rtt_ms == 0


def test_old_pings_are_forgotten_when_eight_newer_ones_came() -> None:
    clock = ServerClock()
    clock.take(0, 5010, 5010, 20)
    for i in range(1, 9):
        clock.take(1000 * i, 6000 + 1000 * i + 50, 6000 + 1000 * i + 50, 1000 * i + 100)
    assert clock.at(0) == 6000


def test_a_clock_that_is_doubted_is_used_until_there_is_another_ping() -> None:
    clock = ServerClock()
    clock.take(0, 5010, 5010, 20)
    clock.doubt()
    assert clock.at(0) == 5000
    clock.take(0, 9100, 9100, 200)
    assert clock.at(0) == 9000
