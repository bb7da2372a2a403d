"""Which offsets of a stream were shown, as ranges rather than one by one."""

from collections.abc import Sequence


class Intervals:
    """A set of offsets that does not change: ranges in order, which neither overlap nor touch.

    A range is the offset that it begins after and the last that it has: (3, 7) are 4, 5, 6 and 7.
    """

    __slots__ = ("ranges",)

    def __init__(self, ranges: Sequence[tuple[int, int]] = ()) -> None:
        """Of ranges that are in order already; `including` brings any others there."""
        self.ranges = ranges

    def including(self, after: int, to: int) -> "Intervals":
        """These offsets and those that follow `after` up to `to`; the same if there are none of those."""
        if after >= to:
            return self
        apart: list[tuple[int, int]] = []
        for begin, end in self.ranges:
            if end < after or to < begin:
                apart.append((begin, end))
            else:
                after, to = min(after, begin), max(to, end)
        return Intervals(sorted([*apart, (after, to)]))

    def __contains__(self, offset: int) -> bool:
        return any(after < offset <= to for after, to in self.ranges)


NO_OFFSETS = Intervals()
