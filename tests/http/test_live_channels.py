"""What a live connection hears: the channels it may follow, each event once, in order, from where it left off."""

import asyncio
from uuid import uuid4

import pytest

from tests.support.clients import Json, Listener, Person, done, following, listening
from tests.support.promised import stretched


async def heard(live: Listener, count: int) -> list[int]:
    """The offsets of the next events."""
    return [(await live.event())["offset"] for _ in range(count)]


async def test_a_channel_is_heard_from_its_subscription_to_its_end(live_url: str, grace: Person) -> None:
    channel = f"workspace:{grace.id}"
    async with listening(live_url, grace.token) as live:
        await grace.open_task("before")
        reply = await live.call("subscribe", channel=channel)
        assert reply["data"] == {"stream": channel, "offset": 2, "recovered": True}
        await grace.open_task("heard")
        assert await heard(live, 1) == [3]
        assert (await live.call("unsubscribe", channel=channel))["data"] == {}
        await grace.open_task("after")
        await live.call("subscribe", channel="me")
        await grace.patch("/me", {"display_name": "Grace H."})
        assert (await live.event())["stream"] == f"account:{grace.id}"


async def test_an_event_is_what_the_journal_keeps(live_url: str, grace: Person) -> None:
    async with listening(live_url, grace.token, f"workspace:{grace.id}") as live:
        await grace.open_task("Déjà vu \u2028 </script>")
        frame = await live.event()
    (kept,) = (await grace.events(f"workspace:{grace.id}"))[-1:]

    assert frame == {
        "type": "event",
        "stream": kept.pop("stream"),
        "offset": kept.pop("offset"),
        "event": kept,
    }


async def test_an_event_comes_once_however_many_channels_show_it(live_url: str, grace: Person) -> None:
    task, other = await grace.open_task("one"), await grace.open_task("other")
    channels = [f"task:{task['id']}", f"workspace:{grace.id}", f"task:{other['id']}", "me", f"workspace:{grace.id}"]
    async with listening(live_url, grace.token, *channels) as live:
        await live.call("subscribe", channel=channels[0])
        for title in "abc":
            await grace.patch(f"/tasks/{task['id']}", {"title": title})
        await grace.patch("/me", {"display_name": "Grace H."})
        events = [await live.event() for _ in range(4)]
        await grace.open_task("last")
        events.append(await live.event())

    places = [(event["stream"].partition(":")[0], event["offset"]) for event in events]
    assert sorted(places) == [("account", 3), *(("workspace", offset) for offset in (4, 5, 6, 7))]
    assert [offset for stream, offset in places if stream == "workspace"] == [4, 5, 6, 7]


async def test_a_task_channel_tells_of_that_task_and_its_comments_only(live_url: str, grace: Person) -> None:
    task, other = await grace.open_task("one"), await grace.open_task("other")
    async with listening(live_url, grace.token, f"task:{task['id']}") as live:
        await grace.patch(f"/tasks/{other['id']}", {"title": "x"})
        done(await grace.post(f"/tasks/{task['id']}/comments", {"text": "hello"}))
        await grace.delete(f"/tasks/{other['id']}")
        await grace.delete(f"/tasks/{task['id']}")
        types = [(await live.event())["event"]["type"] for _ in range(2)]

    assert types == ["task.comment.created", "task.deleted"]


async def test_a_channel_of_one_resource_says_so(live_url: str, grace: Person) -> None:
    task = await grace.open_task()
    async with listening(live_url, grace.token, f"workspace:{grace.id}") as live:
        reply = await live.call("subscribe", channel=f"task:{task['id']}")
        whole = await live.call("subscribe", channel=f"workspace:{grace.id}")

    assert reply["data"]["resource"] == task["id"]
    assert "resource" not in whole["data"]


async def test_a_channel_that_is_dropped_leaves_the_others_of_its_stream_alone(live_url: str, grace: Person) -> None:
    task = await grace.open_task()
    async with listening(live_url, grace.token, f"workspace:{grace.id}", f"task:{task['id']}") as live:
        await live.call("unsubscribe", channel=f"workspace:{grace.id}")
        await grace.open_task("unheard")
        await grace.patch(f"/tasks/{task['id']}", {"title": "heard"})
        assert await heard(live, 1) == [4]
        await live.call("unsubscribe", channel="me")
        await live.call("unsubscribe", channel="nonsense")


async def test_who_was_away_hears_what_happened_meanwhile(live_url: str, grace: Person) -> None:
    channel = f"workspace:{grace.id}"
    async with listening(live_url, grace.token, channel) as live:
        await grace.open_task()
        last = (await live.event())["offset"]
    for n in range(5):
        await grace.open_task(str(n))
    async with listening(live_url) as live:
        data = await live.connect(grace.token, channel, resume={channel: last})
        assert data["channels"][channel]["recovered"] is True
        await grace.open_task("live")
        assert await heard(live, 6) == [3, 4, 5, 6, 7, 8]
    async with listening(live_url, grace.token) as live:
        reply = await live.call("subscribe", channel=channel, since=6)
        assert reply["data"]["recovered"] is True
        assert await heard(live, 2) == [7, 8]


