"""What can be done over a live connection besides listening: be present, type, call, renew, come with a ticket."""

import json
from contextlib import AsyncExitStack

import httpx
import msgspec
import pytest

from application.realtime.frames import ClientFrame, ServerFrame
from tests.http.house import house_in_memory, served, set_to
from tests.support.clients import API, Json, Person, client, done, listening, log_in, sign_up

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


async def test_who_is_present_is_told_to_those_who_follow(live_url: str, grace: Person, linus: Person) -> None:
    team = await grace.create_team()
    await grace.admit(linus, team["id"])
    channel = f"presence:workspace:{team['id']}"
    async with listening(live_url, grace.token) as watching:
        assert (await watching.call("subscribe", channel=channel))["data"] == {"present": []}
        async with listening(live_url, linus.token) as present:
            reply = await present.call("presence", channel=channel)
            assert reply["data"] == {"present": [linus.id]}
            assert (await watching.frame("presence"))["joined"] == [linus.id]
        left = await watching.frame("presence")
    assert (left["joined"], left["left"]) == ([], [{"account_id": linus.id, "why": "bye"}])


async def test_two_connections_of_an_account_come_and_go_as_one(live_url: str, grace: Person) -> None:
    channel = f"presence:workspace:{grace.id}"
    async with listening(live_url, grace.token) as watching, listening(live_url, grace.token) as first:
        await watching.call("subscribe", channel=channel)
        await first.call("presence", channel=channel)
        async with listening(live_url, grace.token) as second:
            await second.call("presence", channel=channel)
        await first.call("unsubscribe", channel=channel)
        told = [await watching.frame("presence") for _ in range(2)]
    assert [(frame["joined"], [gone["account_id"] for gone in frame["left"]]) for frame in told] == [
        ([grace.id], []),
        ([], [grace.id]),
    ]


async def test_words_reach_whoever_follows_and_nobody_else(live_url: str, grace: Person, linus: Person) -> None:
    team = await grace.create_team()
    channel = f"typing:workspace:{team['id']}"
    async with listening(live_url, grace.token) as one, listening(live_url, linus.token) as stranger:
        await one.call("subscribe", channel=channel)
        assert (await stranger.call("subscribe", channel=channel))["code"] == "not_found"
        assert (await stranger.call("publish", channel=channel, data=1))["code"] == "not_found"
        assert (await one.call("publish", channel=channel, data={"at": 3}))["data"] == {}
        assert await one.frame("value") == {"type": "value", "channel": channel, "key": grace.id, "data": {"at": 3}}
        assert (await one.call("publish", channel=channel, data="x" * 5_000))["code"] == "too_large"


async def test_a_member_who_is_removed_hears_no_typing_any_more(live_url: str, grace: Person, linus: Person) -> None:
    team = await grace.create_team()
    await grace.admit(linus, team["id"])
    channel = f"typing:workspace:{team['id']}"
    async with listening(live_url, linus.token) as live:
        await live.call("subscribe", channel=channel)
        done(await grace.delete(f"/workspaces/{team['id']}/members/{linus.id}"))
        assert (await live.frame("unsubscribed")) == {"type": "unsubscribed", "channel": channel, "code": "not_found"}
        assert (await live.call("publish", channel=channel, data=1))["code"] == "not_found"


async def test_a_call_does_what_the_request_would(live_url: str, grace: Person) -> None:
    async with listening(live_url, grace.token, f"workspace:{grace.id}") as live:
        opened = (await live.call("call", method="task.create", params={"title": "By call"}))["data"]
        assert opened == done(await grace.get(f"/tasks/{opened['id']}"))
        patch = {"id": opened["id"], "patch": {"status": "done"}, "version": 1}
        assert (await live.call("call", method="task.update", params=patch))["data"]["status"] == "done"
        assert (await live.call("call", method="task.update", params=patch))["code"] == "version_conflict"
        said = await live.call("call", method="task.comment", params={"id": opened["id"], "comment": {"text": "Hi"}})
        assert said["data"]["text"] == "Hi"
        events = [(await live.event())["event"]["type"] for _ in range(3)]
    assert events == ["task.created", "task.updated", "task.comment.created"]


async def test_a_call_with_a_key_is_carried_out_once(live_url: str, grace: Person) -> None:
    async with listening(live_url, grace.token) as live:
        first = await live.call("call", method="task.create", params={"title": "Once"}, key="k")
        again = await live.call("call", method="task.create", params={"title": "Once"}, key="k")
        other = await live.call("call", method="task.create", params={"title": "Twice"}, key="k")
    assert first["data"] == again["data"]
    assert other["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("task.dance", {}, "not_found"),
        ("task.claim", {}, "validation_failed"),
        ("task.claim", {"id": "x"}, "validation_failed"),
        ("task.claim", [], "validation_failed"),
        ("task.claim", {"id": "0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e"}, "not_found"),
        ("task.create", {"title": "", "color": "red"}, "validation_failed"),
    ],
)
async def test_a_call_that_cannot_be_is_refused(
    live_url: str, grace: Person, method: str, params: object, code: str
) -> None:
    async with listening(live_url, grace.token) as live:
        assert (await live.call("call", method=method, params=params))["code"] == code


