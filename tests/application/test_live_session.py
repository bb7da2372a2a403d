"""What every frame does on a live connection, without a socket."""

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from msgspec import Raw

from application.ports.events import Signal
from application.realtime.connection import INBOX_MAX
from application.realtime.conversation import PING_SECONDS
from application.realtime.frames import CHANNELS_MAX, DATA_MAX_BYTES, CloseCode
from application.realtime.live import BACKLOG_MAX_BYTES
from domain.channels import account_stream
from domain.identity import Account
from tests.application.live_house import Frame, House, Visitor, turns
from tests.support.builders import an_account, principal


async def test_the_reply_to_connect_tells_everything_that_the_connection_is_bound_to() -> None:
    house = await House().settle()
    async with house.visit(connected=False) as visitor:
        token = house.token(house.ada)
        reply = await visitor.say(type="connect", id=7, token=token, subscribe=[house.channel, "me", "task:nonsense"])
        assert (reply["type"], reply["id"]) == ("reply", 7)
        data = reply["data"]
        assert data["session"] == str(principal(house.ada).credential_id)
        assert data["epoch"] == (await house.container.journal().survey([])).epoch
        assert data["expires_in"] == timedelta(days=1).total_seconds()
        assert data["ping_interval"] == PING_SECONDS
        assert data["limits"] == {"channels": CHANNELS_MAX, "data_bytes": DATA_MAX_BYTES}
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
        {},
    ],
)
async def test_a_connection_begins_with_a_valid_connect_or_ends(first: Frame) -> None:
    house = await House().settle()
    async with house.visit(house.ada, connected=False) as visitor:
        assert await visitor.closed_by(**first) == (CloseCode.PROTOCOL, "the first frame has to be connect")
        assert not visitor.connection.conversation.is_open
        assert visitor.frames == []
        await turns(1)
        assert len(house.container.live()) == 0


async def test_a_first_frame_with_an_id_is_refused_by_it_before_the_connection_ends() -> None:
    house = await House().settle()
    async with house.visit(house.ada, connected=False) as visitor:
        assert await visitor.closed_by(type="connect", id=1, password="?") == (
            CloseCode.PROTOCOL,
            "the first frame has to be connect",
        )
        (error,) = visitor.frames
        assert (error["id"], error["code"]) == (1, "bad_frame")
        assert "/password" in error["message"]


async def test_a_connection_counts_until_its_wire_is_gone_whatever_was_said_before() -> None:
    house = await House().settle()
    live = house.container.live()
    async with house.visit(house.ada) as ada, house.visit(house.ada) as other:
        for visitor in (ada, other):
            visitor.is_stubborn = True
            visitor.connection.close(CloseCode.REVOKED, "session_ended")
        await turns(5)
        assert [visitor.closed is not None for visitor in (ada, other)] == [True, True]
        assert len(live) == 2
        assert await counted(house, house.ada) == 2
        ada.connection.lost()
        ada.connection.lost()
        await turns(5)
        assert len(live) == 1
        assert await counted(house, house.ada) == 1
    assert len(live) == 0
    assert await counted(house, house.ada) == 0


async def counted(house: House, account: Account) -> int:
    """How many connections count for an account."""
    presence, door = house.container.presence(), f"connections:{account.id}"
    probe = await presence.enter(door, account.id, "probe")
    await presence.leave(door, "probe")
    return probe.connections - 1


async def test_a_connection_stands_on_the_doorstep_until_it_says_who_it_is_or_is_gone() -> None:
    house = await House().settle()
    live = house.container.live()
    one, other = Visitor(), Visitor()
    for visitor in (one, other):
        visitor.connection = live.begin(visitor, None, live.doorstep.arrive("192.0.2.1"))
    assert len(live.doorstep) == 2
    await one.say(type="connect", id=1, token=house.token(house.ada))
    assert (len(live.doorstep), len(live)) == (1, 2)
    await other.closed_by(type="connect", id=1, token="nonsense")
    await turns(1)
    assert (len(live.doorstep), len(live)) == (0, 1)
    one.connection.left()
    one.connection.lost()
    assert (len(live.doorstep), len(live)) == (0, 0)


async def test_a_connection_ends_without_a_good_token_and_says_what_to_do_about_it() -> None:
    house = await House().settle()
    token = house.token(house.ada)

    async def refused(**fields: object) -> tuple[CloseCode, str]:
        async with house.visit(connected=False) as visitor:
            code, reason = await visitor.closed_by(type="connect", id=3, **fields)
            assert visitor.connection.is_closed
            for error in visitor.frames:
                assert (error["type"], error["id"], error["retry"]) == ("error", 3, "reauthenticate")
                assert error["code"] == reason
            assert len(visitor.frames) == (1 if fields else 0)
            return code, reason

    assert await refused() == (CloseCode.TOKEN_INVALID, "token_missing")
    assert await refused(token="nonsense") == (CloseCode.TOKEN_INVALID, "token_invalid")
    house.container.authentication().end([principal(house.ada).credential_id])
    assert await refused(token=token) == (CloseCode.REVOKED, "session_ended")
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
            visitor.connection.received(text.encode())
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
        told = {"stream": house.stream, "offset": 3, "recovered": True, "resource": str(task.id)}
        assert reply["data"] == told
        await visitor.until(lambda v: len(v.events()) == 3)
        assert [offset for offset, _ in visitor.events()] == [6, 4, 5]
        await visitor.say(type="subscribe", id=4, channel=house.channel, since=1)
        await visitor.say(type="subscribe", id=5, channel=house.channel)
        await visitor.say(type="subscribe", id=6, channel=f"task:{task.id}", since=2)
        await visitor.until(lambda v: len(v.events()) == 5)
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