async def test_a_further_channel_of_a_stream_catches_up_without_repeating_what_was_heard(
    live_url: str, grace: Person
) -> None:
    task, other = await grace.open_task("one"), await grace.open_task("other")
    async with listening(live_url, grace.token, f"task:{task['id']}") as live:
        await grace.patch(f"/tasks/{task['id']}", {"title": "x"})
        assert await heard(live, 1) == [4]
        await grace.patch(f"/tasks/{other['id']}", {"title": "y"})
        await live.call("subscribe", channel=f"workspace:{grace.id}", since=1)
        caught_up = await heard(live, 3)
        await grace.open_task()
        rest = await heard(live, 1)

    assert (caught_up, rest) == ([2, 3, 5], [6])  # 4 was heard


async def test_nothing_is_lost_or_doubled_while_channels_come_and_go_under_writes(live_url: str, grace: Person) -> None:
    channel, stop = f"workspace:{grace.id}", asyncio.Event()
    tasks = [await grace.open_task(str(n)) for n in range(3)]

    async def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            await grace.patch(f"/tasks/{tasks[n % 3]['id']}", {"title": f"{n}"})

    writing = asyncio.create_task(write())
    try:
        async with listening(live_url) as live:
            await live.connect(grace.token, f"task:{tasks[0]['id']}", channel, resume={channel: 1})
            for _ in range(10):
                await live.call("subscribe", channel=f"task:{tasks[1]['id']}")
                await live.call("unsubscribe", channel=f"task:{tasks[1]['id']}")
                await live.call("subscribe", channel=channel)
            assert await heard(live, 100) == list(range(2, 102))
    finally:
        stop.set()
        await writing


@pytest.mark.parametrize("epoch", ["another", ""])
async def test_positions_of_another_lineage_are_told_and_not_believed(live_url: str, grace: Person, epoch: str) -> None:
    channel = f"workspace:{grace.id}"
    await grace.open_task()
    async with listening(live_url) as live:
        data = await live.connect(grace.token, channel, resume={channel: 1}, epoch=epoch)
        frame = await live.frame("resync")
        await grace.open_task()
        assert await heard(live, 1) == [3]

    assert (frame["stream"], frame["reason"]) == (channel, "epoch")
    assert data["channels"][channel] == {"stream": channel, "offset": 2, "recovered": False}


async def test_a_position_beyond_the_head_is_told_and_not_believed(live_url: str, grace: Person) -> None:
    channel = f"workspace:{grace.id}"
    async with listening(live_url, grace.token) as live:
        reply = await live.call("subscribe", channel=channel, since=4_711)
        frame = await live.frame("resync")
        await grace.open_task()
        assert await heard(live, 1) == [2]

    assert (frame["stream"], frame["reason"]) == (channel, "offset")
    assert reply["data"]["recovered"] is False


@pytest.mark.parametrize(
    "channel",
    [
        "workspace:{theirs}",
        "workspace:{nobody}",
        "workspace:",
        "workspace:*",
        "task:{task}",
        "task:{nobody}",
        "account:{theirs}",
        "me:{theirs}",
        "ME",
        "nonsense",
    ],
)
async def test_a_channel_that_one_may_not_follow_reads_like_one_that_does_not_exist(
    live_url: str, grace: Person, linus: Person, channel: str
) -> None:
    task = await linus.open_task()
    name = channel.format(theirs=linus.id, task=task["id"], nobody=uuid4())
    async with listening(live_url) as live:
        data = await live.connect(grace.token, "me", name)
        answer = await live.call("subscribe", channel=name)
        since = await live.call("subscribe", channel=name, since=0)
        await linus.open_task()
        await grace.patch("/me", {"display_name": "Grace H."})
        assert (await live.event())["stream"] == f"account:{grace.id}"

    nothing = {"code": "not_found", "message": "There is no such thing, or you may not see it.", "retry": "no"}
    assert data["channels"][name] == nothing
    for error in (answer, since):
        assert {k: v for k, v in error.items() if k not in {"type", "id"}} == nothing


@pytest.mark.parametrize("channel", ["workspace:{team}", "task:{task}"])
async def test_who_loses_the_membership_is_told_and_hears_no_more(
    live_url: str, grace: Person, linus: Person, channel: str
) -> None:
    team = (await grace.create_team())["id"]
    task = (await grace.open_task(workspace_id=team))["id"]
    await grace.admit(linus, team)
    name = channel.format(team=team, task=task)
    async with listening(live_url, linus.token, name, "me") as live:
        done(await grace.delete(f"/workspaces/{team}/members/{linus.id}"))
        async with asyncio.timeout(stretched(1)):
            lost = await live.frame("unsubscribed")
        await grace.patch(f"/tasks/{task}", {"title": "for one"})
        assert (await live.call("subscribe", channel=name))["code"] == "not_found"
        assert (await live.event("workspace.left"))["stream"] == f"account:{linus.id}"
        assert not [frame for frame in live.inbox if frame["type"] == "event" and "task" in frame["event"]["type"]]

    assert (lost["channel"], lost["code"]) == (name, "not_found")


