"""Whatever becomes of the processes that serve, others go on, and whoever repeats under a key gets one effect."""

import asyncio
from pathlib import Path

from tests.support.balancer import balancing
from tests.support.clients import until
from tests.support.load import under_load
from tests.support.server import ServerProcess

Servers = list[ServerProcess]
KILLS = 6
PAUSE_SECONDS = 12.0


async def test_killed_one_after_the_other_they_lose_nothing_and_do_nothing_twice(
    three: Servers, tmp_path: Path
) -> None:
    async with (
        balancing(three) as balancer,
        under_load([balancer.base_url], tmp_path, listeners=6, patience_seconds=10) as load,
    ):
        for number in range(KILLS):
            server = three[number % len(three)]
            await load.more()
            with load.history.outage(f"kill {number}"):
                server.kill()
                await load.more()
            await asyncio.to_thread(server.start)
            await until(lambda: len(balancer.ready) == len(three))
        await load.more()


async def test_killed_all_at_once_they_lose_nothing_and_do_nothing_twice(three: Servers, tmp_path: Path) -> None:
    async with (
        balancing(three) as balancer,
        under_load([balancer.base_url], tmp_path, listeners=6, patience_seconds=20) as load,
    ):
        await load.more()
        with load.history.outage("kill"):
            for server in three:
                server.kill()
            await asyncio.gather(*(asyncio.to_thread(server.start) for server in three))
            await until(lambda: len(balancer.ready) == len(three))
        await load.more()


async def test_one_that_stands_still_holds_up_those_who_are_on_it_and_nobody_else(
    three: Servers, tmp_path: Path
) -> None:
    urls = [server.base_url for server in three]
    async with under_load(urls, tmp_path, patience_seconds=PAUSE_SECONDS + 5) as load:
        await load.more()
        three[0].pause()
        try:
            await load.going_on(PAUSE_SECONDS)
        finally:
            three[0].resume()
        await load.more()
    assert load.history.refused == 0
