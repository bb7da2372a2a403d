"""Listeners who never read cost a bounded amount of memory, are cut, come back where they were, and harm nobody."""

import asyncio
import resource
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle, islice
from time import monotonic

import psutil
import pytest

from entrypoints.client import Client
from tests.support.clients import Person, client, listening, until
from tests.support.exposition import Samples
from tests.support.inside import inside
from tests.support.server import ServerProcess
from tests.support.unread import PONG, narrow, unread_socket

STALLED = 1_000
PER_ACCOUNT = 10
READERS = 4
WRITES = 80
DESCRIPTION = "x" * 8_000
BACKLOG_MAX_BYTES = 1024 * 1024
# More would be a queue for each of them: what waits for all of them is kept once.
GROWTH_MAX_BYTES = 64 * 1024 * 1024
ARRIVAL_SECONDS = 2.0
CUT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def heard(url: str, token: str, channel: str, arrivals: dict[str, float]) -> None:
    """Follow the channel for ever, and note when each task came."""
    async with Client(url, lambda: asyncio.sleep(0, token)) as live:
        async for frame in live.subscribe(channel):
            if frame["type"] == "event":
                arrivals[frame["event"]["resource"]["id"]] = monotonic()


async def test_a_thousand_who_never_read_are_cut_within_their_bounds_and_others_hear_everything_in_time(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str]
) -> None:
    database_url = new_database()
    server = await asyncio.to_thread(start_server, database_url, RATE_LIMIT_ENABLED="false")
    process = psutil.Process(server.pid)
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(inside(database_url))
        http = await stack.enter_async_context(client(server.base_url))
        team, _, tokens = await house.team(STALLED // PER_ACCOUNT + 2)
        *slow, reader, writer = tokens
        channel, ada = f"workspace:{team}", Person(http, "", "", writer, "")

        arrivals: list[dict[str, float]] = [{} for _ in range(READERS)]
        following = asyncio.gather(*(heard(server.base_url, reader, channel, mine) for mine in arrivals))
        stack.callback(following.cancel)
        crowd = [await unread_socket(server.port, token, channel) for token in islice(cycle(slow), STALLED)]
        for peer in crowd:
            stack.callback(peer.close)
        witness = await stack.enter_async_context(
            listening(server.base_url, sock=await narrow(server.port), ping_interval=None, max_queue=1)
        )
        met = await witness.connect(writer, channel)

        await witness.send({"type": "pong"})
        for peer in crowd:
            peer.send(PONG)  # or it would be cut for its silence on a slow machine
        before = most = process.memory_info().rss
        answered: dict[str, float] = {}
        for number in range(WRITES):
            task = await ada.open_task(str(number), workspace_id=str(team), description=DESCRIPTION)
            answered[task["id"]] = monotonic()

        async def are_cut(many: int) -> bool:
            nonlocal most
            most = max(most, process.memory_info().rss)
            found = Samples((await http.get("/metrics")).text)
            assert found("signalbox_ws_send_queue_largest_bytes") < BACKLOG_MAX_BYTES
            return found("signalbox_ws_closed_total", code="4100", by="server") == many

        await until(partial(are_cut, STALLED + 1), CUT_SECONDS)
        assert await witness.closed() == 4100
        assert most - before < GROWTH_MAX_BYTES
        assert all(mine.keys() == answered.keys() for mine in arrivals)
        assert max(at - answered[id] for mine in arrivals for id, at in mine.items()) < ARRIVAL_SECONDS

        offset = met["channels"][channel]["offset"]
        async with listening(server.base_url) as back:
            await back.connect(writer, channel, resume={channel: offset}, epoch=met["epoch"])
            resumed = [(await back.event())["offset"] for _ in answered]
        assert resumed == list(range(offset + 1, offset + 1 + WRITES))
