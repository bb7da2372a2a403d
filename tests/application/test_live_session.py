"""What every frame does on a live connection, without a socket."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest

from application.realtime.frames import CHANNELS_MAX, CloseCode
from application.realtime.session import PING_SECONDS
from domain.channels import account_stream
from tests.application.live_house import Frame, House
from tests.support.builders import an_account, principal


async def test_the_reply_to_connect_tells_everything_that_the_connection_is_bound_to() -> None:
    house = await House().settle()
    async with house.visit(connected=False) as visitor:
        token = house.token(house.ada)
        reply = await visitor.say(type="connect", id=7, token=token, subscribe=[house.channel, "me", "task:nonsense"])
        assert (reply["type"], reply["id"]) == ("reply", 7)
        data = reply["data"]
        assert data["session"] == str(principal(house.ada).session_id)
        assert data["epoch"] == await house.container.journal().epoch()
        assert data["expires_in"] == timedelta(days=1).total_seconds()
        assert data["ping_interval"] == PING_SECONDS
        assert data["limits"] == {"channels": CHANNELS_MAX}
        assert data["channels"][house.channel] == {"stream": house.stream, "offset": 2, "recovered": True}
        assert data["channels"]["me"] == {"stream": account_stream(house.ada.id), "offset": 1, "recovered": True}
        refused = data["channels"]["task:nonsense"]
        assert (refused["code"], refused["retry"]) == ("not_found", "no")


async def test_whoever_came_with_a_token_in_the_header_needs_none_in_the_frame() -> None:
    house = await House().settle()
    async with house.visit(house.bob, connected=False) as visitor:
        reply = await visitor.say(type="connect", id=1, subscribe=["me"])
        assert reply["data"]["channels"]["me"]["stream"] == account_stream(house.bob.id)


@pytest.mark.parametrize(
    "first",
    [
        {"type": "subscribe", "id": 1, "channel": "me"},
        {"type": "unsubscribe", "id": 1, "channel": "me"},
        {"type": "pong"},
        {"type": "connect"},
        {"type": "connect", "id": -1},
        {"type": "connect", "id": 1, "password": "?"},
        {},
    ],
)
async def test_a_connection_begins_with_a_valid_connect_or_ends(first: Frame) -> None:
    house = await House().settle()
    async with house.visit(house.ada, connected=False) as visitor:
        assert await visitor.closed_by(**first) == (CloseCode.PROTOCOL, "the first frame has to be connect")
        assert not visitor.session.connected


async def test_a_connection_ends_without_a_good_token_and_says_what_to_do_about_it() -> None:
    house = await House().settle()
    token = house.token(house.ada)

    async def refused(**fields: object) -> tuple[CloseCode, str]:
        async with house.visit(connected=False) as visitor:
            code, reason = await visitor.closed_by(type="connect", id=3, **fields)
            for error in visitor.frames:
                assert (error["type"], error["id"], error["retry"]) == ("error", 3, "reauthenticate")
                assert error["code"] == reason
            assert len(visitor.frames) == (1 if fields else 0)
            return code, reason

    assert await refused() == (CloseCode.TOKEN_INVALID, "token_missing")
    assert await refused(token="nonsense") == (CloseCode.TOKEN_INVALID, "token_invalid")
    house.container.authentication().end([principal(house.ada).session_id])
    assert await refused(token=token) == (CloseCode.TOKEN_INVALID, "session_ended")
    house.clock.advance(timedelta(days=1))
    assert await refused(token=house.token(house.bob)) == (CloseCode.TOKEN_EXPIRED, "token_expired")


async def test_a_frame_that_means_nothing_is_refused_by_its_id_and_ends_nothing() -> None:
    house = await House().settle()
    async with house.visit(house.ada) as visitor:
        for text, id in (
            ('{"type":"dance","id":5}', 5),
            ('{"type":"subscribe","id":6}', 6),
            ('{"type":"subscribe","id":7,"channel":"me","loud":true}', 7),
            ('{"type":"subscribe","id":8,"channel":"x"}', 8),
            ('{"id":"nine"}', None),
            ("[" * 100_000, None),
            ("no JSON", None),
        ):
            await visitor.session.receive(text)
            error = visitor.frames[-1]
            assert (error["type"], error["id"], error["code"], error["retry"]) == ("error", id, "bad_frame", "no")
        assert (await visitor.say(type="connect", id=9))["code"] == "already_connected"
        assert (await visitor.say(type="subscribe", id=10, channel="me"))["type"] == "reply"


async def test_a_channel_that_may_not_be_seen_is_refused_like_one_that_does_not_exist() -> None:
    house = await House().settle()
    eve = await an_account(house, "Eve")
    task = await house.task()
    async with house.visit(eve) as visitor:
        nowhere = await visitor.say(type="subscribe", id=2, channel=f"workspace:{uuid4()}")
        for channel in (house.channel, f"task:{task.id}", f"task:{uuid4()}", "room", "me:me", "workspace:x"):
            answer = await visitor.say(type="subscribe", id=2, channel=channel)
            assert answer == nowhere
        assert (nowhere["code"], nowhere["retry"]) == ("not_found", "no")


async def test_a_connection_follows_so_many_channels_and_no_more() -> None:
    house = await House().settle()
    tasks = [await house.task() for _ in range(CHANNELS_MAX)]
    async with house.visit(house.bob, connected=False) as visitor:
        wanted = [f"task:{task.id}" for task in tasks]
        reply = await visitor.say(type="connect", id=1, subscribe=wanted)
        assert all(where["recovered"] for where in reply["data"]["channels"].values())
        error = await visitor.say(type="subscribe", id=2, channel="me")
        assert (error["code"], error["retry"]) == ("too_many_channels", "later")
        await visitor.say(type="unsubscribe", id=3, channel=wanted[0])
        assert (await visitor.say(type="subscribe", id=4, channel="me"))["type"] == "reply"


async def test_an_event_comes_once_and_in_order_however_many_channels_show_it() -> None:
    house = await House().settle()
    task = await house.task()
    async with house.visit(house.bob, connected=False) as visitor:
        await visitor.say(type="connect", id=1, subscribe=[f"task:{task.id}", house.channel, "me"])
        other = await house.task()
        await house.rename(task, "One")
        await house.rename(other, "Two")
        await visitor.until(lambda v: len(v.events()) == 3)
        assert visitor.events() == [(4, "task.created"), (5, "task.updated"), (6, "task.updated")]
        (entry,) = await house.container.journal().read(house.stream, 5, 10)
        frame = visitor.of("event")[-1]
        assert frame == {"type": "event", "stream": house.stream, "offset": 6, "event": json.loads(bytes(entry.body))}


async def test_a_channel_that_goes_further_back_brings_only_what_no_other_has_shown() -> None:
    house = await House().settle()
    task = await house.task()
    for title in ("One", "Two", "Three"):
        await house.rename(task, title)
    async with house.visit(house.bob) as visitor:
        await visitor.say(type="subscribe", id=2, channel=house.channel, since=5)
        await visitor.until(lambda v: len(v.events()) == 1)
        reply = await visitor.say(type="subscribe", id=3, channel=f"task:{task.id}", since=3)
        assert reply["data"] == {"stream": house.stream, "offset": 6, "recovered": True}
        assert [offset for offset, _ in visitor.events()] == [6, 4, 5]
        await visitor.say(type="subscribe", id=4, channel=house.channel, since=1)
        await visitor.say(type="subscribe", id=5, channel=house.channel)
        await visitor.say(type="subscribe", id=6, channel=f"task:{task.id}", since=2)
        assert [offset for offset, _ in visitor.events()] == [6, 4, 5, 2, 3]
        await house.rename(task, "Live")
        await visitor.until(lambda v: len(v.events()) == 6)
        assert visitor.events()[-1] == (7, "task.updated")


async def test_a_task_channel_shows_nothing_but_its_task() -> None:
    house = await House().settle()
    task, other = await house.task(), await house.task()
    async with house.visit(house.bob, connected=False) as visitor:
        await visitor.say(type="connect", id=1, subscribe=[f"task:{task.id}"])
        for title in ("One", "Two"):
            await house.rename(other, title)
            await house.rename(task, title)
        await visitor.until(lambda v: len(v.events()) == 2)
        assert visitor.events() == [(6, "task.updated"), (8, "task.updated")]


async def test_who_unsubscribes_hears_no_more_of_it() -> None:
    house = await House().settle()
    task = await house.task()
    async with house.visit(house.bob, connected=False) as visitor:
        await visitor.say(type="connect", id=1, subscribe=[f"task:{task.id}", "me"])
        reply = await visitor.say(type="unsubscribe", id=2, channel=f"task:{task.id}")
        assert reply == {"type": "reply", "id": 2, "data": {}}
        await house.rename(task, "Unheard")
        assert (await visitor.say(type="unsubscribe", id=3, channel=f"task:{task.id}"))["type"] == "reply"
        await house.dismiss(house.bob)
        await visitor.until(lambda v: bool(v.events()))
        assert visitor.events() == [(3, "workspace.left")]


async def test_a_subscription_goes_on_behind_what_its_client_has_seen() -> None:
    house = await House().settle()
    task = await house.task()
    for title in ("One", "Two"):
        await house.rename(task, title)
    async with house.visit(house.bob, connected=False) as visitor:
        reply = await visitor.say(type="connect", id=1, subscribe=[house.channel], resume={house.stream: 3})
        assert reply["data"]["channels"][house.channel] == {"stream": house.stream, "offset": 3, "recovered": True}
        await visitor.until(lambda v: len(v.events()) == 2)
        await house.rename(task, "Three")
        await visitor.until(lambda v: len(v.events()) == 3)
        assert [offset for offset, _ in visitor.events()] == [4, 5, 6]
        assert visitor.of("resync") == []


async def test_a_position_of_another_lineage_leads_to_a_resync_and_never_to_a_claim_that_nothing_is_missing() -> None:
    house = await House().settle()
    task = await house.task()
    wanted = {"subscribe": [house.channel, f"task:{task.id}", "me"], "resume": {house.stream: 1}}
    async with house.visit(house.bob, connected=False) as visitor:
        reply = await visitor.say(type="connect", id=1, epoch="another", **wanted)
        assert {name: where["recovered"] for name, where in reply["data"]["channels"].items()} == {
            house.channel: False,
            f"task:{task.id}": False,
            "me": True,
        }
        assert visitor.of("resync") == [{"type": "resync", "stream": house.stream, "reason": "epoch"}]
        await house.rename(task, "Live")
        await visitor.until(lambda v: bool(v.events()))
        assert visitor.events() == [(4, "task.updated")]
    async with house.visit(house.bob) as visitor:
        for id, channel in enumerate((house.channel, f"task:{task.id}"), 2):
            reply = await visitor.say(type="subscribe", id=id, channel=channel, since=900)
            assert (reply["data"]["offset"], reply["data"]["recovered"]) == (4, False)
        resync = {"type": "resync", "stream": house.stream, "reason": "offset"}
        assert visitor.of("resync") == [resync, resync]