async def test_a_channel_that_is_asked_to_begin_further_back_repeats_nothing() -> None:
    house = await House().settle()
    task = await house.task()
    for title in ("One", "Two", "Three"):
        await house.rename(task, title)
    async with house.visit(house.bob) as visitor:
        for id, since in enumerate((5, 3, 4, 1), 2):
            await visitor.say(type="subscribe", id=id, channel=house.channel, since=since)
        await visitor.until(lambda v: len(v.events()) == 5)
        await visitor.say(type="subscribe", id=9, channel=house.channel, since=0)
        await visitor.until(lambda v: len(v.events()) == 6)
        await house.rename(task, "Live")
        await visitor.until(lambda v: len(v.events()) == 7)
        assert sorted(offset for offset, _ in visitor.events()) == [1, 2, 3, 4, 5, 6, 7]


async def test_words_go_to_whoever_follows_the_place_and_to_nobody_who_may_not_see_it() -> None:
    house = await House().settle()
    task = await house.task()
    typing = f"typing:task:{task.id}"
    async with house.visit(house.ada) as ada, house.visit(house.bob) as bob:
        eve = await an_account(house, "Eve")
        async with house.visit(eve) as stranger:
            assert (await stranger.say(type="subscribe", id=2, channel=typing))["code"] == "not_found"
            assert (await stranger.say(type="publish", id=3, channel=typing, data={}))["code"] == "not_found"
            for visitor in (ada, bob):
                assert (await visitor.say(type="subscribe", id=2, channel=typing))["data"] == {}
            await ada.say(type="publish", id=3, channel=typing, data={"typing": True})
            value = {"type": "value", "channel": typing, "key": str(house.ada.id), "data": {"typing": True}}
            await bob.until(lambda v: bool(v.of("value")))
            assert (ada.of("value"), bob.of("value"), stranger.of("value")) == ([value], [value], [])
        await house.dismiss(house.bob)
        await bob.until(lambda v: bool(v.of("unsubscribed")))
        await ada.say(type="publish", id=4, channel=typing, data={})
        assert bob.of("value") == [value]
        assert (await bob.say(type="publish", id=5, channel=typing, data={}))["code"] == "not_found"


async def test_who_is_present_is_seen_to_come_and_to_go_once() -> None:
    house = await House().settle()
    place = f"presence:{house.channel}"
    ada_id, bob_id = str(house.ada.id), str(house.bob.id)
    async with house.visit(house.ada) as ada:
        assert (await ada.say(type="subscribe", id=2, channel=place))["data"] == {"present": []}
        async with house.visit(house.bob) as bob, house.visit(house.bob) as again:
            assert (await bob.say(type="presence", id=2, channel=place))["data"] == {"present": [bob_id]}
            await again.say(type="presence", id=2, channel=place)
            assert set((await ada.say(type="presence", id=3, channel=place))["data"]["present"]) == {ada_id, bob_id}
        await ada.until(lambda v: len(v.of("presence")) == 3)
        assert [(f["joined"], [gone["why"] for gone in f["left"]]) for f in ada.of("presence")] == [
            ([bob_id], []),
            ([ada_id], []),
            ([], ["bye"]),
        ]


async def test_whoever_was_sent_away_is_expected_back_however_they_close() -> None:
    house = await House().settle()
    place = f"presence:{house.channel}"
    async with house.visit(house.ada) as ada:
        await ada.say(type="subscribe", id=2, channel=place)
        async with house.visit(house.bob) as bob:
            await bob.say(type="presence", id=2, channel=place)
            bob.connection.send_away(1_000)
        async with house.visit(house.bob) as back:
            assert (await back.say(type="presence", id=2, channel=place))["data"] == {"present": [str(house.bob.id)]}
            assert [frame["left"] for frame in ada.of("presence")] == [[]]


