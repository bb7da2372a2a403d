"""Circuit breakers: after one caller finds a service unavailable, others do not wait for it until it may be back."""

import logging
import time
from typing import Literal

PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Breaker:
    """A circuit breaker for one use of a service. It logs `away` when it opens and `back` when it closes."""

    def __init__(self, away: str, back: str) -> None:
        self._away = away
        self._back = back
        self._has_failed = False
        self._next_try = 0.0

    @property
    def state(self) -> Literal["closed", "half_open", "open"]:
        """`closed`: the service works. `open`: it failed, and is not called. `half_open`: the next caller may try it.

        Safe to read from any thread.
        """
        if not self._has_failed:
            return "closed"
        return "open" if time.monotonic() < self._next_try else "half_open"

    def succeed(self) -> None:
        """Note a useful answer, which closes the breaker."""
        if self._has_failed:
            self._has_failed = False
            log.info("%s", self._back)

    def fail(self, reason: str) -> None:
        """Note that a useful answer did not come, which opens the breaker for a second."""
        if not self._has_failed:
            log.warning("%s: %s", self._away, reason)
        self._next_try = time.monotonic() + PAUSE_SECONDS
        self._has_failed = True
