"""How a connection ends: with a peer that is slow or takes nothing, and with a server that stops listening."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from time import monotonic
from typing import Any

import msgspec
import pytest

from entrypoints.container import offline
from tests.http.house import serving
from tests.support.clients import until
from tests.support.promised import stretched

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
GUESTS = 20
# More than the kernel takes on behalf of a peer.
LARGE = 64_000_000
IMPATIENT = msgspec.structs.replace(offline(), request_deadline_seconds=0.3)
# Long enough that a stall of this machine is not taken for one of the peer.
PATIENT = msgspec.structs.replace(offline(), request_deadline_seconds=2.0)


async def small(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def large(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
    await send({"type": "http.response.body", "body": b"x" * LARGE})


def noted(app: Any) -> tuple[Any, asyncio.Event]:
    """An application, and whether it was asked: its connection may have come and gone before somebody looks."""
    was_asked = asyncio.Event()

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        was_asked.set()
        await app(scope, receive, send)

    return noting, was_asked


@contextlib.contextmanager
def guests(port: int) -> Iterator[list[socket.socket]]:
    """Connections that the kernel has accepted; nothing of this process had a turn meanwhile."""
    with contextlib.ExitStack() as held:
        yield [held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(GUESTS)]


def answer(connection: socket.socket) -> bytes:
    """What comes until the end."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("is_early", [True, False], ids=["with a request", "whose request comes later"])
async def test_who_waits_to_be_accepted_when_the_server_stops_is_answered(is_early: bool) -> None:
    async with serving(small) as (server, port):
        with guests(port) as waiting:
            if is_early:
                for connection in waiting:
                    connection.sendall(GET)
            stopping = asyncio.create_task(server.shutdown())
            await until(lambda: not server.servers[0].is_serving())
            if not is_early:
                for connection in waiting:
                    connection.sendall(GET)
            await stopping
            told = [answer(connection) for connection in waiting]

    assert [one[:15] for one in told] == [b"HTTP/1.1 200 OK"] * GUESTS
    assert all(b"\r\nconnection: close\r\n" in one for one in told)


async def test_who_says_nothing_does_not_keep_a_server_from_stopping() -> None:
    async with serving(small) as (server, port):
        with guests(port) as silent:
            async with asyncio.timeout(stretched(5)):
                await server.shutdown()
            assert [answer(connection) for connection in silent] == [b""] * GUESTS


async def test_who_comes_when_a_server_has_begun_to_stop_is_refused_and_never_cut_off() -> None:
    loop = asyncio.get_running_loop()
    async with serving(small) as (server, port):
        stopping = asyncio.create_task(server.shutdown())
        await asyncio.sleep(0)
        assert server.servers[0].is_serving()
        with socket.socket() as late:
            late.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(late, ("127.0.0.1", port))
        await stopping


@pytest.mark.parametrize("request_", [GET, LAST], ids=["kept alive", "last"])
async def test_a_peer_that_takes_nothing_is_cut_off(request_: bytes) -> None:
    app, was_asked = noted(large)
    async with serving(app, IMPATIENT) as (server, port):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(request_)
            await until(was_asked.is_set)
            await until(lambda: not server.server_state.connections)


async def test_a_peer_that_takes_nothing_of_many_small_answers_is_cut_off() -> None:
    app, was_asked = noted(small)
    async with serving(app, IMPATIENT) as (server, port):
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            peer.connect(("127.0.0.1", port))
            peer.sendall(GET * 1_000)  # the kernel takes all of the answers
            await until(was_asked.is_set)
            await until(lambda: not server.server_state.connections)


async def test_a_peer_that_is_slow_gets_its_answer() -> None:
    loop, long = asyncio.get_running_loop(), 2 * PATIENT.request_deadline_seconds
    async with serving(large, PATIENT) as (_, port):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(LAST)
            peer.setblocking(False)
            began, heard = monotonic(), 0
            while piece := await loop.sock_recv(peer, LARGE // 100):
                heard += len(piece)
                if monotonic() - began < long:
                    await asyncio.sleep(long / 50)

    assert monotonic() - began > long
    assert heard > LARGE
