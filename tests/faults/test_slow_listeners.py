"""Listeners who never read cost a bounded amount of memory, are cut, come back where they were, and harm nobody."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import cycle, islice
from time import monotonic

import psutil
import pytest
from msgspec.structs import replace

from domain.access import Role
from entrypoints.client import Client
from entrypoints.container import Container, offline
from tests.support.builders import a_team, an_account, principal
from tests.support.clients import API, Person, client, listening, until
from tests.support.exposition import Samples
from tests.support.server import JWT_SECRET, ServerProcess

STALLED = 1_000
PER_ACCOUNT = 10
READERS = 4
WRITES = 80
DESCRIPTION = "x" * 8_000
BACKLOG_MAX_BYTES = 1024 * 1024
# More would be a queue for each of them: what waits for all of them is kept once.
GROWTH_MAX_BYTES = 64 * 1024 * 1024
MASK = bytes(4)
PONG = b"\x81\x8f" + MASK + b'{"type":"pong"}'
ARRIVAL_SECONDS = 2.0
CUT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class House:
    """The same installation from within, where people come into being without a password."""

    def __init__(self, container: Container) -> None:
        self.work, self.clock, self.ids = container.work(), container.clock(), container.ids()
        self._tokens = container.tokens()

    async def team(self, members: int) -> tuple[str, list[str]]:
        """The id of a new workspace, and a token of each of its members."""
        people = [await an_account(self, f"P{number}") for number in range(members)]
        team = await a_team(self, people[0].id, {person.id: Role.MEMBER for person in people[1:]})
        return str(team.id), [self._tokens.issue(principal(person), self.clock.now()) for person in people]


@asynccontextmanager
async def inside(database_url: str) -> AsyncIterator[House]:
    container = Container(settings=replace(offline(), database_url=database_url, jwt_secret=JWT_SECRET))
    async with AsyncExitStack() as stack:
        for database in (container.database(), container.numbers_database()):
            await database.open()
            stack.push_async_callback(database.close)
        yield House(container)


async def narrow(port: int) -> socket.socket:
    """A connection on whose way nothing but the server has room for what is not read."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)  # that of loopback lets the kernel take megabytes
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
    return peer


async def stalled(port: int, token: str, channel: str) -> socket.socket:
    """A connection that follows the channel, and from then on reads no more."""
    loop, peer = asyncio.get_running_loop(), await narrow(port)
    head = [f"GET {API}/ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", ""]
    opening = json.dumps({"type": "connect", "id": 1, "token": token, "subscribe": [channel]}).encode()
    frame = b"\x81\xfe" + len(opening).to_bytes(2, "big") + MASK + opening
    for data, answer in (("\r\n".join(head).encode(), b"\r\n\r\n"), (frame, b'"offset"')):
        await loop.sock_sendall(peer, data)
        said = b""
        while answer not in said:
            piece = await loop.sock_recv(peer, 4_096)
            assert piece, said
            said += piece
    return peer


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
        team, tokens = await house.team(STALLED // PER_ACCOUNT + 2)
        *slow, reader, writer = tokens
        channel, ada = f"workspace:{team}", Person(http, "", "", writer, "")

        arrivals: list[dict[str, float]] = [{} for _ in range(READERS)]
        following = asyncio.gather(*(heard(server.base_url, reader, channel, mine) for mine in arrivals))
        stack.callback(following.cancel)
        crowd = [await stalled(server.port, token, channel) for token in islice(cycle(slow), STALLED)]
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
            task = await ada.open_task(str(number), workspace_id=team, description=DESCRIPTION)
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
