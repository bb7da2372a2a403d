"""Each counter of the exposition counts what it says: who came in and who did not, what was repeated, what went out."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from dependency_injector import providers
from websockets.exceptions import InvalidStatus

from adapters.memory.events import MemoryBroker
from adapters.memory.system import MovableClock
from tests.http.house import served, visited, watched_house
from tests.support.clients import (
    API,
    Person,
    client,
    done,
    following,
    listening,
    log_in,
    refresh_cookie,
    sign_up,
    until,
)
from tests.support.exposition import Samples
from tests.support.faulty_broker import Fate, FaultyBroker, WatchedJournal, dealing

REFRESH = f"{API}/auth/refresh"


async def read(http: httpx.AsyncClient) -> Samples:
    return Samples((await http.get("/metrics")).text)


async def refresh(http: httpx.AsyncClient, cookie: str, **headers: str) -> httpx.Response:
    trusted = {"Cookie": f"__Host-refresh={cookie}", "X-Requested-With": "test"}
    return await http.post(REFRESH, headers=trusted | headers)


async def test_logins_are_counted_by_how_they_end() -> None:
    async with visited(watched_house()) as http:
        ada = await sign_up(http)
        await log_in(http, ada.email)
        for email in (ada.email, "nobody@example.org"):
            await http.post(f"{API}/auth/login", json={"email": email, "password": "a wrong guess"})
        found = await read(http)
    assert found.by("signalbox_logins_total") == {("ok",): 1, ("refused",): 2}


async def test_refreshes_are_counted_by_which_token_was_used() -> None:
    async with visited(watched_house()) as http:
        ada = await sign_up(http)
        done(await refresh(http, ada.cookie))
        again = await refresh(http, ada.cookie)
        done(await refresh(http, refresh_cookie(again)))
        assert (await refresh(http, ada.cookie)).status_code == 401
        assert (await refresh(http, ada.cookie)).status_code == 401
        assert (await refresh(http, "nonsense")).status_code == 401
        found = await read(http)
    assert found.by("signalbox_refreshes_total") == {("ok",): 2, ("grace",): 1, ("reuse",): 1, ("expired",): 2}


async def test_tokens_that_are_no_good_are_counted_by_reason() -> None:
    house = watched_house()
    clock: MovableClock = house.clock()  # type: ignore[assignment]
    async with visited(house) as http:
        ada, bob = await sign_up(http), await sign_up(http, "Bob")
        done(await bob.post("/auth/logout-all"))
        assert (await bob.get("/me")).status_code == 401
        assert (await http.get(f"{API}/me", headers={"Authorization": "Bearer x"})).status_code == 401
        assert (await ada.get("/me")).status_code == 200
        clock.advance(timedelta(minutes=16))
        assert (await ada.get("/me")).status_code == 401
        assert (await http.get(f"{API}/me")).status_code == 401  # there was no token to reject
        found = await read(http)
    assert found.by("signalbox_token_rejected_total") == {
        ("session_ended",): 1, ("token_invalid",): 1, ("token_expired",): 1
    }  # fmt: skip


async def test_what_somebody_lacks_the_right_to_is_counted() -> None:
    async with visited(watched_house()) as http:
        ada = await sign_up(http)
        assert (await ada.get("/me")).status_code == 200
        assert (await ada.http.get("/stats", headers=ada.authorization)).status_code == 403
        found = await read(http)
    assert found.by("signalbox_denied_total") == {("request",): 1}
    assert found.by("signalbox_origin_rejected_total") == {}


async def test_refusals_by_a_limit_are_counted_by_its_policy() -> None:
    async with visited(watched_house(rate_limit_enabled=True, rate_limit_max_requests=2)) as http:
        ada = await sign_up(http)
        for _ in range(3):
            await ada.get("/me")
        for _ in range(12):
            await http.post(f"{API}/auth/login", json={"email": "eve@example.org", "password": "a wrong guess"})
        found = await read(http)
    limited = found.by("signalbox_rate_limited_total")
    assert limited["request",] >= 1
    assert set(limited) <= {("request",), ("login_account",)}


async def test_pages_of_foreign_sites_are_counted_by_the_way_they_came() -> None:
    evil = {"Origin": "https://evil.example"}
    async with served(watched_house()) as url, client(url) as http:
        ada = await sign_up(http)
        assert (await refresh(http, ada.cookie, **evil)).status_code == 403
        asks = evil | {"Access-Control-Request-Method": "GET"}
        assert (await http.options(f"{API}/me", headers=asks)).status_code == 204
        with pytest.raises(InvalidStatus):
            async with listening(url, origin="https://evil.example"):
                pass
        found = await read(http)
    assert found.by("signalbox_origin_rejected_total") == {("cookie",): 1, ("preflight",): 1, ("upgrade",): 1}
    assert found.by("signalbox_denied_total") == {}
    assert found.by("signalbox_ws_opened_total") == {("403",): 1}


async def test_answers_that_are_given_again_are_counted() -> None:
    async with served(watched_house()) as url, client(url) as http:
        ada = await sign_up(http)
        for _ in range(3):
            done(await ada.post("/tasks", {"title": "Once"}, headers={"Idempotency-Key": "a"}))
        async with listening(url, ada.token) as live:
            for _ in range(2):
                reply = await live.call("call", method="task.create", params={"title": "Again"}, key="b")
                assert reply["type"] == "reply"
        found = await read(http)
    assert found.by("signalbox_idempotent_replays_total") == {("request",): 2, ("call",): 1}


@pytest.mark.parametrize(
    ("how", "ended"),
    [
        ("goodbye", ("peer", "")),
        ("gone", ("network", "")),
        ("nonsense", ("server", "4001")),
        ("no token", ("server", "4003")),
        ("logged out", ("server", "4004")),
        ("too large", ("server", "1009")),
        ("not UTF-8", ("server", "1007")),
    ],
)
async def test_connections_are_counted_by_who_ends_them_and_with_which_code(how: str, ended: tuple[str, str]) -> None:
    async with served(watched_house()) as url, client(url) as http:
        ada = await sign_up(http)
        async with listening(url) as live:
            if how in {"goodbye", "gone", "logged out", "too large", "not UTF-8"}:
                await live.connect(ada.token)
            await _end(how, live.socket, ada)

            async def is_told() -> bool:
                return bool((await read(http)).by("signalbox_ws_closed_total"))

            await until(is_told)
            found = await read(http)
    assert found.by("signalbox_ws_closed_total") == {ended: 1}
    assert found.by("signalbox_ws_opened_total") == {("101",): 1}
    assert found("signalbox_ws_connection_duration_seconds_count") == 1


async def _end(how: str, socket: Any, person: Person) -> None:
    match how:
        case "goodbye":
            await socket.close()
        case "gone":
            socket.transport.abort()
        case "nonsense":
            await socket.send("{}")
        case "no token":
            await socket.send('{"type":"connect","id":1}')
        case "logged out":
            done(await person.post("/auth/logout-all"))
        case "too large":
            await socket.send("x" * 70_000)
        case "not UTF-8":
            await socket.send(b"\xff", text=True)


async def test_what_goes_over_live_connections_is_counted_by_direction() -> None:
    async with served(watched_house()) as url, client(url) as http:
        ada = await sign_up(http)
        async with listening(url) as live, listening(url) as other:
            for each in (live, other):
                await each.connect(ada.token, f"workspace:{ada.id}", f"typing:workspace:{ada.id}")
            task = await ada.open_task()
            for each in (live, other):
                await each.event()
                await each.call("subscribe", channel=f"task:{task['id']}")
            await live.call("publish", channel=f"typing:workspace:{ada.id}", data={"at": 1})
            await other.frame("value")
            found = await read(http)
            assert found("signalbox_ws_connections") == 2
            assert found("signalbox_streams_followed") == 1
            assert found("signalbox_commit_to_send_seconds_count") == 1
            assert found("signalbox_ws_command_duration_seconds_count", command="connect", outcome="ok") == 2
    assert found.by("signalbox_ws_messages_total") == {
        ("in", "command"): 5, ("out", "answer"): 5, ("out", "event"): 2, ("out", "signal"): 2
    }  # fmt: skip
    sizes = found.by("signalbox_ws_bytes_total")
    assert set(sizes) == set(found.by("signalbox_ws_messages_total"))
    assert sizes["out", "event"] > 2 * 200
    assert 5 * 20 < sizes["in", "command"] < 5 * 1_000


async def test_who_follows_one_thing_is_counted_for_it_alone() -> None:
    async with served(watched_house()) as url, client(url) as http:
        ada = await sign_up(http)
        one, two = await ada.open_task("One"), await ada.open_task("Two")
        async with listening(url, ada.token, f"task:{one['id']}") as live, listening(url, ada.token, "me"):
            for task in (one, two, one):
                done(await ada.patch(f"/tasks/{task['id']}", {"title": "Changed " + task["title"] + task["id"]}))
            done(await ada.patch(f"/tasks/{one['id']}", {"title": "Last"}))
            while (await live.event())["event"]["changes"]["title"][1] != "Last":
                pass
            found = await read(http)
    assert found("signalbox_ws_messages_total", direction="out", type="event") == 2


async def test_resumed_channels_and_event_streams_are_counted_with_what_became_of_their_position() -> None:
    async with served(watched_house()) as url, client(url) as http:
        ada = await sign_up(http)
        channel = f"workspace:{ada.id}"
        async with listening(url) as live:
            await live.connect(ada.token, channel, resume={channel: 1}, epoch="another")
            await live.call("unsubscribe", channel=channel)
            await live.call("subscribe", channel=channel, since=99)
            await live.call("unsubscribe", channel=channel)
            await live.call("subscribe", channel=channel, since=1)
        for since in (1, 99):
            async with following(ada, channel, since):
                pass
        found = await read(http)
    assert found.by("signalbox_resumes_total") == {("epoch",): 1, ("offset",): 2, ("recovered",): 2}


async def test_what_is_committed_and_not_sent_is_seen_with_its_age() -> None:
    """The hints are lost, and the journal says how far it is, but not what is in it."""
    is_readable = asyncio.Event()

    async def at(moment: str) -> None:
        if moment == "before read" and not is_readable.is_set():
            await is_readable.wait()

    house = watched_house()
    broker = FaultyBroker(MemoryBroker(), dealing([Fate.IS_LOST]))
    house.broker.override(providers.Object(broker))
    house.journal.override(providers.Object(WatchedJournal(house.journal(), at)))
    async with served(house) as url, client(url) as http:
        ada = await sign_up(http)
        async with listening(url, ada.token, f"workspace:{ada.id}") as live:
            await until(lambda: house.hub().lag == (0, 0.0))
            task = await ada.open_task()
            done(await ada.patch(f"/tasks/{task['id']}", {"title": "Another"}))
            await until(lambda: house.hub().lag[1] > 0.4)
            found = await read(http)
            assert found("signalbox_journal_lag_entries") == 2
            assert found("signalbox_journal_lag_seconds") > 0.4
            assert found("signalbox_position_checks_total", outcome="behind") >= 2
            is_readable.set()
            await live.event("task.updated")
            await until(lambda: house.hub().lag == (0, 0.0))
            found = await read(http)
    assert found("signalbox_position_checks_total", outcome="level") >= 1
    assert found.by("signalbox_gaps_total") == {("head",): 1}


async def test_passwords_that_wait_are_seen() -> None:
    house = watched_house()
    async with visited(house) as http:
        hashing = [asyncio.create_task(house.hasher().hash("correct horse battery")) for _ in range(5)]
        await asyncio.sleep(0)
        assert (await read(http))("signalbox_hash_pool_queue") >= 1
        await asyncio.gather(*hashing)
        assert (await read(http))("signalbox_hash_pool_queue") == 0


async def test_a_server_that_drains_says_so() -> None:
    house = watched_house()
    async with visited(house) as http:
        await house.live().drain(0)
        assert (await http.get("/ready")).status_code == 503
        found = await read(http)
    assert found("signalbox_draining") == 1
    assert found("signalbox_ready") == 0
