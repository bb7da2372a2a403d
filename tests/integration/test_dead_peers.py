"""A PostgreSQL that is gone without a word is noticed by the kernel, whichever event loop is used."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from adapters.memory.observer import MemoryObserver
from adapters.postgres.connection import KEEPALIVE
from adapters.postgres.database import Database
from tests.support.postgres_proxy import PostgresProxy


async def options(url: str) -> dict[str, int]:
    """What is set on the socket of a connection of a pool."""
    database = Database(url, 1, MemoryObserver())
    await database.open()
    try:
        async with database.connection() as connection:
            peer = connection._con._transport.get_extra_info("socket")
            found = {name: peer.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in KEEPALIVE}
            return found | {"SO_KEEPALIVE": peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}
    finally:
        await database.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
async def test_every_connection_is_kept_alive(
    new_database: Callable[[], str], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    def look(url: str) -> dict[str, int]:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(options(url))

    with PostgresProxy(new_database()) as proxy:
        found = await asyncio.to_thread(look, proxy.url)
    assert found == {**KEEPALIVE, "SO_KEEPALIVE": 1}
