"""How a live connection begins, whom it lets in, and with which word it ends."""

import asyncio
from datetime import timedelta

import pytest
import uvloop
from dependency_injector import providers
from websockets.exceptions import InvalidStatus

from adapters.memory.system import MovableClock
from entrypoints.server import FRAME_MAX_BYTES
from entrypoints.websocket.protocol import LiveProtocol
from tests.http.house import house_in_memory, served, set_to
from tests.support.clients import (
    API,
    PATIENCE_SECONDS,
    Json,
    Listener,
    Person,
    Wire,
    client,
    done,
    listening,
    log_in,
    sign_up,
)
from tests.support.promised import within

UPGRADE = (
    b"GET /api/v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_a_token_in_the_first_frame_connects(live_url: str, grace: Person) -> None:
    async with listening(live_url) as live:
        data = await live.connect(grace.token, "me", f"workspace:{grace.id}")

    assert data["expires_in"] == 900
    assert data["ping_interval"] > 0
    assert data["epoch"]
    assert data["limits"]["channels"] == 128
    assert data["channels"] == {
        "me": {"stream": f"account:{grace.id}", "offset": 2, "recovered": True},
        f"workspace:{grace.id}": {"stream": f"workspace:{grace.id}", "offset": 1, "recovered": True},
    }


async def test_a_token_in_the_header_of_the_upgrade_connects(live_url: str, grace: Person) -> None:
    async with listening(live_url, additional_headers=grace.authorization) as live:
        data = await live.connect(None, "me")
        await grace.patch("/me", {"display_name": "Grace H."})
        assert (await live.event())["event"]["type"] == "account.updated"

    assert data["channels"]["me"]["recovered"] is True


async def test_the_token_of_the_frame_counts_more_than_that_of_the_header(
    live_url: str, grace: Person, linus: Person
) -> None:
    async with listening(live_url, additional_headers=grace.authorization) as live:
        data = await live.connect(linus.token, "me")

    assert data["channels"]["me"]["stream"] == f"account:{linus.id}"


async def test_a_token_in_the_url_counts_nothing(live_url: str, grace: Person) -> None:
    for name in ("token", "access_token"):
        async with listening(live_url, path=f"{API}/ws?{name}={grace.token}") as live:
            await live.send({"type": "connect", "id": 1})
            assert await live.closed() == 4003


@pytest.mark.parametrize("token", ["nonsense", "", "a.b.c", "é", "x" * 4_096, "{refresh}"])
async def test_a_bad_token_is_told_and_the_connection_ends(live_url: str, grace: Person, token: str) -> None:
    async with listening(live_url) as live:
        await live.send({"type": "connect", "id": 7, "token": token.format(refresh=grace.cookie)})
        assert await live.closed() == 4003
        (error,) = live.inbox

    assert (error["type"], error["id"], error["retry"]) == ("error", 7, "reauthenticate")


async def test_no_token_at_all_ends_the_connection(live_url: str) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}):
        async with listening(live_url, additional_headers=headers) as live:
            await live.send({"type": "connect", "id": 1})
            assert await live.closed() == 4003


async def test_who_says_nothing_is_cut_off() -> None:
    house = house_in_memory(connect_seconds=providers.Object(0.2))
    async with served(house) as url, client(url) as http:
        grace = await sign_up(http)
        async with listening(url) as silent, listening(url, grace.token, "me") as connected:
            assert await silent.closed() == 4002
            await grace.patch("/me", {"display_name": "Grace H."})
            assert await connected.event()


def test_ten_seconds_are_the_limit_for_the_first_frame() -> None:
    assert house_in_memory().connect_seconds() == 10


@pytest.mark.parametrize(
    "first",
    [
        {"type": "subscribe", "id": 1, "channel": "me"},
        {"type": "pong"},
        {"type": "nonsense", "id": 1},
        {"type": "connect"},
        {"type": "connect", "id": -1},
        {"type": "connect", "id": 1, "unknown": True},
        {"type": "connect", "id": 1, "subscribe": ["me"] * 129},
        {"type": "connect", "id": 1, "token": "x" * 5_000},
        {},
    ],
)
async def test_a_first_frame_that_is_no_connect_ends_the_connection(live_url: str, first: Json) -> None:
    async with listening(live_url) as live:
        await live.send(first)
        assert await live.closed() == 4001


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "5", '{"type"', "[" * 20_000])
async def test_a_first_frame_that_is_no_json_ends_the_connection(live_url: str, text: str) -> None:
    async with listening(live_url) as live:
        await live.send(text)
        assert await live.closed() == 4001


async def test_a_second_connect_is_an_error_and_changes_nothing(live_url: str, grace: Person, linus: Person) -> None:
    async with listening(live_url, grace.token, "me") as live:
        answer = await live.call("connect", token=linus.token, subscribe=["me"])
        assert (answer["type"], answer["code"]) == ("error", "already_connected")
        await grace.patch("/me", {"display_name": "Grace H."})
        assert (await live.event())["stream"] == f"account:{grace.id}"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "{url}.evil.example", "http://evil.{host}"]
)
async def test_a_page_of_another_origin_is_refused_before_the_upgrade(
    live_url: str, grace: Person, origin: str
) -> None:
    given = origin.format(url=live_url, host=live_url.removeprefix("http://"))
    with pytest.raises(InvalidStatus) as refused:
        async with listening(live_url, additional_headers={"Origin": given} | grace.authorization):
            pass

    assert refused.value.response.status_code == 403


async def test_pages_of_this_site_and_of_the_allowed_origins_are_let_in(live_url: str) -> None:
    async with listening(live_url, additional_headers={"Origin": live_url}):
        pass
    good = "https://app.example.org"
    async with (
        served(house_in_memory(settings=set_to(cors_origin=(good,)))) as url,
        listening(url, additional_headers={"Origin": good}),
    ):
        pass


