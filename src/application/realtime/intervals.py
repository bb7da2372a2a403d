"""Which offsets of a stream were shown, as ranges rather than one by one."""

from collections.abc import Sequence


class Intervals:
    """An immutable set of offsets: ordered ranges that neither overlap nor touch.

    A range is the offset that it begins after and its last offset: (3, 7) contains 4, 5, 6 and 7.
    """

    __slots__ = ("ranges",)

    def __init__(self, ranges: Sequence[tuple[int, int]] = ()) -> None:
        """`ranges` have to be in order and apart already; `including` accepts any range."""
        self.ranges = ranges

    def including(self, after: int, to: int) -> "Intervals":
        """This set together with the offsets after `after` up to and including `to`."""
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
