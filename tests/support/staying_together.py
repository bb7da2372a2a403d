"""Ten simulated members watch for twenty minutes, driven by the shipped RoomPlayer in virtual time.

The world is that of `tests/system/staying_together.mjs`.
"""

import asyncio
import math
import selectors
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from entrypoints.client import Frame, RoomPlayer

MEMBERS = 10
WATCHED_MS = 1_200_000.0
DELAY_MS = (10.0, 120.0)
LEAST_DELAY_MS = (10.0, 40.0)
START_MS = (50.0, 400.0)
START_VARIES = (0.8, 1.2)
STALL_MS = (300.0, 3000.0)
STALL_EVERY_MS = (100_000.0, 200_000.0)
SAMPLE_MS = 100.0
SKEW = (-50e-6, 50e-6)
BEGIN = datetime(2026, 9, 21, tzinfo=UTC)
BEGIN_MS = BEGIN.timestamp() * 1000

Draw = Callable[[], float]


@dataclass(frozen=True)
class Figures:
    """How a session went. Spreads are seconds between the furthest of those members that are not stalled."""

    p50: float
    p95: float
    p95_with_stalled: float
    bent: float  # part of the time played at another rate than that of the room
    seeks_per_hour: float  # of one member
    lagging: int
    trace: list[tuple[float, float]] = field(repr=False)  # seconds since the beginning, spread


def simulate(seed: int, *, by_rule: bool = False) -> Figures:
    """Watch with the shipped player, or by the rule that only seeks, and only beyond one second."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_session(seed, by_rule=by_rule))


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to what is due next, so that nothing is waited for."""

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__(_Instant(self))

    def time(self) -> float:
        return self._virtual

    def jump(self, seconds: float) -> None:
        self._virtual += seconds