@pytest.mark.parametrize("how", ["logout", "logout-all", "password", "session"])
async def test_a_connection_ends_within_a_second_of_its_session(live_url: str, grace: Person, how: str) -> None:
    other = await log_in(grace.http, grace.email)
    async with listening(live_url, grace.token, "me") as live, listening(live_url, other.token, "me") as second:
        with within(1):
            if how == "logout":
                headers = {"Cookie": f"__Host-refresh={grace.cookie}", "X-Requested-With": "test"}
                done(await grace.http.post(f"{API}/auth/logout", headers=headers))
            elif how == "logout-all":
                done(await grace.post("/auth/logout-all"))
            elif how == "password":
                change = {"current_password": "correct horse battery", "new_password": "a better horse battery"}
                done(await grace.post("/me/password", change))
            else:
                (mine,) = [session for session in done(await grace.get("/auth/sessions"))["data"] if session["current"]]
                done(await other.delete(f"/auth/sessions/{mine['id']}"))
            assert await live.closed() == 4004
        if how in {"logout", "session"}:
            done(await other.patch("/me", {"display_name": "Still here"}))
            assert await second.event("account.updated")
        else:
            assert await second.closed() == 4004


async def test_a_connection_ends_with_its_token_and_asks_for_a_new_one() -> None:
    house = house_in_memory()
    clock: MovableClock = house.clock()  # type: ignore[assignment]
    async with served(house) as url, client(url) as http:
        grace = await sign_up(http)
        async with listening(url, grace.token, "me") as live:
            clock.advance(timedelta(minutes=15))
            assert await live.closed() == 4300
        async with listening(url) as live:
            await live.send({"type": "connect", "id": 1, "token": grace.token})
            assert await live.closed() == 4300
            assert live.inbox[0]["code"] == "token_expired"


async def test_a_frame_that_is_too_large_ends_the_connection(live_url: str, grace: Person) -> None:
    async with listening(live_url, grace.token) as live:
        assert (await live.call("unsubscribe", channel="x" * (FRAME_MAX_BYTES - 100)))["type"] == "error"
        await live.send("x" * (FRAME_MAX_BYTES + 1))
        assert await live.closed() == 1009


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x82\x00\x00\x00\x00\xff\xfe", 1007),  # text that is no UTF-8
        (b"\x81\x83\x00\x00\x00\x00\xed\xa0\x80", 1007),  # text with a surrogate
        (b"\x81\x02{}", 1002),  # unmasked
        (b"\xc1\x82\x00\x00\x00\x00{}", 1002),  # compressed, which was not agreed
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # a kind of frame that does not exist
        (b"\x89\xfe\x00\x80" + b"\x00" * 132, 1002),  # a control frame that is too long
        (b"\x81\xff\x7f" + b"\xff" * 7 + b"\x00" * 4, 1009),  # eight exbibytes are announced
    ],
)
async def test_a_broken_frame_ends_the_connection(live_url: str, frame: bytes, code: int) -> None:
    async with await Wire.open(int(live_url.rpartition(":")[2])) as wire:
        await wire.send(UPGRADE)
        status, headers, _ = await wire.answer()
        assert status == 101
        assert "sec-websocket-extensions" not in headers
        await wire.send(frame)
        rest = await wire.rest()

    assert rest[0] == 0x88, "a close frame"
    assert int.from_bytes(rest[2:4], "big") == code


async def test_compression_is_not_agreed_to(live_url: str) -> None:
    async with await Wire.open(int(live_url.rpartition(":")[2])) as wire:
        await wire.send(UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
        status, headers, _ = await wire.answer()

    assert status == 101
    assert "sec-websocket-extensions" not in headers


@pytest.mark.parametrize("headers", [b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b""])
async def test_what_is_no_upgrade_gets_an_answer_in_http(live_url: str, headers: bytes) -> None:
    async with await Wire.open(int(live_url.rpartition(":")[2])) as wire:
        await wire.send(b"GET /api/v1/ws HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n")
        status, _, _ = await wire.answer()

    assert 400 <= status < 500


async def test_a_listener_who_hangs_up_leaves_nothing_behind(live_url: str, grace: Person) -> None:
    async def come_and_go() -> None:
        async with listening(live_url, grace.token, "me", f"workspace:{grace.id}") as live:
            live.socket.transport.abort()

    await asyncio.gather(*(come_and_go() for _ in range(10)))
    async with listening(live_url, grace.token, f"workspace:{grace.id}") as live:
        await grace.open_task()
        assert (await first_event(live))["type"] == "task.created"


async def first_event(live: Listener) -> Json:
    event: Json = (await live.event())["event"]
    return event


async def test_a_wire_whose_peer_is_gone_swallows_what_is_written_and_ends_whoever_takes_it_over() -> None:
    async def scenario() -> None:
        house = house_in_memory()
        async with served(house) as url, client(url) as http, listening(url) as live:
            ada = await sign_up(http)
            await live.connect(ada.token)
            (connection,) = house.live()._connections
            wire = connection.wire
            assert isinstance(wire, LiveProtocol)
            wire.transport.abort()
            connection.write(b"while it closes")
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not connection.is_closed:
                    await asyncio.sleep(0)
            connection.write(b"once it is closed")
            late = house.live().begin(wire, None)
            wire.take_over(late)
            assert late.is_closed
            assert len(house.live()) == 0

    # On the loop that servers run on: its transports refuse what those of asyncio put up with.
    await asyncio.to_thread(uvloop.run, scenario())
