"""A RoomPlayer over a connection: what it follows, asks and reports, and when."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from entrypoints.client import CommandRefused, Frame, RoomPlayer
from tests.support.staying_together import BEGIN_MS, Player, VirtualLoop, iso, now_ms


def state(epoch: int = 1, status: str = "loading", **fields: Any) -> Frame:
    usual = {"item_id": "film", "anchor_position_ms": 0, "anchor_at": iso(now_ms()), "rate": 1}
    return {"epoch": epoch, "status": status, **usual, **fields}


class Connection:
    """A connection that tests speak through, with 50 ms in each direction."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self.calls: list[tuple[float, str, Frame]] = []
        self.pings: list[float] = []
        self.is_lost = self.is_present = False
        self.answers: dict[str, Callable[[], Frame]] = {}

    async def subscribe(self, channel: str, since: int | None = None) -> AsyncIterator[Frame]:
        assert (channel, since) == ("room:R", 7)
        yield {"type": "subscribed"}
        while (frame := await self.frames.get()) is not None:
            yield frame

    async def be_present(self, channel: str) -> AsyncIterator[Frame]:
        self.is_present = channel == "presence:room:R"
        yield {"type": "subscribed"}

    async def call(self, method: str, params: Frame, *, once: bool = True) -> Any:
        assert once == (method != "room.report")  # nothing has to remember a report
        self.calls.append((now_ms(), method, params))
        await asyncio.sleep(0.1)
        if self.is_lost:
            raise TimeoutError
        return self.answers.get(method, dict)()

    async def ping(self, time: float, seconds: float) -> Frame:
        self.pings.append(now_ms())
        if self.is_lost:
            await asyncio.sleep(seconds)
            raise TimeoutError
        await asyncio.sleep(0.05)
        said = BEGIN_MS + now_ms()
        await asyncio.sleep(0.05)
        return {"time": time, "received": said, "sent": said}

    def tell(self, state: Frame, type: str = "room.state") -> None:
        self.frames.put_nowait({"type": "event", "event": {"type": type, "data": state}})

    @property
    def reports(self) -> list[tuple[float, Frame]]:
        return [(at, params) for at, method, params in self.calls if method == "room.report"]


class Watching:
    def __init__(self) -> None:
        self.connection = Connection()
        self.player = Player(lambda: 100.0, lambda: 0.999)
        self.loaded: list[str] = []
        self.given_up: list[str] = []
        self.loading_seconds = 0.0
        joined = {"room": {"id": "R", "state": state()}, "offset": 7}
        self.watched = RoomPlayer(self.connection, joined, self.player, self._load, clock=now_ms)
        self.running = asyncio.create_task(self.watched.run())

    async def _load(self, item_id: str) -> None:
        self.loaded.append(item_id)
        try:
            await asyncio.sleep(self.loading_seconds)
        except asyncio.CancelledError:
            self.given_up.append(item_id)
            raise


