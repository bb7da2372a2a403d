"""How many connections may stand open whose peers have not said who they are, of one address and of all."""

from collections import Counter
from collections.abc import Callable

from application.ports.observer import Observer
from domain.errors import Exhausted, Unavailable


class Doorstep:
    """Counts the live connections of this process before their `connect`."""

    def __init__(self, per_address: int, most: int, is_limited: bool, observer: Observer) -> None:
        """Without `is_limited` they are counted only."""
        self._per_address = per_address
        self._most = most
        self._is_limited = is_limited
        self._observer = observer
        self._by_address: Counter[str] = Counter()
        self._all = 0

    def __len__(self) -> int:
        return self._all

    def arrive(self, address: str) -> Callable[[], None]:
        """Count one more. Returns a function to be called once, when the connection has gone in or away.

        Exhausted if the address has as many as it may, and Unavailable if all addresses together have.
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
