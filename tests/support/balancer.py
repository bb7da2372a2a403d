"""What stands in front of several servers: it sends each new connection to one that is ready."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.support.clients import client, until
from tests.support.server import ServerProcess
from tests.support.services import free_port

ASK_SECONDS = 0.2
PIECE = 65_536


class Balancer:
    """Passes bytes on; which servers are ready it asks them, as a balancer does, now and then."""

    def __init__(self, servers: Sequence[ServerProcess]) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.ready: list[ServerProcess] = []
        self._servers = servers
        self._turns = itertools.count()

    async def ask(self) -> None:
        """Keep asking, until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            asked = [(each, await stack.enter_async_context(client(each.base_url))) for each in self._servers]
            while True:
                ready = []
                for server, http in asked:
                    with contextlib.suppress(Exception):
                        if (await http.get("/ready", headers={"Connection": "close"})).status_code == 200:
                            ready.append(server)
                self.ready = ready
                await asyncio.sleep(ASK_SECONDS)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end; while no server is ready it waits."""
        try:
            while True:
                if self.ready:
                    server = self.ready[next(self._turns) % len(self.ready)]
                    with contextlib.suppress(ConnectionRefusedError):
                        back, forth = await asyncio.open_connection("127.0.0.1", server.port)
                        break
                await asyncio.sleep(ASK_SECONDS)
            try:
                await asyncio.gather(_pass(reader, forth), _pass(back, writer))
            finally:
                forth.close()
        finally:
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def balancing(servers: Sequence[ServerProcess]) -> AsyncIterator[Balancer]:
    """A balancer before these servers, which may come and go."""
    balancer = Balancer(servers)
    listening = await asyncio.start_server(balancer.take, "127.0.0.1", balancer.port)
    asking = asyncio.create_task(balancer.ask())
    try:
        await until(lambda: len(balancer.ready) == len(servers))
        yield balancer
    finally:
        asking.cancel()
        listening.close()
        await asyncio.gather(asking, return_exceptions=True)
