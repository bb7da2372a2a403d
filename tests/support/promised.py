"""Times that are promised of a machine with nothing else to do, held on one that may have more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic


def stretched(seconds: float) -> float:
    """As many seconds as that takes here: more by as much as there is work for each processor."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """That the block lasts for less than so many seconds, as `stretched` has them."""
    began = monotonic()
    yield
    took, allowed = monotonic() - began, stretched(seconds)
    assert took < allowed, f"it took {took:.2f} s instead of {allowed:.2f} s"