class _Instant(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self._loop.jump(timeout)
        return super().select(0)


def mulberry32(seed: int) -> Draw:
    """Numbers from 0 to 1, the same in every language."""
    state = seed & 0xFFFFFFFF

    def draw() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        mixed = ((state ^ (state >> 15)) * (state | 1)) & 0xFFFFFFFF
        mixed ^= (mixed + (mixed ^ (mixed >> 7)) * (mixed | 61)) & 0xFFFFFFFF
        return ((mixed ^ (mixed >> 14)) & 0xFFFFFFFF) / 4294967296

    return draw


def between(draw: Draw, limits: tuple[float, float]) -> float:
    return limits[0] + (limits[1] - limits[0]) * draw()


def now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000


def iso(at_ms: float) -> str:
    return (BEGIN + timedelta(milliseconds=round(at_ms))).isoformat()


class Player:
    """A media player that takes its time to start and to seek, and stalls now and then."""

    duration = 3600.0

    def __init__(self, latency: Draw, stalls: Draw) -> None:
        self._latency, self._stalls = latency, stalls
        self._at_seconds, self._rate = 0.0, 1.0
        self._counted_ms = self._blocked_until = self._seeking_until = self._stalled_until = now_ms()
        self._next_stall = now_ms() + between(stalls, STALL_EVERY_MS)
        self.is_paused = True
        self.seeks = 0
        self.played_ms = self.bent_ms = 0.0

    def _advance(self) -> None:
        now = now_ms()
        while True:
            begin, end = max(self._counted_ms, self._blocked_until), min(now, self._next_stall)
            if end > begin and not self.is_paused:
                self._at_seconds += self._rate * (end - begin) / 1000
                self.played_ms += end - begin
                self.bent_ms += end - begin if self._rate != 1 else 0.0
            self._counted_ms = max(self._counted_ms, end)
            if now < self._next_stall:
                return
            self._stalled_until = self._next_stall + between(self._stalls, STALL_MS)
            self._blocked_until = max(self._blocked_until, self._stalled_until)
            self._next_stall = self._stalled_until + between(self._stalls, STALL_EVERY_MS)

    @property
    def position(self) -> float:
        self._advance()
        return self._at_seconds

    @property
    def rate(self) -> float:
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._advance()
        self._rate = rate

    @property
    def is_stalled(self) -> bool:
        self._advance()
        return now_ms() < self._stalled_until

    @property
    def is_ready(self) -> bool:
        return not self.is_stalled and now_ms() >= self._seeking_until

    @property
    def ahead(self) -> float:
        return 0.5 if self.is_stalled else 10.0

    def play(self) -> None:
        self._advance()
        self.is_paused = False
        self._blocked_until = max(self._blocked_until, now_ms() + self._latency())

    def pause(self) -> None:
        self._advance()
        self.is_paused = True

    def seek(self, position: float) -> None:
        self._advance()
        self.seeks += 1
        self._at_seconds = position
        self._seeking_until = now_ms() + self._latency()
        self._blocked_until = max(self._blocked_until, self._seeking_until)


class Room:
    """The server's side of a room. It knows the true time, and starts when all are ready or after 8 s."""

    def __init__(self) -> None:
        self.state: Frame = {
            "status": "loading",
            "item_id": "film",
            "epoch": 1,
            "anchor_position_ms": 0,
            "anchor_at": iso(0),
            "rate": 1,
        }
        self.anchor_at_ms = 0.0
        self.followers: list[Callable[[Frame], None]] = []
        self._reports: dict[int, Frame] = {}

    def reported(self, member: int, report: Frame) -> None:
        self._reports[member] = report
        ready = [each for each in self._reports.values() if each["ready"] and each["epoch"] == self.state["epoch"]]
        if len(ready) == MEMBERS:
            self.start()

    def start(self) -> None:
        if self.state["status"] == "loading":
            self.play(self.state["anchor_position_ms"])

    def position_ms(self) -> float:
        played = now_ms() - self.anchor_at_ms if self.state["status"] == "playing" else 0.0
        return float(self.state["anchor_position_ms"] + max(0.0, played))

    def play(self, position_ms: float) -> None:
        slowest = max(each["rtt_ms"] for each in self._reports.values())
        self._change("playing", position_ms, now_ms() + min(1500, max(300, slowest + 150)))

    def pause(self) -> None:
        self._change("paused", round(self.position_ms()), now_ms())

    def _change(self, status: str, position_ms: float, at_ms: float) -> None:
        self.anchor_at_ms = round(at_ms)
        changed = {"status": status, "anchor_position_ms": position_ms, "anchor_at": iso(at_ms)}
        self.state = {**self.state, **changed, "epoch": self.state["epoch"] + 1}
        for hear in self.followers:
            hear(self.state)


class Line:
    """What a RoomPlayer needs of a client, over a network that delays each message differently."""

    def __init__(self, room: Room, member: int, delays: dict[str, Draw]) -> None:
        self._room, self._member, self._delays = room, member, delays
        self._heard_at = 0.0
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        room.followers.append(self._hear)

    def _hear(self, state: Frame) -> None:
        # In order, like over any one connection.
        self._heard_at = max(self._heard_at, now_ms() + self._delays["events"]())
        event = {"type": "event", "event": {"type": "room.state", "data": state}}
        asyncio.get_running_loop().call_at(self._heard_at / 1000, self.frames.put_nowait, event)

    async def subscribe(self, channel: str, since: int | None = None) -> AsyncIterator[Frame]:
        yield {"type": "subscribed"}
        while True:
            yield await self.frames.get()

    async def be_present(self, channel: str) -> AsyncIterator[Frame]:
        yield {"type": "subscribed", "channel": channel}

    async def call(self, method: str, params: Frame, *, once: bool = True) -> Any:
        await asyncio.sleep(self._delays["calls"]() / 1000)
        if method == "room.report":
            self._room.reported(self._member, params)

    async def ping(self, time: float, seconds: float) -> Frame:
        await asyncio.sleep(self._delays["up"]() / 1000)
        said = BEGIN_MS + round(now_ms())
        await asyncio.sleep(self._delays["down"]() / 1000)
        return {"time": time, "received": said, "sent": said}


async def _seek_beyond_one_second(line: Line, player: Player) -> None:
    """What most rooms do: whoever is more than a second off seeks, and nobody does anything else."""
    await line.call("room.report", {"ready": True, "epoch": 1, "rtt_ms": 130})
    state: Frame | None = None
    while True:
        while not line.frames.empty():
            state = line.frames.get_nowait()["event"]["data"]
        if state is not None:
            anchor_at = datetime.fromisoformat(state["anchor_at"]).timestamp() * 1000 - BEGIN_MS
            anchor_ms: float = state["anchor_position_ms"]
            if state["status"] != "playing":
                if not player.is_paused:
                    player.pause()
                if player.position * 1000 != anchor_ms:
                    player.seek(anchor_ms / 1000)
            else:
                target_ms = anchor_ms + max(0.0, now_ms() - anchor_at)
                if player.is_paused and now_ms() >= anchor_at:
                    player.play()
                if abs(target_ms - player.position * 1000) > 1000 and not player.is_stalled:
                    player.seek(target_ms / 1000)
        await asyncio.sleep(0.25)


def _member(member: int, seed: int, room: Room) -> tuple[Line, Player, Callable[[], float]]:
    def draws(what: int) -> Draw:
        return mulberry32(seed * 10_007 + member * 101 + what)

    floors, latencies = draws(0), draws(5)
    usual = between(latencies, START_MS)

    def delay(what: int) -> Draw:
        draw, limits = draws(what), (between(floors, LEAST_DELAY_MS), DELAY_MS[1])
        return lambda: between(draw, limits)

    def latency() -> float:
        return min(START_MS[1], max(START_MS[0], usual * between(latencies, START_VARIES)))

    line = Line(room, member, {name: delay(1 + i) for i, name in enumerate(("up", "down", "events", "calls"))})
    speed = 1 + between(draws(7), SKEW)
    return line, Player(latency, draws(6)), lambda: now_ms() * speed + 1000 * member


async def _session(seed: int, *, by_rule: bool) -> Figures:
    loop, room = asyncio.get_running_loop(), Room()
    members = [_member(i, seed, room) for i in range(MEMBERS)]
    joined: Frame = {"room": {"id": "1", "state": room.state}, "offset": 1}
    lagging: list[RoomPlayer] = []

    async def load(item_id: str) -> None:
        pass

    watched = [RoomPlayer(line, joined, player, load, clock=clock) for line, player, clock in members]
    works = [_seek_beyond_one_second(line, player) if by_rule else watching.run()
             for (line, player, _), watching in zip(members, watched, strict=True)]  # fmt: skip
    for at_seconds, act in (
        (8, room.start),
        (300, lambda: room.play(room.position_ms() + 60_000)),
        (600, room.pause),
        (610, lambda: room.play(room.state["anchor_position_ms"])),
        (900, lambda: room.play(room.position_ms() - 60_000)),
    ):
        loop.call_at(at_seconds, act)
    trace, everybody = [], []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        while now_ms() < WATCHED_MS:
            await asyncio.sleep(SAMPLE_MS / 1000)
            for watching in watched:
                if watching.is_lagging and watching not in lagging:
                    lagging.append(watching)
                    loop.call_later(10, watching.resync)  # somebody presses the button
            if room.state["status"] == "playing" and now_ms() >= room.anchor_at_ms:
                trace.append((loop.time(), spread([player for _, player, _ in members if not player.is_stalled])))
                everybody.append(spread([player for _, player, _ in members]))
        for task in tasks:
            task.cancel()
    players = [player for _, player, _ in members]
    return Figures(
        p50=part([each for _, each in trace], 0.5),
        p95=part([each for _, each in trace], 0.95),
        p95_with_stalled=part(everybody, 0.95),
        bent=sum(each.bent_ms for each in players) / sum(each.played_ms for each in players),
        seeks_per_hour=sum(each.seeks for each in players) / MEMBERS / (WATCHED_MS / 3_600_000),
        lagging=len(lagging),
        trace=trace,
    )


def spread(players: list[Player]) -> float:
    positions = [player.position for player in players]
    return max(positions) - min(positions)


def part(values: list[float], share: float) -> float:
    return sorted(values)[math.floor(share * (len(values) - 1))]
