"""A deployment is seen by nobody: instances are replaced one after the other, under load, behind a balancer."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from entrypoints.client import Client, Subscription
from tests.support.balancer import balancing
from tests.support.clients import Person, client, sign_up, until
from tests.support.load import under_load
from tests.support.server import ServerProcess

Servers = list[ServerProcess]
PEOPLE = 4


class Watcher:
    """Knows who is present, and notes every coming and going."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.seen: list[str] = []

    async def watch(self, subscription: Subscription) -> None:
        async for frame in subscription:
            if frame["type"] == "subscribed":
                self._know(set(frame["present"]))
            elif frame["type"] == "presence":
                self._know((self.present | set(frame["joined"])) - {gone["account_id"] for gone in frame["left"]})

    def _know(self, present: set[str]) -> None:
        # Whoever moves to another instance is told there of everybody, known or not.
        self.seen += [f"{who} comes" for who in present - self.present]
        self.seen += [f"{who} goes" for who in self.present - present]
        self.present = present


async def connected(person: Person, url: str, stack: AsyncExitStack) -> Client:
    async def token() -> str:
        return person.token

    return await stack.enter_async_context(Client(url, token))


async def test_a_rolling_restart_loses_no_event_breaks_no_request_and_shows_nobody_leaving(
    three: Servers, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(balancing(three))
        http = await stack.enter_async_context(client(balancer.base_url))
        ada = await sign_up(http)
        team = await ada.create_team()
        channel = f"presence:workspace:{team['id']}"
        people = [await sign_up(http, f"P{number}") for number in range(PEOPLE)]
        for person in people:
            await ada.admit(person, team["id"])
            (await connected(person, balancer.base_url, stack)).be_present(channel)
        watcher = Watcher()
        watched = (await connected(ada, balancer.base_url, stack)).subscribe(channel)
        watching = asyncio.create_task(watcher.watch(watched))
        stack.callback(watching.cancel)
        everybody = {person.id for person in people}
        await until(lambda: watcher.present == everybody)
        watcher.seen.clear()

        async with under_load([balancer.base_url], tmp_path, listeners=9) as load:
            for server in three:
                await load.more()
                assert await asyncio.to_thread(server.terminate) == 0
                await load.more()
                await asyncio.to_thread(server.start)
                await until(lambda: len(balancer.ready) == len(three))
            await load.more()
        assert load.history.refused == 0
        assert watcher.present == everybody
        assert not watcher.seen
