"""The process that runs the worker's loops and serves no requests."""

import asyncio
import signal

import uvloop

from entrypoints.container import Container
from entrypoints.lifetimes import furnished
from entrypoints.probe import probed


def work(container: Container) -> None:
    """Run the loops of the worker until SIGTERM or SIGINT."""
    uvloop.run(_work(container))


async def _work(container: Container) -> None:
    settings = container.settings()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with (
        probed(settings.host, settings.probe_port, container.heart(), container.exposition()),
        furnished(container),
        container.running()(serves=False),
    ):
        await stopping.wait()
