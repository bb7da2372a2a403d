"""A replay that nobody reads costs a bounded amount of memory, however large the events are that it consists of."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import psutil
import pytest_asyncio

from domain.ids import AccountId, WorkspaceId
from tests.support.clients import Person, client, following, listening
from tests.support.inside import Inside, inside
from tests.support.server import ServerProcess
from tests.support.unread import unread_event_stream, unread_socket

PEERS = 50
PER_ACCOUNT = 10
DESCRIPTION = "x" * 50_000
EVENTS = 300
LATER_EVENTS = 60
GROWTH_MAX_BYTES = 60 * 1024 * 1024
SETTLED_SECONDS = 2.0


class Installation:
    """A server whose stream holds 15 MB of events of 50 kB, and what its memory came to since they were written."""

    def __init__(
        self, server: ServerProcess, house: Inside, team: WorkspaceId, owner: AccountId, tokens: list[str]
    ) -> None:
        self.server = server
        self.house = house
        self.team = team
        self.owner = owner
        self.tokens = tokens
        self._memory = psutil.Process(server.pid)
        self.before = 0

    @property
    def channel(self) -> str:
        return f"workspace:{self.team}"

    def growth(self) -> int:
        return self._memory.memory_info().rss - self.before

    async def most_growth(self, begin: Callable[[str, int], Awaitable[socket.socket]]) -> int:
        """The most that memory grows by while so many begin, read nothing, and more is written meanwhile."""
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, self.growth())
                await asyncio.sleep(0.02)

        self.before = self._memory.memory_info().rss
        watching = asyncio.create_task(watch())
        peers: list[socket.socket] = []
        try:
            # Each from a place of its own, as they lost their connections at different times.
            for number in range(PEERS):
                peer = await begin(self.tokens[1 + number // PER_ACCOUNT], 1 + number)
                peers.append(peer)
            for _ in range(LATER_EVENTS // 10):
                await self.house.open_tasks(10, self.team, self.owner, description=DESCRIPTION)
            await asyncio.sleep(SETTLED_SECONDS)
        finally:
            watching.cancel()
            for peer in peers:
                peer.close()
        return most


@pytest_asyncio.fixture
async def installation(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str]
) -> AsyncIterator[Installation]:
    database_url = new_database()
    server = await asyncio.to_thread(start_server, database_url, RATE_LIMIT_ENABLED="false")
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(inside(database_url))
        team, owner, tokens = await house.team(1 + PEERS // PER_ACCOUNT)
        for _ in range(EVENTS // 10):
            await house.open_tasks(10, team, owner, description=DESCRIPTION)
        http = await stack.enter_async_context(client(server.base_url))
        ada = Person(http, str(owner), "", tokens[0], "")
        found = Installation(server, house, team, owner, tokens)
        # What the first of each kind costs is no replay.
        async with listening(server.base_url, ada.token, found.channel), following(ada, found.channel):
            pass
        yield found


async def test_fifty_resumes_that_are_never_read_take_less_than_60_mib(installation: Installation) -> None:
    port, channel = installation.server.port, installation.channel
    grown = await installation.most_growth(
        lambda token, since: unread_socket(port, token, channel, resume={channel: since})
    )
    assert grown < GROWTH_MAX_BYTES


async def test_fifty_event_streams_that_are_never_read_take_less_than_60_mib(installation: Installation) -> None:
    port, channel = installation.server.port, installation.channel
    grown = await installation.most_growth(lambda token, since: unread_event_stream(port, token, channel, since))
    assert grown < GROWTH_MAX_BYTES
