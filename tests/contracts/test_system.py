"""What every clock and every source of identifiers promises."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import RFC_4122

import pytest

from adapters.memory.system import MovableClock, SequentialIds
from adapters.system import SystemClock, TimeOrderedIds
from application.ports.system import Clock, Ids


@pytest.fixture(params=[MovableClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


@pytest.fixture(params=[SequentialIds, TimeOrderedIds])
def ids(request: pytest.FixtureRequest) -> Ids:
    made: Ids = request.param()
    return made


def test_a_moment_is_aware_utc_in_whole_milliseconds(clock: Clock) -> None:
    for _ in range(100):
        now = clock.now()
        assert now.tzinfo is UTC
        assert now.microsecond % 1000 == 0


def test_time_does_not_run_backwards_by_itself(clock: Clock) -> None:
    moments = [clock.now() for _ in range(1000)]
    assert moments == sorted(moments)


def test_the_clock_of_the_host_shows_the_present() -> None:
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=1)


def test_a_movable_clock_stands_still_until_it_is_moved() -> None:
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock = MovableClock(start)
    assert clock.now() == clock.now() == start
    clock.advance(timedelta(minutes=5))
    assert clock.now() == start + timedelta(minutes=5)
    clock.advance(timedelta(days=-1))
    assert clock.now() == start + timedelta(minutes=5, days=-1)


def test_identifiers_are_unique_rise_and_are_of_version_7(ids: Ids) -> None:
    made = [ids.new() for _ in range(5000)]
    assert all(earlier < later for earlier, later in pairwise(made))
    assert {id.version for id in made} == {7}
    assert {id.variant for id in made} == {RFC_4122}


def test_identifiers_of_the_process_tell_when_they_were_made() -> None:
    made = datetime.fromtimestamp((TimeOrderedIds().new().int >> 80) / 1000, UTC)
    assert abs(made - datetime.now(UTC)) < timedelta(seconds=1)


def test_sequential_identifiers_can_be_foreseen() -> None:
    one, other = SequentialIds(), SequentialIds()
    assert [one.new() for _ in range(10)] == [other.new() for _ in range(10)]
