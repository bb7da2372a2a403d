"""The client in JavaScript, driven in Node.js, keeps every promise of a client."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.end_to_end.client_promises import ClientPromises
from tests.end_to_end.drivers import Driver
from tests.support.clients import Json

SCRIPT = Path(__file__).parents[2] / "src/entrypoints/http/browser/client.js"
DRIVER = Path(__file__).with_name("driver.mjs")
# Node.js 20 knows WebSocket only when asked to; later versions take the option as a matter of course.
NODE_OPTIONS = ("--experimental-websocket", "--no-warnings")


class NodeDriver:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.heard: list[Json] = []
        self.process = process

    async def order(self, do: str, **fields: object) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        await self.process.stdin.drain()

    async def listen(self) -> None:
        assert self.process.stdout
        while line := await self.process.stdout.readline():
            self.heard.append(json.loads(line))


@asynccontextmanager
async def node_driver(url: str) -> AsyncIterator[Driver]:
    process = await asyncio.create_subprocess_exec(
        "node",
        *NODE_OPTIONS,
        str(DRIVER),
        str(SCRIPT),
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1024 * 1024,
    )
    driver = NodeDriver(process)
    listening = asyncio.create_task(driver.listen())
    try:
        yield driver
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await listening


class TestJavaScriptClient(ClientPromises):
    driving = staticmethod(node_driver)
