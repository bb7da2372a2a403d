"""Circuit breakers: whoever finds out that a service is away does so for everybody, and only some come back to look."""

import logging
import time
from typing import Literal

PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Breaker:
    """Whether one use of a service works; `away` and `back` are what the log says when it opens and when it closes."""

    def __init__(self, away: str, back: str) -> None:
        self._away = away
        self._back = back
        self._has_failed = False
        self._next_try = 0.0

    @property
    def state(self) -> Literal["closed", "half_open", "open"]:
        """`closed`: it works; `open`: it does not, and is left alone; `half_open`: whoever needs it next may try.

        Can be read from any thread.
        """
        if not self._has_failed:
            return "closed"
        return "open" if time.monotonic() < self._next_try else "half_open"

    def succeed(self) -> None:
        """A useful answer came."""
        if self._has_failed:
            self._has_failed = False
            log.info("%s", self._back)

    def fail(self, reason: str) -> None:
        """There was no answer, or none of use: it is left alone for a second."""
        if not self._has_failed:
            log.warning("%s: %s", self._away, reason)
        self._next_try = time.monotonic() + PAUSE_SECONDS
        self._has_failed = True
