"""How a member of a room stays where the room is: the server's clock, and the loop that brings a player to it."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

# Times are in milliseconds. Nothing here knows timers or the network, so anything can drive it. The client in
# JavaScript has the same loop in `following.js`.

TICK_MS = 250.0
WINDOW = 8
DEAD_BAND_MS = 30.0
CLOSE_MS = 10.0  # once correcting, until this close
BEND_MAX = 0.1
CATCH_UP_MS = 500.0
STIFF_SEEK_FROM_MS = 400.0  # of a player that knows no fractional rates
SEEK_GAP_MS = 5000.0  # twice that before the next one
SEEKS_MAX = 3
SEEKS_WITHIN_MS = 60_000.0
COST_MAX_MS = 1000.0
COST_WEIGHT = 0.3
READY_WITHIN_MS = 500.0
READY_AHEAD_MS = 2000.0
STUCK_MS = 500.0

Mode = Literal["strict", "relaxed", "free"]
SEEK_FROM_MS: dict[Mode, float] = {"strict": 600.0, "relaxed": 3000.0, "free": math.inf}


class MediaPlayer(Protocol):
    """What plays the media of a room. Times are in seconds."""

    @property
    def position(self) -> float:
        """Where it is."""

    @property
    def rate(self) -> float:
        """How fast it plays, 1 being usual. One that knows no fractional rates ignores them, or raises ValueError."""

    @rate.setter
    def rate(self, rate: float) -> None: ...

    @property
    def duration(self) -> float | None:
        """How long the item is, if known."""

    @property
    def is_paused(self) -> bool:
        """Whether it does not mean to play. It is paused at the end of the item too."""

    @property
    def is_ready(self) -> bool:
        """Whether it has what it needs to play on, and no seek is under way."""

    @property
    def ahead(self) -> float:
        """How much of the item is there from the position on; inf if that is the rest."""

    def play(self) -> None:
        """Begin to play; the position may move only later."""

    def pause(self) -> None:
        """Stop playing."""

    def seek(self, position: float) -> None:
        """Go there, at once for `position`; playing goes on as soon as it can."""


class ServerClock:
    """The server's clock, by the last 8 pings.

    Of all ways there the shortest counts, and of all ways back. The error is half of their difference.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, float]] = deque(maxlen=WINDOW)
        self._offset: float | None = None
        self.rtt_ms = 0.0

    def take(self, sent: float, received: float, answered: float, back: float) -> None:
        """Take a ping: when it was sent and answered on our clock, and received and answered on the server's."""
        self._samples.append((received - sent, answered - back, back - sent - (answered - received)))
        most, least, rtts = zip(*self._samples, strict=True)
        self._offset = (min(most) + max(least)) / 2
        self.rtt_ms = max(0.0, min(rtts))  # the server tells whole milliseconds

    def doubt(self) -> None:
        """Our clock may have been stopped: once there is another ping, only pings from now on count."""
        self._samples.clear()

    @property
    def is_known(self) -> bool:
        return self._offset is not None

    def at(self, local: float) -> float:
        """The server's time at `local` of our clock, which is known."""
        return local + (self._offset or 0.0)


@dataclass(slots=True)
class _Cost:
    ms: float
    is_known: bool = False


@dataclass(slots=True)
class _Settling:
    """A start or seek that does not show yet."""

    cost: _Cost
    used_ms: float
    is_spoiled: bool


