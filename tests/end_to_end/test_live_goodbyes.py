"""A live connection that ends is gone within its deadline, whatever its peer does, and counts until it is."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from time import monotonic

import httpx
import psutil
import pytest

from entrypoints.websocket.protocol import CLOSE_SECONDS
from tests.support.clients import API, Person, client, done, listening, log_in, sign_up, until
from tests.support.exposition import Samples
from tests.support.raw_live import GOODBYE, MASK, PING, connected
from tests.support.server import ServerProcess

# Far more than waits for each of them, in the server or on its way, when it reads nothing.
TASKS = 75
DESCRIPTION = "x" * 8_000
ROOM = 4_096
MOST = 10


def half_close(peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)


def say_goodbye(peer: socket.socket) -> None:
    peer.sendall(GOODBYE)


def break_off_a_message(peer: socket.socket) -> None:
    peer.sendall(b"\x00\x80" + MASK)


def say_nonsense(peer: socket.socket) -> None:
    peer.sendall(b"\x81\x82" + MASK + b"\xff\xfe")


def flood(peer: socket.socket) -> None:
    peer.sendall(PING * 1_000)


async def test_who_reads_nothing_is_gone_within_the_deadline_and_counts_until_then(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = await asyncio.to_thread(start_server)
    process = psutil.Process(server.pid)
    async with client(server.base_url) as http:
        with ExitStack() as stack:
            ada = await sign_up(http)
            other = await log_in(http, ada.email)
            files = process.num_fds()
            crowd = await crowded(server, stack, [ada] * (MOST - 3) + [other] * 3)
            await overwhelm(ada)
            began = monotonic()
            ways = (say_goodbye, half_close, break_off_a_message, say_nonsense, flood, say_goodbye, half_close)
            for peer, end in zip(crowd, ways, strict=False):
                end(peer)
            done(await ada.delete(f"/auth/sessions/{await session_of(other)}"))
            going_on = asyncio.create_task(go_on(crowd[-1]))
            say_goodbye(crowd[-2])
            async with AsyncExitStack() as others:
                together = [others.enter_async_context(listening(server.base_url, ada.token)) for _ in range(MOST)]
                await asyncio.gather(*together)
                async with listening(server.base_url) as late:
                    await late.send({"type": "connect", "id": 1, "token": ada.token})
                    refusal = asyncio.create_task(late.closed())
                    await asyncio.wait([refusal], timeout=CLOSE_SECONDS)
                    # Unless this took so long that the first of them were due.
                    assert (refusal.done() and await refusal == 4105) or monotonic() - began > CLOSE_SECONDS
                    refusal.cancel()
            assert await live(http) == MOST or monotonic() - began > CLOSE_SECONDS

            async def is_over() -> bool:
                return await live(http) == 0

            await until(is_over, 3 * CLOSE_SECONDS)
            assert monotonic() - began > CLOSE_SECONDS / 2
            await until(lambda: process.num_fds() <= files)
            going_on.cancel()
        async with listening(server.base_url, ada.token, "me"):
            assert await live(http) == 1


async def test_who_takes_the_goodbye_and_never_answers_is_gone_within_the_deadline(
    shared_server: ServerProcess,
) -> None:
    async with client(shared_server.base_url) as http:
        ada = await sign_up(http)
        peer = await asyncio.to_thread(connected, shared_server.port, ada.token)
        with peer:
            began = monotonic()
            done(await http.post(f"{API}/auth/logout-all", headers=ada.authorization))
            peer.settimeout(3 * CLOSE_SECONDS)
            said = await asyncio.to_thread(until_the_end, peer)
    assert said == b"\x88\x0f" + (4004).to_bytes(2, "big") + b"session_ended"
    assert CLOSE_SECONDS - 1 < monotonic() - began < 3 * CLOSE_SECONDS


@pytest.mark.parametrize("frames", [b"", PING * 50, PING * 99])
async def test_who_answers_the_goodbye_is_gone_at_once_also_behind_what_was_on_its_way(
    shared_server: ServerProcess, frames: bytes
) -> None:
    async with client(shared_server.base_url) as http:
        ada = await sign_up(http)
        with await asyncio.to_thread(connected, shared_server.port, ada.token) as peer:
            done(await http.post(f"{API}/auth/logout-all", headers=ada.authorization))
            assert (await asyncio.to_thread(peer.recv, 100))[:1] == b"\x88"
            peer.sendall(frames + GOODBYE)
            peer.settimeout(CLOSE_SECONDS / 2)
            assert await asyncio.to_thread(peer.recv, 100) == b""


async def crowded(server: ServerProcess, stack: ExitStack, people: list[Person]) -> list[socket.socket]:
    """Live connections that follow their people's workspaces, and will read nothing."""
    crowd = []
    for person in people:
        peer = await asyncio.to_thread(connected, server.port, person.token, f"workspace:{person.id}", room=ROOM)
        crowd.append(stack.enter_context(peer))
    return crowd


async def overwhelm(person: Person) -> None:
    """Tell their followers more than fits into what lies between."""
    task = {"title": "long", "description": DESCRIPTION}
    done(await person.post("/tasks/bulk", {"operations": [{"op": "create", "task": task}] * TASKS}))

    async def is_seen() -> bool:
        return Samples((await person.http.get("/metrics")).text)("signalbox_ws_congested") == MOST

    await until(is_seen)


async def session_of(person: Person) -> str:
    (mine,) = [each for each in done(await person.get("/auth/sessions"))["data"] if each["current"]]
    return str(mine["id"])


async def go_on(peer: socket.socket) -> None:
    """Say something again and again, however that is taken."""
    with suppress(OSError):
        while True:
            peer.sendall(PING)
            await asyncio.sleep(0.2)


async def live(http: httpx.AsyncClient) -> float:
    """How many live connections the server says that it has."""
    return Samples((await http.get("/metrics")).text)("signalbox_ws_connections")


def until_the_end(peer: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionError):
        while piece := peer.recv(4_096):
            said += piece
    return said
