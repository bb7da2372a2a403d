"""Whatever writers, a bad broker and slow or absent peers do, each who resumes ends up with every entry, once."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.tasks import Task
from tests.application.live_house import House, Visitor, turns
from tests.support.faulty_broker import Fate, dealing

DEADLINE_SECONDS = 60.0
CLIENTS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a client, the writer or the broker does."""

    what: str
    client: int
    pause: int


@dataclass(slots=True)
class Client:
    """Somebody who remembers the last offset, over all of their connections."""

    expected: int | None = None
    visitor: Visitor | None = None
    taken: int = 0

    def take(self) -> None:
        """Check that what came since the last time is what had to come next."""
        if self.visitor is None or self.expected is None:
            return
        offsets = [offset for offset, _ in self.visitor.events()]
        for offset in offsets[self.taken :]:
            assert offset == self.expected
            self.expected += 1
        self.taken = len(offsets)


@dataclass(slots=True)
class Model:
    house: House
    task: Task
    clients: list[Client] = field(default_factory=lambda: [Client() for _ in range(CLIENTS)])

    async def do(self, step: Step) -> None:
        client = self.clients[step.client]
        match step.what:
            case "write":
                await self.house.rename(self.task, f"Title {await self.head()}")
            case "come" if client.visitor is None:
                await self.come(client)
            case "leave" if client.visitor is not None:
                client.take()
                client.visitor.connection.lost()
                client.visitor = None
            case "congest" if client.visitor is not None:
                client.visitor.connection.congested()
            case "relieve" if client.visitor is not None:
                client.visitor.connection.relieved()
            case "check":
                await self.house.container.hub().check_heads()
            case "release":
                self.house.broker.release()
        await turns(step.pause)
        for each in self.clients:
            each.take()

    async def come(self, client: Client) -> None:
        client.visitor, client.taken = Visitor(), 0
        house = self.house
        client.visitor.connection = house.container.live().begin(client.visitor, house.token(house.bob))
        resume = {} if client.expected is None else {house.stream: client.expected - 1}
        reply = await client.visitor.say(type="connect", id=1, subscribe=[house.channel], resume=resume)
        where = reply["data"]["channels"][house.channel]
        assert where["recovered"]
        assert client.expected in (None, where["offset"] + 1)
        client.expected = where["offset"] + 1

    async def head(self) -> int:
        return (await self.house.container.journal().heads([self.house.stream]))[self.house.stream]

    async def end(self) -> None:
        """Let everybody come who ever came, and get everything."""
        for client in self.clients:
            if client.expected is not None and client.visitor is None:
                await self.come(client)
            if client.visitor is not None:
                client.visitor.connection.relieved()
        self.house.broker.release()
        await self.house.container.hub().check_heads()
        head = await self.head()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while any(client.expected not in (None, head + 1) for client in self.clients):
                await turns(1)
                for client in self.clients:
                    client.take()
        await turns(5)
        for client in self.clients:
            client.take()
            if client.visitor is not None:
                client.visitor.connection.left()
                client.visitor.connection.lost()
        await turns(5)
        assert self.house.followed == []


DEEDS = ("write", "write", "write", "come", "come", "leave", "congest", "relieve", "check", "release")
STEPS = st.lists(
    st.builds(Step, st.sampled_from(DEEDS), st.integers(0, CLIENTS - 1), st.integers(0, 6)), min_size=5, max_size=60
)


@given(fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=8), steps=STEPS)
@settings(max_examples=150, derandomize=True, deadline=None)
async def test_every_client_gets_every_entry_once_and_in_order(fates: list[Fate], steps: list[Step]) -> None:
    house = await House().settle()
    task = await house.task()
    house.broker._fate = dealing(fates)
    model = Model(house, task)
    for step in steps:
        await model.do(step)
    await model.end()
