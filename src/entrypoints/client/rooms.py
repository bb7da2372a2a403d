"""Keeps a media player together with a room, so that everybody in it sees the same moment."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from entrypoints.client.errors import CommandRefused
from entrypoints.client.following import TICK_MS, DriftLoop, MediaPlayer, Mode, ServerClock
from entrypoints.client.subscription import Frame

PINGS = 5
PING_GAP_SECONDS = 0.2
PING_EVERY_SECONDS = 20.0
PING_SECONDS = 5.0  # an answer that takes longer tells nothing
ASLEEP_MS = 5000.0  # without a tick for so long, the clock may have stood still
REPORT_EVERY_MS = 5000.0
OFFSET_MAX_MS = 10_000
LOST = (CommandRefused, TimeoutError)


class RoomClient(Protocol):
    """What a RoomPlayer needs of a Client."""

    def subscribe(self, channel: str, since: int | None = None) -> AsyncIterator[Frame]: ...

    def be_present(self, channel: str) -> AsyncIterator[Frame]: ...

    async def call(self, method: str, params: Frame, *, once: bool = True) -> Any: ...

    async def ping(self, time: float, seconds: float) -> Frame: ...


class RoomPlayer:
    """A member's player of a room: it follows the state of the room, reports to it, and controls it.

    `joined` is the answer to `room.join`. `load` is called with the id of each new item, and brings it into the player.
    It is cancelled when the room goes on to another item. `mode` is strict, relaxed or free. With `offset_ms` (within
    ±10,000) this member is so far ahead of it. `clock` tells monotonic milliseconds.
    """

    def __init__(
        self,
        client: RoomClient,
        joined: Frame,
        player: MediaPlayer,
        load: Callable[[str], Awaitable[None]],
        *,
        mode: Mode = "strict",
        offset_ms: int = 0,
        clock: Callable[[], float] = lambda: time.monotonic() * 1000,
    ) -> None:
        self._client = client
        self._joined = joined
        self._id: str = joined["room"]["id"]
        self._load = load
        self._clock = clock
        self._server = ServerClock()
        self._loop = DriftLoop(player)
        self._loop.mode = mode
        self._loop.offset_ms = max(-OFFSET_MAX_MS, min(OFFSET_MAX_MS, offset_ms))
        self._news = asyncio.Event()
        self._doubts = asyncio.Event()
        self._due = asyncio.Event()
        self._another = asyncio.Event()
        self._told: tuple[object, ...] = ()
        self._told_at = -REPORT_EVERY_MS
        self._caused = 0  # the epoch of the last command here; its event may come after its answer

    @property
    def state(self) -> Frame:
        """That of the room."""
        return self._loop.state or self._joined["room"]["state"]

    @property
    def is_lagging(self) -> bool:
        """Whether seeking did not help, so that this member is left alone until `resync` or the next command."""
        return self._loop.is_lagging

    def resync(self) -> None:
        """Come back to where the room is."""
        self._loop.resync()
        self._news.set()

    async def control(self, action: str, **fields: Any) -> Any:
        """Play, pause, seek, … for everybody: `control("seek", position_ms=60_000)`.

        CommandRefused if the room refuses it: `stale_epoch` if somebody else was quicker.
        """
        epoch = max(self.state["epoch"], self._caused)
        params = {"id": self._id, "action": action, "epoch": epoch, **fields}
        try:
            caused = await self._client.call("room.control", params)
        except CommandRefused as refused:
            if refused.code == "stale_epoch":
                self._take(refused.extra["state"])
            raise
        self._caused = caused["epoch"]
        return caused

    async def run(self) -> None:
        """Follow the room and be present, until its channel ends (the member left or was removed), or until cancelled.

        Raises an ExceptionGroup of what `load`, the player and iterating over the Subscription raise.
        """
        news = self._client.subscribe(f"room:{self._id}", self._joined["offset"])
        async with asyncio.TaskGroup() as group:
            self._take(self._joined["room"]["state"])
            working = (self._keep_up(), self._keep_loaded(), self._keep_reporting(), self._keep_measuring())
            loops = [group.create_task(work) for work in (*working, self._be_present())]
            async for frame in news:
                match frame["type"]:
                    case "event" if frame["event"]["type"] == "room.state":
                        self._take(frame["event"]["data"])
                    case "subscribed":  # perhaps with another server, and over another network
                        self._doubts.set()
                    case "resync":
                        with contextlib.suppress(*LOST):
                            self._take((await self._client.call("room.get", {"id": self._id}))["state"])
            for loop in loops:
                loop.cancel()

    async def _be_present(self) -> None:
        async for _ in self._client.be_present(f"presence:room:{self._id}"):
            pass  # nobody else's coming and going matters here

    def _take(self, state: Frame) -> None:
        before = self._loop.state and self._loop.state["item_id"]
        if not self._loop.follow(state):
            return
        if state["item_id"] != before:
            self._another.set()
        self._news.set()

    # The loops

    async def _keep_loaded(self) -> None:
        """Load each new item, one at a time, while the room is followed."""
        while True:
            self._another.clear()
            async with asyncio.TaskGroup() as group:
                loading = group.create_task(self._bring(self.state["item_id"]))
                await self._another.wait()
                loading.cancel()

    async def _bring(self, item_id: str | None) -> None:
        if item_id is None or self._loop.is_loaded:
            return
        await self._load(item_id)
        if self.state["item_id"] == item_id:
            self._loop.loaded()
            self._news.set()

    async def _keep_up(self) -> None:
        ticked_at = self._clock()
        while True:
            self._news.clear()
            now = self._clock()
            if now - ticked_at >= ASLEEP_MS:
                self._doubts.set()
            ticked_at = now
            wait_ms = TICK_MS
            if self._server.is_known:
                wait_ms = self._loop.tick(now, self._server.at(now))
                self._consider_report(now)
            await _is_set_within(wait_ms / 1000, self._news)

    def _consider_report(self, now: float) -> None:
        """Report every 5 s, and when something changes that others wait for. No report waits behind another."""
        report = self._loop.report()
        told = tuple(report[name] for name in ("epoch", "item_id", "buffering", "ready", "ended", "sync"))
        if not self._due.is_set() and (told != self._told or now - self._told_at >= REPORT_EVERY_MS):
            self._told, self._told_at = told, now
            self._due.set()

    async def _keep_reporting(self) -> None:
        while True:
            await self._due.wait()
            report = {**self._loop.report(), "rtt_ms": round(self._server.rtt_ms)}
            with contextlib.suppress(*LOST):  # the next one comes soon
                await self._client.call("room.report", {"id": self._id, **report}, once=False)
            self._due.clear()

    # The clock

    async def _keep_measuring(self) -> None:
        while True:
            if await _is_set_within(PING_EVERY_SECONDS, self._doubts):
                self._doubts.clear()
                self._server.doubt()
                async with asyncio.TaskGroup() as pings:
                    for _ in range(PINGS):
                        pings.create_task(self._ping())
                        await asyncio.sleep(PING_GAP_SECONDS)
            else:
                await self._ping()

    async def _ping(self) -> None:
        sent = self._clock()
        with contextlib.suppress(*LOST):
            pong = await self._client.ping(sent, PING_SECONDS)
            is_first = not self._server.is_known
            self._server.take(sent, pong["received"], pong["sent"], self._clock())
            if is_first:
                self._news.set()


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
