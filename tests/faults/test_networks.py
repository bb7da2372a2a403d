"""Networks from which somebody vanishes without a word, or that lose packets, between hosts of their own."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

from tests.support.clients import Listener, client, listening, sign_up, until
from tests.support.exposition import Samples
from tests.support.island import Island
from tests.support.load import under_load
from tests.support.postgres_proxy import PostgresProxy
from tests.support.server import ServerProcess

# A command that PostgreSQL does not answer is given up after 8 s, and under a key its undoing after 2 more.
PATIENCE_SECONDS = 14.0
# TCP asks again after pauses that grow, as long as the network was away.
RECOVERY_SECONDS = 15.0
SILENCE_SECONDS = 60.0
# Then ten seconds in which it could come back, and what a slow machine takes.
NOTICED_SECONDS = 90.0
# First a command that is given up, then a connection.
GIVEN_UP_SECONDS = 30.0
REFUSALS = 200
LOST_PACKETS = 10


@pytest.fixture
def island() -> Iterator[Island]:
    with Island() as island:
        yield island


@pytest.fixture
def far_away(
    island: Island, new_database: Callable[[], str], start_server: Callable[..., ServerProcess]
) -> Iterator[ServerProcess]:
    """A server whose PostgreSQL is on the island."""
    door = island.new_socket()
    door.bind((island.address, 0))
    with PostgresProxy(new_database(), door) as proxy:
        server = start_server(proxy.url, RATE_LIMIT_ENABLED="false")
        yield server
        server.stop()


async def test_a_postgresql_that_vanishes_from_the_network_is_missed_once_and_then_nobody_waits(
    far_away: ServerProcess, island: Island, tmp_path: Path
) -> None:
    async def is_given_up() -> bool:
        async with client(far_away.base_url) as http:
            samples = Samples((await http.get("/metrics")).text)
        return samples("signalbox_breaker_state", service="postgresql") > 0

    async with under_load(
        [far_away.base_url], tmp_path, recovery_seconds=RECOVERY_SECONDS, patience_seconds=PATIENCE_SECONDS
    ) as load:
        await load.more()
        with load.history.outage("vanished"):
            island.vanish()
            await until(is_given_up, GIVEN_UP_SECONDS)
            await load.refusals(REFUSALS)  # which would take minutes if each of them waited
            island.come_back()
            await load.more()
        await load.more()


async def test_a_listener_who_vanishes_from_the_network_is_closed_after_a_minute_and_shown_as_lost(
    island: Island, new_database: Callable[[], str], start_server: Callable[..., ServerProcess]
) -> None:
    server = start_server(new_database(), RATE_LIMIT_ENABLED="false", HOST="0.0.0.0")
    async with client(server.base_url) as http, AsyncExitStack() as stack:
        ada, eve = await sign_up(http, "Ada"), await sign_up(http, "Eve")
        team = await ada.create_team()
        await ada.admit(eve, team["id"])
        channel = f"presence:workspace:{team['id']}"
        watching = await stack.enter_async_context(listening(server.base_url, ada.token))
        await watching.call("subscribe", channel=channel)
        peer = island.connected(server.port)
        stack.callback(peer.close)
        vanishing = await stack.enter_async_context(listening(server.base_url, eve.token, sock=peer, close_timeout=0))
        await vanishing.call("presence", channel=channel)
        assert (await watching.frame("presence"))["joined"] == [eve.id]

        island.vanish()
        began = monotonic()
        left = await asyncio.wait_for(shown_as_left(watching), NOTICED_SECONDS)
        assert left == [{"account_id": eve.id, "why": "lost"}]
        assert monotonic() - began > SILENCE_SECONDS - 25  # counted from the last word, which may have been a ping ago
        samples = Samples((await http.get("/metrics")).text)
        assert samples("signalbox_ws_closed_total", code="4103", by="server") == 1
    server.stop()


async def shown_as_left(watching: Listener) -> object:
    """Who left, heard by somebody who answers each ping meanwhile."""
    while True:
        frame = json.loads(await watching.socket.recv())
        if frame["type"] == "ping":
            await watching.send({"type": "pong"})
        elif frame["type"] == "presence" and frame["left"]:
            return frame["left"]


async def test_packets_that_are_lost_on_the_way_to_postgresql_are_seen_by_nobody(
    far_away: ServerProcess, island: Island, tmp_path: Path
) -> None:
    async with under_load([far_away.base_url], tmp_path) as load:
        await load.more()
        island.lose_packets()
        await load.more(200)
    assert island.lost() > LOST_PACKETS
    assert load.history.refused == 0


async def test_a_listener_behind_a_network_that_loses_packets_hears_everything_in_order(
    island: Island, new_database: Callable[[], str], start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = start_server(new_database(), RATE_LIMIT_ENABLED="false", HOST="0.0.0.0")
    async with under_load([server.base_url], tmp_path) as load:
        await load.more()
        async with listening(server.base_url, sock=island.connected(server.port)) as live:
            connected = await live.connect(load.ada.token, load.channel)
            island.lose_packets()
            await load.more(200)
            position = connected["channels"][load.channel]["offset"]
            heard = [(await live.event())["offset"] for _ in range(200)]
    assert heard == list(range(position + 1, position + 201))
    assert island.lost() > LOST_PACKETS
