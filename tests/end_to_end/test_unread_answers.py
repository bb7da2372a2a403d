"""Whoever asks and does not listen costs little, and not for long."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.end_to_end.test_wire import GET, responses
from tests.support.clients import Wire, client, done, until
from tests.support.server import ServerProcess

MIB = 1024 * 1024
# Of the largest answer that anybody gets; together they are more than the kernel takes on behalf of a peer.
LARGE = b"GET /api/docs/swagger_bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE_SECONDS = 0.7


@pytest.fixture
def server(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server(REQUEST_DEADLINE_SECONDS=str(PATIENCE_SECONDS))


@contextlib.contextmanager
def deaf(port: int) -> Iterator[socket.socket]:
    """A connection with little room for what it does not read."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", port))
        yield connection


def holds(server: ServerProcess, peer: socket.socket) -> bool:
    """Whether the server has not given up this connection."""
    own = peer.getsockname()[1]
    return own in {getattr(there.raddr, "port", 0) for there in psutil.Process(server.pid).net_connections("tcp")}


@pytest.mark.parametrize("ending", [b"", GET + b"Connection: close\r\n\r\n", b"NONSENSE\r\n\r\n"])
async def test_who_takes_nothing_of_an_answer_is_cut_off(server: ServerProcess, ending: bytes) -> None:
    with deaf(server.port) as peer:
        peer.sendall(LARGE * 8 + ending)
        peer.settimeout(30)
        assert await asyncio.to_thread(peer.recv, 1)  # the first answer is on its way, and no more of it is taken
        await until(lambda: not holds(server, peer))


async def test_many_requests_at_once_take_no_more_than_one(shared_server: ServerProcess) -> None:
    process = psutil.Process(shared_server.pid)
    before = most = process.memory_info().rss
    crowd = (GET + b"\r\n") * (248_000 // len(GET + b"\r\n"))
    async with contextlib.AsyncExitStack() as held, client(shared_server.base_url) as http:
        for _ in range(20):
            await (await held.enter_async_context(await Wire.open(shared_server.port))).send(crowd)
        for _ in range(100):
            done(await http.get("/live"))
            most = max(most, process.memory_info().rss)

    assert most - before < 60 * MIB


async def test_many_requests_at_once_are_all_answered(shared_server: ServerProcess) -> None:
    async with await Wire.open(shared_server.port) as wire:
        await wire.send((GET + b"\r\n") * 1_000 + GET + b"Connection: close\r\n\r\n")

        assert responses(await wire.rest()) == [200] * 1_001
