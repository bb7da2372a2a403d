"""How much a peer may send over a live connection: little until it is authenticated, then 50 frames a second."""

from enum import Enum, auto

# Until it is authenticated: enough for the largest `connect` in a few pieces.
FIRST_FRAMES = 8
FIRST_BYTES = 32_768
# From then on a token bucket: its size, and how fast it fills.
FRAMES_AT_ONCE = 100
FRAMES_A_SECOND = 50
VIOLATIONS_MAX = 10
VIOLATIONS_SECONDS = 60.0


class Pace(Enum):
    """Whether a frame may be read, is refused, or ends the connection."""

    FINE = auto()
    TOO_FAST = auto()
    FLOOD = auto()


class Allowance:
    """Counts the frames of one peer. Times are seconds of one monotonic clock."""

    __slots__ = ("_at", "_bytes", "_frames", "_since_violation", "_violations")

    def __init__(self, now: float) -> None:
        self._frames = float(FRAMES_AT_ONCE)
        self._bytes = FIRST_BYTES
        self._at = now
        self._violations = 0
        self._since_violation = now

    def of_stranger(self, size: int) -> Pace:
        """Count a frame of `size` bytes from a peer that is not authenticated yet."""
        self._frames -= 1
        self._bytes -= size
        return Pace.FINE if self._frames >= FRAMES_AT_ONCE - FIRST_FRAMES and self._bytes >= 0 else Pace.FLOOD

    def of_member(self, now: float) -> Pace:
        """Count a frame of an authenticated peer. After 10 refused frames in a minute, the next is a flood."""
        self._frames = min(FRAMES_AT_ONCE, self._frames + (now - self._at) * FRAMES_A_SECOND)
        self._at = now
        if self._frames >= 1:
            self._frames -= 1
            return Pace.FINE
        if now - self._since_violation > VIOLATIONS_SECONDS:
            self._violations, self._since_violation = 0, now
        self._violations += 1
        return Pace.TOO_FAST if self._violations <= VIOLATIONS_MAX else Pace.FLOOD
