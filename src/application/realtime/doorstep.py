"""Bounds the connections that are not authenticated yet: of one address, and of all addresses together."""

from collections import Counter
from collections.abc import Callable

from application.ports.observer import Observer
from domain.errors import Exhausted, Unavailable


class Doorstep:
    """Counts the live connections of this process before their `connect`."""

    def __init__(self, per_address: int, most: int, is_limited: bool, observer: Observer) -> None:
        """At most `per_address` of one address and `most` of all; without `is_limited` they are only counted."""
        self._per_address = per_address
        self._most = most
        self._is_limited = is_limited
        self._observer = observer
        self._by_address: Counter[str] = Counter()
        self._all = 0

    def __len__(self) -> int:
        return self._all

    def arrive(self, address: str) -> Callable[[], None]:
        """Count one more connection. Returns a function to call once, when it is authenticated or gone.

        Exhausted if the address has reached its bound; Unavailable if all addresses together have reached theirs.
        """
        if self._is_limited:
            crowd = "Too many connections stand open without a first frame; try again later."
            if self._by_address[address] >= self._per_address:
                self._observer.happened("rate_limited", "unconnected")
                raise Exhausted(crowd, retry_after_seconds=1)
            if self._all >= self._most:
                self._observer.happened("rate_limited", "unconnected")
                raise Unavailable(crowd)
        self._by_address[address] += 1
        self._all += 1

        def leave() -> None:
            self._all -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

        return leave