class DriftLoop:
    """The loop that brings one player to where its room is.

    `mode` says how far off it seeks. With `offset_ms` this member is so far ahead of the room.
    """

    def __init__(self, player: MediaPlayer) -> None:
        self.mode: Mode = "strict"
        self.offset_ms = 0
        self.state: dict[str, Any] | None = None
        self.is_loaded = False
        self.is_lagging = False
        self.drift_ms: float | None = None
        self.is_buffering = False
        self.is_ready = False
        self.is_ended = False
        self._player = player
        self._start_cost, self._seek_cost = _Cost(200.0), _Cost(300.0)
        self._settling: _Settling | None = None
        self._anchor_at = 0.0
        self._held: float | None = None
        self._position = 0.0
        self._moved_at = 0.0
        self._is_bending = False
        self._can_bend = True
        self._seeks: list[float] = []

    def follow(self, state: dict[str, Any]) -> bool:
        """Take a state of the room, unless it is older than the present one. Returns whether it was taken."""
        before = self.state or {"epoch": -1, "item_id": None}
        if state["epoch"] < before["epoch"]:
            return False
        if state["epoch"] != before["epoch"]:
            self.resync()
        if state["item_id"] != before["item_id"]:
            self.is_loaded = False
            if not self._player.is_paused:
                self._player.pause()
        self.state = state
        self._anchor_at = datetime.fromisoformat(state["anchor_at"]).timestamp() * 1000
        self._held = None
        return True

    def loaded(self) -> None:
        """The player has the item of the present state."""
        self.is_loaded = True
        self._held = None

    def resync(self) -> None:
        """Come back at once: forget that this member was lagging."""
        self.is_lagging = False
        self._seeks = []

    def tick(self, now: float, server_now: float) -> float:
        """Bring the player closer. Returns after how many milliseconds to call this again, at the latest."""
        self.drift_ms = None
        self.is_ended = self.is_ready = self.is_buffering = False
        if not self.is_loaded or self.state is None:
            return TICK_MS
        position = self._player.position
        is_moving = position != self._position and self._player.is_ready
        self._position = position
        if is_moving:
            self._moved_at = now
        rate: float = self.state["rate"]
        anchor: float = self.state["anchor_position_ms"] + self.offset_ms
        first = max(0.0, anchor)

        def target_in(wait_ms: float) -> float:
            return anchor + rate * (server_now + wait_ms - self._anchor_at)

        is_playing = self.state["status"] == "playing"
        early_ms = (first - target_in(self._start_cost.ms)) / rate if is_playing else math.inf
        if early_ms > 0:
            self._hold(now, first)
            return min(early_ms, TICK_MS)
        self._play(now, is_moving, rate, target_in)
        self.is_buffering = not self.is_ended and now - self._moved_at >= STUCK_MS
        self.is_ready = not self.is_buffering
        return TICK_MS

    def report(self) -> dict[str, Any]:
        """What to tell the room, once there is a state.

        Before the item is loaded nothing of the player, which may still have the one before.
        """
        assert self.state is not None
        position, rate, duration = 0.0, 1.0, None
        if self.is_loaded:
            position, rate, duration = self._player.position, self._player.rate, self._player.duration
        return {
            "epoch": self.state["epoch"],
            "item_id": self.state["item_id"],
            "position_ms": max(0, round(position * 1000) - self.offset_ms),
            "rate": rate,
            "drift_ms": None if self.drift_ms is None else round(self.drift_ms),
            "buffering": self.is_buffering,
            "ready": self.is_ready,
            "ended": self.is_ended,
            "duration_ms": None if duration is None else round(duration * 1000),
            "sync": "lagging" if self.is_lagging else self.mode,
        }

    def _hold(self, now: float, position_ms: float) -> None:
        player = self._player
        if not player.is_paused:
            player.pause()
        self._bend(0.0)
        self._settling = None
        self._moved_at = now
        off_ms = abs(player.position * 1000 - position_ms)
        # Once: a player that cannot go there exactly would be sent there for ever.
        if self._held != position_ms and off_ms > CLOSE_MS:
            player.seek(position_ms / 1000)
        self._held = position_ms
        self.is_ready = player.is_ready and off_ms <= READY_WITHIN_MS and player.ahead * 1000 >= READY_AHEAD_MS

    def _play(self, now: float, is_moving: bool, rate: float, target_in: Callable[[float], float]) -> None:
        player = self._player
        last_ms = math.inf if player.duration is None else player.duration * 1000
        left_ms = last_ms - target_in(0.0)
        is_at_end = player.position * 1000 >= last_ms - CLOSE_MS
        if left_ms <= 0 or (player.is_paused and is_at_end and left_ms < READY_WITHIN_MS):
            self.is_ended = player.is_paused or is_at_end
            self._bend(0.0)
            return
        if player.is_paused:
            self._begin(now, target_in)
            return
        if self._settling is not None and not player.is_ready:
            self._settling.is_spoiled = True
        if not is_moving:
            return
        self.drift_ms = drift_ms = target_in(0.0) - player.position * 1000
        if self._settling is not None:
            self._learn(self._settling, drift_ms / rate)
        if abs(drift_ms) >= self._seek_from_ms() and self._may_seek(now):
            self._seek(target_in)
        else:
            self._bend(self._correction(drift_ms))

    def _seek_from_ms(self) -> float:
        if self.is_lagging:
            return math.inf
        return STIFF_SEEK_FROM_MS if self.mode == "strict" and not self._can_bend else SEEK_FROM_MS[self.mode]

    def _correction(self, drift_ms: float) -> float:
        if self.is_lagging or self.mode == "free":
            return 0.0
        self._is_bending = abs(drift_ms) >= (CLOSE_MS if self._is_bending else DEAD_BAND_MS)
        return max(-BEND_MAX, min(BEND_MAX, drift_ms / CATCH_UP_MS)) if self._is_bending else 0.0

    def _begin(self, now: float, target_in: Callable[[float], float]) -> None:
        player, used_ms = self._player, self._start_cost.ms
        self._moved_at = now
        self._bend(0.0)
        if abs(target_in(used_ms) - player.position * 1000) > 2 * DEAD_BAND_MS:
            self._seek(target_in)
        else:
            self._settling = _Settling(self._start_cost, used_ms, not player.is_ready)
        self._position = player.position
        player.play()

    def _seek(self, target_in: Callable[[float], float]) -> None:
        used_ms = self._seek_cost.ms
        self._bend(0.0)
        self._settling = _Settling(self._seek_cost, used_ms, is_spoiled=False)
        self._player.seek(max(0.0, target_in(used_ms)) / 1000)
        self._position = self._player.position

    def _may_seek(self, now: float) -> bool:
        self._seeks = [at for at in self._seeks if now - at < SEEKS_WITHIN_MS]
        count = len(self._seeks)
        self.is_lagging = count >= SEEKS_MAX
        if self.is_lagging or (count and now - self._seeks[-1] < SEEK_GAP_MS * 2 ** (count - 1)):
            return False
        self._seeks.append(now)
        return True

    def _learn(self, settled: _Settling, late_ms: float) -> None:
        """What a start or seek costs shows in how far off it ended."""
        self._settling = None
        cost = settled.cost
        if settled.is_spoiled and cost is self._start_cost:
            return  # of a seek, waiting for data is a part
        weight = COST_WEIGHT if cost.is_known else 1.0
        cost.ms += weight * (max(0.0, min(COST_MAX_MS, settled.used_ms + late_ms)) - cost.ms)
        cost.is_known = True

    def _bend(self, by: float) -> None:
        """Play faster or slower than the room by this part of its rate, in whole hundredths."""
        assert self.state is not None
        if not by:
            self._is_bending = False
        rate: float = self.state["rate"]
        wanted = rate * math.floor(100 * (1 + by) + 0.5) / 100 if by else rate
        if self._player.rate == wanted or (by and not self._can_bend):
            return
        try:
            self._player.rate = wanted
        except ValueError:
            self._can_bend = self._can_bend and not by
        if by and self._player.rate != wanted:
            self._can_bend = False
