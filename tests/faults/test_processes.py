"""Whatever becomes of the processes that serve, others go on, and whoever repeats under a key gets one effect."""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from tests.support.balancer import balancing
from tests.support.clients import Wire, until
from tests.support.control_group import memory_limit
from tests.support.load import under_load
from tests.support.server import ServerProcess

Servers = list[ServerProcess]
KILLS = 6
PAUSE_SECONDS = 60.0
MEMORY_BYTES = 48 * 1024 * 1024
# Of a body that is within the bounds, all but the end.
UNFINISHED = b"POST /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + bytes(999_000)


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


async def test_one_that_the_kernel_ends_for_its_memory_is_missed_by_nobody_else(three: Servers, tmp_path: Path) -> None:
    async with (
        balancing(three) as balancer,
        under_load([balancer.base_url], tmp_path, listeners=6, patience_seconds=10) as load,
        AsyncExitStack() as stack,
    ):
        await load.more()
        stack.enter_context(memory_limit(three[0].pid, MEMORY_BYTES))
        with load.history.outage("memory"):
            while three[0].is_running():
                with suppress(ConnectionError):  # by now it may be about to end
                    wire = await stack.enter_async_context(await Wire.open(three[0].port))
                    await wire.send(UNFINISHED)
            await load.more()
        await asyncio.to_thread(three[0].restart)
        await until(lambda: len(balancer.ready) == len(three))
        await load.more()


async def test_one_that_stands_still_holds_up_those_who_are_on_it_and_nobody_else(
    three: Servers, tmp_path: Path
) -> None:
    async with (
        under_load([server.base_url for server in three[1:]], tmp_path) as others,
        under_load([three[0].base_url], tmp_path, recovery_seconds=10, patience_seconds=PAUSE_SECONDS) as load,
    ):
        await load.more()
        with load.history.outage("stopped"):
            three[0].pause()
            try:
                await others.going_on(PAUSE_SECONDS)
            finally:
                three[0].resume()
            await load.more()
        await load.more()
    assert others.history.refused == 0