def watch(test: Callable[[Watching], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in virtual time, and end its player after it."""

    async def whole() -> None:
        watching = Watching()
        try:
            await test(watching)
        finally:
            if not watching.running.done():
                watching.running.cancel()
                with suppress(asyncio.CancelledError):
                    await watching.running

    def run() -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(whole())

    run.__name__ = test.__name__
    return run


@watch
async def test_the_clock_is_asked_five_times_and_then_every_twenty_seconds(watching: Watching) -> None:
    await asyncio.sleep(62)
    assert [round(at / 100) for at in watching.connection.pings[:5]] == [0, 2, 4, 6, 8]
    assert [round(at / 1000) for at in watching.connection.pings[5:]] == [21, 41, 61]


@watch
async def test_the_clock_is_asked_anew_on_another_connection(watching: Watching) -> None:
    await asyncio.sleep(5)
    watching.connection.frames.put_nowait({"type": "subscribed"})
    await asyncio.sleep(2)
    assert len(watching.connection.pings) == 10


@watch
async def test_a_player_makes_its_member_present(watching: Watching) -> None:
    await asyncio.sleep(1)
    assert watching.connection.is_present


@watch
async def test_a_lost_connection_ends_nothing(watching: Watching) -> None:
    await asyncio.sleep(2)
    watching.connection.is_lost = True
    await asyncio.sleep(120)
    watching.connection.is_lost = False
    watching.connection.frames.put_nowait({"type": "subscribed"})
    watching.connection.tell(state(2, "playing"))
    await asyncio.sleep(2)
    assert not watching.player.is_paused


@watch
async def test_reports_come_every_five_seconds_and_when_something_changes(watching: Watching) -> None:
    await asyncio.sleep(21)
    assert [round(at / 1000) for at, _ in watching.connection.reports] == [0, 5, 10, 15, 20]
    report = watching.connection.reports[-1][1]
    assert (report["id"], report["epoch"], report["ready"], report["rtt_ms"]) == ("R", 1, True, 100)
    watching.connection.tell(state(2, "playing"))
    await asyncio.sleep(1)
    assert watching.connection.reports[-1][0] < 21_100
    assert watching.connection.reports[-1][1]["epoch"] == 2


@watch
async def test_no_report_waits_behind_another(watching: Watching) -> None:
    stuck = asyncio.Event()

    async def call(method: str, params: Frame, *, once: bool = True) -> Any:
        watching.connection.calls.append((now_ms(), method, params))
        await stuck.wait()

    watching.connection.call = call  # type: ignore[method-assign]
    await asyncio.sleep(60)
    assert len(watching.connection.reports) == 1
    stuck.set()
    await asyncio.sleep(1)
    assert len(watching.connection.reports) == 2


@watch
async def test_each_item_is_loaded_once(watching: Watching) -> None:
    await asyncio.sleep(1)
    watching.connection.tell(state(2, "playing"))
    watching.connection.tell(state(3, "paused"), type="queue.changed")
    watching.connection.tell(state(3, "loading", item_id="another"))
    await asyncio.sleep(1)
    watching.connection.tell(state(4, "idle", item_id=None))
    await asyncio.sleep(1)
    assert watching.loaded == ["film", "another"]
    assert watching.watched.state["status"] == "idle"


@watch
async def test_what_the_room_does_while_an_item_is_loaded_is_followed(watching: Watching) -> None:
    watching.loading_seconds = 10
    await asyncio.sleep(3)
    watching.connection.tell(state(2, anchor_position_ms=30_000))
    await asyncio.sleep(1)
    assert watching.watched.state["epoch"] == 2
    assert watching.connection.reports[-1][1].items() >= {"epoch": 2, "ready": False, "position_ms": 0}.items()
    await asyncio.sleep(7)
    assert (watching.loaded, watching.given_up) == (["film"], [])
    assert watching.player.position == 30
    assert watching.connection.reports[-1][1].items() >= {"epoch": 2, "ready": True}.items()


@watch
async def test_an_item_that_the_room_plays_no_more_is_not_loaded_to_its_end(watching: Watching) -> None:
    watching.loading_seconds = 10
    await asyncio.sleep(3)
    watching.connection.tell(state(2, item_id="another"))
    watching.connection.tell(state(3, item_id="third"))
    await asyncio.sleep(8)
    assert (watching.loaded, watching.given_up) == (["film", "third"], ["film"])
    assert not watching.connection.reports[-1][1]["ready"]
    await asyncio.sleep(3)
    assert watching.connection.reports[-1][1].items() >= {"item_id": "third", "ready": True}.items()
    watching.connection.tell(state(4, "idle", item_id=None))
    watching.connection.tell(state(5, item_id="film"))
    watching.connection.frames.put_nowait(None)  # the member left
    await watching.running
    assert watching.loaded == ["film", "third"]


@watch
async def test_a_failure_to_load_is_told(watching: Watching) -> None:
    async def load(item_id: str) -> None:
        raise OSError(f"there is no {item_id}")

    watching.watched._load = load
    with pytest.raises(ExceptionGroup) as failed:
        await watching.running
    assert failed.group_contains(OSError)


@watch
async def test_a_gap_in_the_events_is_closed_by_asking(watching: Watching) -> None:
    await asyncio.sleep(1)
    watching.connection.answers["room.get"] = lambda: {"state": state(9, "paused", anchor_position_ms=4000)}
    watching.connection.frames.put_nowait({"type": "resync", "stream": "room:R", "reason": "pruned"})
    await asyncio.sleep(1)
    assert watching.watched.state["epoch"] == 9
    assert watching.player.position == 4


@watch
async def test_a_command_says_which_state_it_means_and_a_quicker_one_is_followed(watching: Watching) -> None:
    await asyncio.sleep(1)
    present = state(5, "paused", anchor_position_ms=8000)

    def refuse() -> Frame:
        raise CommandRefused("stale_epoch", "Somebody was quicker.", "no", {"state": present})

    watching.connection.answers["room.control"] = refuse
    with pytest.raises(CommandRefused):
        await watching.watched.control("seek", position_ms=60_000)
    assert watching.connection.calls[-1][2] == {"id": "R", "action": "seek", "epoch": 1, "position_ms": 60_000}
    await asyncio.sleep(1)
    assert watching.player.position == 8


@watch
async def test_a_command_may_follow_the_answer_to_the_one_before(watching: Watching) -> None:
    await asyncio.sleep(1)
    epochs = iter((2, 3))
    watching.connection.answers["room.control"] = lambda: state(next(epochs), "paused")
    await watching.watched.control("rate", rate=1.5)
    await watching.watched.control("play")
    commands = [params for _, method, params in watching.connection.calls if method == "room.control"]
    assert [command["epoch"] for command in commands] == [1, 2]


@watch
async def test_it_ends_when_its_channel_does(watching: Watching) -> None:
    await asyncio.sleep(1)
    watching.connection.frames.put_nowait(None)
    async with asyncio.timeout(1):
        await watching.running


@watch
async def test_a_player_that_fails_is_told(watching: Watching) -> None:
    await asyncio.sleep(1)

    def play() -> None:
        raise OSError("the player is gone")

    watching.player.play = play  # type: ignore[method-assign]
    watching.connection.tell(state(2, "playing"))
    with pytest.raises(ExceptionGroup) as failed:
        await watching.running
    assert failed.group_contains(OSError)
