"""Attempts go on as their schedule says, survive whoever made them, and end."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.attempts import JITTER, Attempts, Schedule

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=90)
PAUSES = [timedelta(), timedelta(seconds=5), timedelta(minutes=5)]
SCHEDULE = Schedule(PAUSES, LEASE)


def after(begun: int) -> Attempts:
    """The attempt of this number is under way."""
    attempts = Attempts.planned(SCHEDULE, NOW)
    for _ in range(begun):
        attempts = attempts.begin(SCHEDULE, NOW)
    return attempts


def test_the_first_attempt_is_due_after_the_first_pause() -> None:
    assert Attempts.planned(SCHEDULE, NOW) == Attempts(0, NOW)


def test_an_attempt_under_way_is_due_again_when_its_lease_ends() -> None:
    assert after(1) == Attempts(1, NOW + LEASE)


@pytest.mark.parametrize(("begun", "pause"), [(1, PAUSES[1]), (2, PAUSES[2])])
def test_after_a_failure_the_next_pause_follows(begun: int, pause: timedelta) -> None:
    assert after(begun).fail(SCHEDULE, NOW, 0) == Attempts(begun, NOW + pause)


def test_pauses_are_longer_by_chance_and_never_shorter() -> None:
    due_at = after(2).fail(SCHEDULE, NOW, 1).due_at
    assert due_at == NOW + PAUSES[2] * (1 + JITTER)


def test_after_the_last_attempt_nothing_is_due() -> None:
    assert after(3).fail(SCHEDULE, NOW, 0) == Attempts(3, None)


def test_a_last_attempt_that_was_lost_is_not_followed_by_another() -> None:
    assert after(3).begin(SCHEDULE, NOW + LEASE) == Attempts(3, None)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (timedelta(seconds=1), PAUSES[1]),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=400), timedelta(days=1)),
    ],
)
def test_a_server_may_ask_for_a_longer_pause_but_not_for_ever(asked: timedelta, waited: timedelta) -> None:
    assert after(1).fail(SCHEDULE, NOW, 0, asked).due_at == NOW + waited
