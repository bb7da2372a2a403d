"""Intervals are a set of offsets, however its ranges came together."""

from hypothesis import given
from hypothesis import strategies as st

from application.realtime.intervals import NO_OFFSETS, Intervals

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12)


def of(*ranges: tuple[int, int]) -> Intervals:
    intervals = NO_OFFSETS
    for after, to in ranges:
        intervals = intervals.including(after, to)
    return intervals


def test_a_range_has_what_follows_its_beginning_up_to_its_end() -> None:
    intervals = of((3, 7))
    assert [offset for offset in range(10) if offset in intervals] == [4, 5, 6, 7]


def test_ranges_that_overlap_or_touch_become_one() -> None:
    assert of((0, 3), (5, 8)).ranges == [(0, 3), (5, 8)]
    assert of((0, 3), (5, 8), (2, 4)).ranges == [(0, 4), (5, 8)]
    assert of((0, 3), (5, 8), (3, 5)).ranges == [(0, 8)]
    assert of((2, 4), (3, 3), (9, 1)).ranges == [(2, 4)]


def test_whoever_asks_for_one_offset_more_each_time_leaves_one_range() -> None:
    assert of(*((offset, offset + 1) for offset in range(1_000, 0, -1))).ranges == [(1, 1_001)]


@given(ranges=RANGES)
def test_intervals_have_exactly_the_offsets_of_their_ranges(ranges: list[tuple[int, int]]) -> None:
    intervals = of(*ranges)
    expected = {offset for after, to in ranges for offset in range(after + 1, to + 1)}
    assert {offset for offset in range(40) if offset in intervals} == expected
    edges = [edge for each in intervals.ranges for edge in each]
    assert edges == sorted(set(edges))


@given(ranges=RANGES, more=st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_including_more_changes_only_what_it_returns(ranges: list[tuple[int, int]], more: tuple[int, int]) -> None:
    intervals = of(*ranges)
    before = list(intervals.ranges)
    assert set(before) == set(of(*reversed(ranges)).ranges)
    intervals.including(*more)
    assert list(intervals.ranges) == before
