"""What a client promises against a real server: nothing is lost, nothing comes twice, and verdicts hold.

Both keep all of it: `tests/end_to_end/` drives the one in Python, `tests/system/` the one in JavaScript.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

import pytest_asyncio

from adapters.memory.system import MovableClock
from application.realtime.frames import CloseCode, GoingAway
from entrypoints.container import Container
from entrypoints.websocket.wire import JSON_FRAMES
from tests.end_to_end.drivers import Driver, done, find, offsets, outcome
from tests.http.house import house_in_memory, served
from tests.support.clients import Json, Person, client, listening, log_in, sign_up, until


@dataclass
class Scene:
    """A server of its own, somebody in it, and a client that is connected as that person."""

    house: Container
    url: str
    ada: Person
    driver: Driver

    @property
    def channel(self) -> str:
        return f"workspace:{self.ada.id}"

    def cut(self, code: CloseCode) -> None:
        """End every live connection."""
        for connection in list(self.house.live()._connections):
            connection.close(code, "cut by a test")


def of(type: str, frame: Json) -> bool:
    return bool(frame["type"] == type)


class ClientPromises:
    """The promises, for whoever says how its client is driven."""

    driving: Callable[[str], AbstractAsyncContextManager[Driver]]

    @pytest_asyncio.fixture
    async def scene(self) -> AsyncIterator[Scene]:
        house = house_in_memory()
        async with served(house) as url, client(url) as http, self.driving(url) as driver:
            ada = await sign_up(http)
            await done(driver, "token", token=ada.token)
            await done(driver, "connect")
            yield Scene(house, url, ada, driver)

    async def test_a_channel_is_heard_from_its_subscription_on(self, scene: Scene) -> None:
        await scene.ada.open_task("before")
        await done(scene.driver, "subscribe", channel=scene.channel)
        await scene.ada.open_task("heard")
        event = await find(scene.driver, lambda frame: of("event", frame))

        assert (event["stream"], event["offset"], event["event"]["type"]) == (scene.channel, 3, "task.created")

    async def test_a_channel_is_heard_from_behind_an_offset(self, scene: Scene) -> None:
        for _ in range(3):
            await scene.ada.open_task()
        await done(scene.driver, "subscribe", channel=scene.channel, since=2)
        await scene.ada.open_task()

        assert await offsets(scene.driver, 3) == [3, 4, 5]

    async def test_whoever_is_cut_off_misses_nothing_and_hears_nothing_twice(self, scene: Scene) -> None:
        task = await scene.ada.open_task()
        await done(scene.driver, "subscribe", channel=scene.channel)
        await done(scene.driver, "subscribe", channel=f"task:{task['id']}")
        expected = 3
        for round in range(3):
            await scene.ada.open_task(f"round {round}")
            scene.cut(CloseCode.SLOW_CONSUMER)
            await scene.ada.open_task("while away")
            assert await offsets(scene.driver, 2) == [expected, expected + 1]
            expected += 2
        await until(lambda: len(scene.house.live()) == 1)
        await scene.ada.open_task("last")

        assert await offsets(scene.driver, 1) == [expected]
        assert not [frame for frame in scene.driver.heard if of("event", frame)]

    async def test_a_call_is_carried_out_once_however_often_it_is_made(self, scene: Scene) -> None:
        params = {"title": "Once"}
        first = await done(scene.driver, "call", method="task.create", params=params, key="once")
        scene.cut(CloseCode.SLOW_CONSUMER)
        second = await done(scene.driver, "call", method="task.create", params=params, key="once")

        assert first == second
        assert len(await scene.ada.events(scene.channel)) == 2

    async def test_the_clock_of_the_server_is_told_on_this_connection_and_on_the_next(self, scene: Scene) -> None:
        await done(scene.driver, "subscribe", channel=scene.channel)
        for time in (1200.5, 1300.25):
            await find(scene.driver, lambda frame: of("subscribed", frame))
            pong = await done(scene.driver, "ping", time=time)
            now = scene.house.clock().now().timestamp() * 1_000
            assert pong["time"] == time
            assert now - 60_000 < pong["received"] <= pong["sent"] <= now + 1
            scene.cut(CloseCode.SLOW_CONSUMER)

    async def test_a_refusal_is_told_with_its_code(self, scene: Scene) -> None:
        refused = await outcome(scene.driver, "call", method="task.dance", params={})
        foreign = await outcome(scene.driver, "subscribe", channel="task:0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e")

        assert (refused["type"], refused["code"]) == (foreign["type"], foreign["code"]) == ("failed", "not_found")

    async def test_a_word_and_a_presence_reach_others(self, scene: Scene) -> None:
        task = await scene.ada.open_task()
        typing, presence = f"typing:task:{task['id']}", f"presence:{scene.channel}"
        async with listening(scene.url, scene.ada.token, typing, presence) as other:
            await done(scene.driver, "subscribe", channel=typing)
            await done(scene.driver, "publish", channel=typing, data={"typing": True})
            await done(scene.driver, "present", channel=presence)

            assert (await other.frame("value"))["data"] == {"typing": True}
            assert (await other.frame("presence"))["joined"] == [scene.ada.id]

    async def test_a_move_to_another_server_shows_nobody_leaving_and_loses_nothing(self, scene: Scene) -> None:
        presence = f"presence:{scene.channel}"
        await done(scene.driver, "subscribe", channel=scene.channel)
        await done(scene.driver, "present", channel=presence)
        (before,) = scene.house.live()._connections
        before.write(JSON_FRAMES.frame(GoingAway(100)))
        await scene.ada.open_task()
        await until(lambda: before.is_closed)
        await until(lambda: len(scene.house.live()) == 1)
        await scene.ada.open_task()

        assert await offsets(scene.driver, 2) == [2, 3]
        async with listening(scene.url, scene.ada.token) as other:
            assert (await other.call("subscribe", channel=presence))["data"]["present"] == [scene.ada.id]
        assert not [frame for frame in scene.driver.heard if of("presence", frame) and frame.get("left")]

    async def test_a_token_is_renewed_before_it_expires(self, scene: Scene) -> None:
        clock: MovableClock = scene.house.clock()  # type: ignore[assignment]
        await done(scene.driver, "subscribe", channel=scene.channel)
        (connection,) = scene.house.live()._connections
        clock.advance(timedelta(minutes=14, seconds=30))
        later = await log_in(scene.ada.http, scene.ada.email)
        await done(scene.driver, "token", token=later.token)
        await until(lambda: connection.conversation.principal.expires_at > clock.now() + timedelta(minutes=10))  # type: ignore[union-attr]
        clock.advance(timedelta(minutes=5))
        await later.open_task()

        assert await offsets(scene.driver, 1) == [2]
        assert not connection.is_closed

    async def test_an_expired_token_is_replaced_before_the_next_attempt(self, scene: Scene) -> None:
        clock: MovableClock = scene.house.clock()  # type: ignore[assignment]
        await done(scene.driver, "subscribe", channel=scene.channel)
        clock.advance(timedelta(minutes=16))
        later = await log_in(scene.ada.http, scene.ada.email)
        await done(scene.driver, "token", token=later.token)
        await later.open_task()

        assert await offsets(scene.driver, 1) == [2]

    async def test_a_token_that_could_not_be_had_is_asked_for_again(self, scene: Scene) -> None:
        clock: MovableClock = scene.house.clock()  # type: ignore[assignment]
        await done(scene.driver, "subscribe", channel=scene.channel)
        clock.advance(timedelta(minutes=16))
        later = await log_in(scene.ada.http, scene.ada.email)
        await done(scene.driver, "token", token=later.token, failures=2)
        await later.open_task()

        assert await offsets(scene.driver, 1) == [2]

    async def test_a_token_that_can_never_be_had_ends_the_client_in_the_end(self) -> None:
        async with served(house_in_memory()) as url, self.driving(url) as driver:
            await done(driver, "token", token="", failures=1_000)
            answer = await outcome(driver, "connect")

        assert (answer["type"], answer["code"]) == ("failed", "no token")
        assert sum(of("token_asked", frame) for frame in driver.heard) == 5

    async def test_whoever_is_not_wanted_back_stays_away(self, scene: Scene) -> None:
        await done(scene.driver, "subscribe", channel=scene.channel)
        await scene.ada.post("/auth/logout-all")
        stopped = await find(scene.driver, lambda frame: of("stopped", frame))
        late = await outcome(scene.driver, "call", method="task.create", params={"title": "x"})

        assert stopped["code"] == 4004
        assert late["type"] == "failed"
        assert len(scene.house.live()) == 0

    async def test_a_token_that_is_refused_stops_the_client(self) -> None:
        async with served(house_in_memory()) as url, self.driving(url) as driver:
            await done(driver, "token", token="nonsense")
            answer = await outcome(driver, "connect")

        assert (answer["type"], answer["code"]) == ("failed", 4003)

    async def test_a_right_that_is_lost_ends_the_subscription(self, scene: Scene) -> None:
        bob = await sign_up(scene.ada.http, "Bob")
        team = await bob.create_team()
        await bob.admit(scene.ada, team["id"])
        await done(scene.driver, "subscribe", channel=f"workspace:{team['id']}")
        await bob.delete(f"/workspaces/{team['id']}/members/{scene.ada.id}")
        gone = await find(scene.driver, lambda frame: of("unsubscribed", frame))

        assert gone["channel"] == f"workspace:{team['id']}"

    async def test_an_offset_that_does_not_exist_yet_is_told_as_a_resync(self, scene: Scene) -> None:
        await scene.driver.order("subscribe", channel=scene.channel, since=99)
        resync = await find(scene.driver, lambda frame: of("resync", frame))
        await find(scene.driver, lambda frame: of("subscribed", frame))
        await scene.ada.open_task()

        assert (resync["stream"], resync["reason"]) == (scene.channel, "offset")
        assert await offsets(scene.driver, 1) == [2]

    async def test_a_position_before_what_is_kept_is_told_as_a_resync(self, scene: Scene) -> None:
        for _ in range(3):
            await scene.ada.open_task()
        kept = timedelta(days=30)
        assert await scene.house.upkeep().forget_events(scene.house.clock().now() + 2 * kept, kept, 3) == 3
        await scene.driver.order("subscribe", channel=scene.channel, since=0)
        resync = await find(scene.driver, lambda frame: of("resync", frame))
        await find(scene.driver, lambda frame: of("subscribed", frame))
        await scene.ada.open_task()

        assert (resync["stream"], resync["reason"]) == (scene.channel, "pruned")
        assert await offsets(scene.driver, 1) == [5]

    async def test_a_journal_that_is_another_one_is_told_at_once_and_once(self, scene: Scene) -> None:
        await scene.ada.open_task()
        await done(scene.driver, "subscribe", channel=scene.channel)
        await scene.house.upkeep().begin_lineage()
        resync = await find(scene.driver, lambda frame: of("resync", frame))
        await scene.ada.open_task()

        assert (resync["stream"], resync["reason"], resync["offset"]) == (scene.channel, "epoch", 2)
        assert await offsets(scene.driver, 1) == [3]

        # The new epoch is that of the next connection, which resumes as ever.
        scene.cut(CloseCode.UNAVAILABLE)
        await scene.ada.open_task()
        assert await offsets(scene.driver, 1) == [4]
        assert not [frame for frame in scene.driver.heard if of("resync", frame)]