async def test_who_was_removed_and_came_back_replays_all_of_it(live_url: str, grace: Person, linus: Person) -> None:
    team = (await grace.create_team())["id"]
    channel = f"workspace:{team}"
    await grace.admit(linus, team)
    done(await grace.delete(f"/workspaces/{team}/members/{linus.id}"))
    await grace.admit(linus, team)
    async with listening(live_url, linus.token) as live:
        await live.call("subscribe", channel=channel, since=0)
        await grace.open_task("welcome back", workspace_id=team)
        await live.event("task.created")
        assert not [frame for frame in live.inbox if frame["type"] == "unsubscribed"]


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "nonsense", "id": 5}',
        '{"id": 5}',
        '{"type": "subscribe", "id": 5}',
        '{"type": "subscribe", "id": 5, "channel": 7}',
        '{"type": "subscribe", "id": 5, "channel": "x"}',
        '{"type": "subscribe", "id": 5, "channel": "me", "since": -1}',
        '{"type": "subscribe", "id": 5, "channel": "me", "since": 1.5}',
        '{"type": "subscribe", "id": 5, "channel": "me", "since": 1e400}',
        '{"type": "subscribe", "id": 5, "channel": "me", "unknown": 1}',
        '{"type": "subscribe", "id": 5, "channel": "\\ud800"}',
    ],
)
async def test_a_frame_that_means_nothing_is_an_error_and_no_end(live_url: str, grace: Person, frame: str) -> None:
    async with listening(live_url, grace.token, "me") as live:
        await live.send(frame)
        error = await live.frame("error")
        await grace.patch("/me", {"display_name": "Grace H."})
        assert await live.event("account.updated")

    assert (error["code"], error["retry"]) == ("bad_frame", "no")
    assert error["id"] in (5, None)


async def test_a_binary_frame_means_nothing_either(live_url: str, grace: Person) -> None:
    async with listening(live_url, grace.token, "me") as live:
        await live.socket.send(b'{"type": "unsubscribe", "id": 5, "channel": "me"}')
        assert (await live.frame("error"))["code"] == "bad_frame"
        await grace.patch("/me", {"display_name": "Grace H."})
        assert await live.event("account.updated")


async def test_a_connection_follows_a_bounded_number_of_channels(live_url: str, grace: Person) -> None:
    created = [{"op": "create", "task": {"title": str(n)}} for n in range(65)]
    reports = [done(await grace.post("/tasks/bulk", {"operations": created})) for _ in range(2)]
    tasks = [f"task:{result['task']['id']}" for report in reports for result in report["results"]]
    async with listening(live_url, grace.token, *tasks[:128]) as live:
        refused = await live.call("subscribe", channel=tasks[128])
        assert (refused["code"], refused["retry"]) == ("too_many_channels", "later")
        await live.call("unsubscribe", channel=tasks[0])
        assert (await live.call("subscribe", channel=tasks[128]))["type"] == "reply"


async def test_all_who_listen_hear_the_same_in_the_same_order(live_url: str, grace: Person, linus: Person) -> None:
    team = (await grace.create_team())["id"]
    await grace.admit(linus, team)
    channel = f"workspace:{team}"

    async def listen(person: Person) -> list[Json]:
        async with listening(live_url, person.token, channel) as live:
            ready.release()
            return [await live.event() for _ in range(40)]

    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(listen(person)) for person in (grace, linus) * 5]
    for _ in listeners:
        await ready.acquire()
    await asyncio.gather(*(person.open_task(workspace_id=team) for person in (grace, linus) * 20))
    first, *others = await asyncio.gather(*listeners)

    assert [frame["offset"] for frame in first] == list(range(4, 44))
    assert all(frames == first for frames in others)


async def test_a_channel_has_one_name_however_its_id_is_spelled(live_url: str, grace: Person) -> None:
    name, spelled = f"workspace:{grace.id}", f"workspace:{grace.id.upper()}"
    async with listening(live_url, grace.token, spelled) as live:
        assert (await live.call("subscribe", channel=spelled))["data"]["stream"] == name
        assert (await live.call("subscribe", channel=f"typing:{spelled}"))["type"] == "reply"
        await grace.open_task()
        assert (await live.event("task.created"))["stream"] == name
        await live.call("publish", channel=f"typing:{spelled}", data=1)
        assert (await live.frame("value"))["channel"] == f"typing:{name}"
        await live.call("unsubscribe", channel=name)
    assert (await grace.get("/events", params={"channel": spelled})).is_success
    async with following(grace, spelled, since=0) as stream:
        assert await stream.next()