async def test_whoever_cannot_keep_up_is_sent_the_newest_value_of_each_key_once_it_can() -> None:
    house = await House().settle()
    task = await house.task()
    market, typing = "market:ACME", f"typing:task:{task.id}"
    async with house.visit(house.bob) as bob:
        for id, channel in enumerate((market, typing), 2):
            await bob.say(type="subscribe", id=id, channel=channel)
        bob.connection.congested()
        for version in range(1, 4):
            for key in ("bid", "ask"):
                house.broker.publish([Signal(market, key, version, Raw(b"%d" % version))])
            house.broker.publish([Signal(typing, str(house.ada.id), 0, Raw(b"{}"))])
        await bob.until(lambda v: v.connection.dropped == 3)
        assert bob.of("value") == []
        bob.connection.relieved()
        assert [(f["key"], f["data"]) for f in bob.of("value")] == [("bid", 3), ("ask", 3)]
        bob.connection.relieved()
        house.broker.publish([Signal(market, "bid", 4, Raw(b"4")), Signal(market, "bid", 3, Raw(b"3"))])
        await bob.until(lambda v: len(v.of("value")) > 2)
        assert [(f["key"], f["data"]) for f in bob.of("value")[2:]] == [("bid", 4)]


async def test_whoever_comes_later_is_told_the_newest_values_at_once() -> None:
    house = await House().settle()
    async with house.visit(house.bob) as bob, house.visit(house.ada) as ada:
        await bob.say(type="subscribe", id=2, channel="market:ACME")
        house.broker.publish([Signal("market:ACME", "bid", version, Raw(b"%d" % version)) for version in (2, 1, 3)])
        await ada.say(type="subscribe", id=2, channel="market:ACME")
        assert [f["data"] for f in bob.of("value")] == [3]
        assert [f["data"] for f in ada.of("value")] == [3]


async def test_whoever_cannot_keep_up_is_sent_no_event_until_it_can_and_then_every_one() -> None:
    house = await House().settle()
    task = await house.task()
    async with house.visit(house.bob) as bob:
        await bob.say(type="subscribe", id=2, channel=house.channel)
        bob.connection.congested()
        for title in ("One", "Two", "Three"):
            await house.rename(task, title)
            await turns(10)
        assert bob.events() == []
        await bob.say(type="subscribe", id=3, channel="me")
        await house.dismiss(house.bob)
        await turns(10)
        assert bob.events() == []
        bob.connection.relieved()
        await bob.until(lambda v: len(v.events()) == 5)
        assert [offset for offset, _ in bob.events(house.stream)] == [4, 5, 6, 7]
        assert bob.events("account:") == [(3, "workspace.left")]


async def test_a_peer_that_talks_faster_than_it_is_answered_is_listened_to_again_later() -> None:
    house = await House().settle()
    async with house.visit(house.bob) as bob:
        begun = len(bob.frames)
        for id in range(2, 2 + INBOX_MAX + 1):
            bob.send(type="subscribe", id=id, channel="me")
        assert bob.listening[-1] is False
        await bob.until(lambda v: len(v.frames) == begun + INBOX_MAX + 1)
        assert [frame["id"] for frame in bob.frames[begun:]] == list(range(2, 2 + INBOX_MAX + 1))
        await bob.until(lambda v: v.listening[-1])


async def test_a_ping_tells_how_long_it_has_waited_for_an_earlier_command() -> None:
    loop, taken_up = asyncio.get_running_loop(), asyncio.Event()

    async def at(point: str) -> None:
        if taken_up.is_set():
            return
        taken_up.set()
        bob.send(type="ping", time=7)
        arrived = loop.time()
        while loop.time() < arrived + 0.02:
            await asyncio.sleep(0)

    house = await House(at).settle()
    taken_up.set()
    async with house.visit(house.bob) as bob:
        taken_up.clear()
        await bob.say(type="subscribe", id=2, channel=house.channel)
        await bob.until(lambda v: bool(v.of("pong")))
    (told,) = bob.of("pong")
    assert told["time"] == 7
    assert told["sent"] - told["received"] >= 20


async def test_a_command_is_carried_out_and_answered_and_a_refused_one_is_told_why() -> None:
    house = await House().settle()
    async with house.visit(house.bob) as bob:
        await bob.say(type="subscribe", id=2, channel=house.channel)
        new = {"title": "By a call", "workspace_id": str(house.team.id)}
        reply = await bob.say(type="call", id=3, method="task.create", params=new, key="once")
        assert reply["data"]["title"] == "By a call"
        assert (await bob.say(type="call", id=4, method="task.create", params=new, key="once"))["data"] == reply["data"]
        assert (await bob.say(type="call", id=5, method="task.dance"))["code"] == "not_found"
        assert (await bob.say(type="call", id=6, method="task.create", params={}))["code"] == "validation_failed"
        await bob.until(lambda v: bool(v.events()))
        assert bob.events() == [(3, "task.created")]


async def test_one_connection_that_cannot_be_looked_after_is_no_harm_to_the_others() -> None:
    house = await House().settle()
    async with house.visit(house.ada) as broken, house.visit(house.bob) as stalled:

        def fails() -> int:
            raise OSError("nobody knows")

        broken.backlog = fails  # type: ignore[method-assign]
        stalled.waiting = 2 * BACKLOG_MAX_BYTES
        looking = asyncio.create_task(house.container.live().run())
        await stalled.until(lambda visitor: visitor.closed is not None)
        looking.cancel()
        assert stalled.closed == (CloseCode.SLOW_CONSUMER, "slow_consumer")
        assert broken.closed is None