async def test_a_connection_goes_on_with_a_new_token_of_its_account_only(
    live_url: str, grace: Person, linus: Person
) -> None:
    async with listening(live_url, grace.token) as live:
        newer = await log_in(grace.http, grace.email)
        assert (await live.call("authenticate", token=newer.token))["data"]["expires_in"] > 800
        assert (await live.call("authenticate", token=linus.token))["code"] == "identity_changed"
        assert (await live.call("authenticate", token="x"))["retry"] == "reauthenticate"
        done(await newer.post("/auth/logout-all"))
        assert await live.closed() == 4004


async def test_a_ticket_opens_one_connection_with_what_was_asked_for(live_url: str, grace: Person) -> None:
    channel = f"workspace:{grace.id}"
    ticket = done(await grace.post("/live/tickets", {"subscribe": [channel]}))["ticket"]
    path = f"{API}/ws?ticket={ticket}"
    async with listening(live_url, path=path) as live:
        reply = await live.frame("reply")
        assert (reply["id"], list(reply["data"]["channels"])) == (0, [channel])
        await grace.open_task()
        assert (await live.event())["event"]["type"] == "task.created"
    async with httpx.AsyncClient(trust_env=False) as http:
        second = await http.get(live_url + path, headers=UPGRADE)
        empty = await http.get(f"{live_url}{API}/ws?ticket=", headers=UPGRADE | grace.authorization)
    assert (second.status_code, second.json()["code"]) == (401, "ticket_invalid")
    assert empty.status_code == 401


async def test_who_makes_tickets_up_is_limited_by_address() -> None:
    limited = house_in_memory(settings=set_to(rate_limit_enabled=True, rate_limit_max_requests=5))
    async with served(limited) as url, client(url) as http:
        ada = await sign_up(http)  # which is a request from the address
        answers = [await http.get(f"{API}/ws?ticket={n}", headers=UPGRADE) for n in range(5)]
        assert [answer.status_code for answer in answers] == [401] * 4 + [429]
        assert (answers[-1].json()["code"], answers[-1].headers["retry-after"]) == ("rate_limited", "12")
        async with listening(url, ada.token):
            done(await ada.get("/me"))


async def test_calls_and_requests_share_the_limit_of_their_account() -> None:
    limited = house_in_memory(settings=set_to(rate_limit_enabled=True, rate_limit_max_requests=10))
    async with served(limited) as url, client(url) as http, AsyncExitStack() as stack:
        ada = await sign_up(http)
        lives = [await stack.enter_async_context(listening(url, ada.token)) for _ in range(4)]
        answers = [await live.call("call", method="task.create", params={"title": "x"}) for live in lives * 2]
        assert ["code" in answer for answer in answers] == [False] * 6 + [True] * 2
        assert {answer["code"] for answer in answers[6:]} == {"rate_limited"}
        assert (await ada.get("/me")).status_code == 429


async def test_beyond_ten_connections_the_one_that_was_silent_for_the_longest_gives_way() -> None:
    limited = house_in_memory(settings=set_to(rate_limit_enabled=True))
    async with served(limited) as url, client(url) as http, AsyncExitStack() as stack:
        one, other = await sign_up(http, "One"), await sign_up(http, "Other")
        lives = [await stack.enter_async_context(listening(url, one.token)) for _ in range(10)]
        await lives[0].send({"type": "pong"})
        async with listening(url, one.token) as eleventh:
            assert await lives[1].closed() == 4105
            for live in (*lives[:1], *lives[2:], eleventh):
                assert "code" not in await live.call("subscribe", channel="me")
        async with listening(url, other.token):
            pass  # others are not concerned


async def test_who_floods_is_told_and_then_cut(live_url: str, grace: Person) -> None:
    async with listening(live_url, grace.token) as live:
        for _ in range(200):
            await live.send({"type": "pong"})
        assert await live.closed() == 4008
    assert live.inbox[0]["code"] == "rate_limited"


async def test_the_asyncapi_document_knows_every_frame(http: httpx.AsyncClient) -> None:
    document: Json = done(await http.get("/api/asyncapi.json"))
    assert document["asyncapi"] == "3.0.0"
    messages = document["components"]["messages"]
    for union, operation in ((ClientFrame, "command"), (ServerFrame, "announce")):
        tags = {message["name"] for message in _messages(document, operation)}
        assert tags == {frame.__struct_config__.tag for frame in union.__args__}
    for message in messages.values():
        assert message["summary"]
        schema = document["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
        assert schema["properties"]["type"]["enum"] == [message["name"]]
    for method in document["x-methods"].values():
        assert method["params"]["$ref"].rpartition("/")[2] in document["components"]["schemas"]
    of_tasks = {name for name in document["x-methods"] if name.startswith("task.")}
    assert of_tasks == {"task.create", "task.update", "task.claim", "task.comment"}
    assert json.loads(msgspec.json.encode(document)) == document


def _messages(document: Json, operation: str) -> list[Json]:
    listed = document["operations"][operation]["messages"]
    names = [reference["$ref"].rpartition("/")[2] for reference in listed]
    return [document["components"]["messages"][name] for name in names]
