"""A team in an in-memory assembly, and people on live connections to it, without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from dependency_injector import providers

from adapters.memory.events import MemoryBroker
from adapters.memory.system import MovableClock
from application.ports.access import AccessQueries
from application.realtime.connection import Connection
from application.realtime.frames import CloseCode
from application.realtime.wire import WireFormat
from application.scopes import Scope
from application.tasks import TaskPatch
from application.workspaces import Acceptance, NewInvitation
from domain.access import Role
from domain.channels import workspace_stream
from domain.identity import Account
from domain.ids import AccountId, WorkspaceId
from domain.tasks import Task
from domain.workspaces import Workspace
from entrypoints.container import Container, in_memory
from entrypoints.websocket.wire import JSON_FRAMES
from tests.support.builders import a_task, a_team, an_account, principal
from tests.support.faulty_broker import Fate, FaultyBroker, WatchedJournal, dealing

DEADLINE_SECONDS = 60.0
Frame = dict[str, Any]
At = Callable[[str], Awaitable[None]]


class WatchedAccess(AccessQueries):
    """Others' answers about rights, with `at` awaited around each."""

    def __init__(self, inner: AccessQueries, at: At) -> None:
        self._inner = inner
        self._at = at

    async def workspaces_of(
        self, asked: Collection[tuple[UUID, AccountId]]
    ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
        await self._at("before access")
        found = await self._inner.workspaces_of(asked)
        await self._at("after access")
        return found

    async def state(self, place: UUID, by: AccountId) -> str:
        return await self._inner.state(place, by)


class House:
    """An assembly in memory in which Ada owns a team and Bob is a member of it.

    `at` is awaited around every call of the journal and every question about rights, with what `WatchedJournal` says,
    `before access` or `after access`; `fate` is what becomes of every hint. `furnish` may hand more into the assembly.
    """

    ada: Account
    bob: Account
    team: Workspace

    def __init__(
        self,
        at: At | None = None,
        fate: Fate = Fate.ARRIVES,
        furnish: Callable[[Container], Container] = lambda container: container,
    ) -> None:
        self.broker = FaultyBroker(MemoryBroker(), dealing([fate]))
        self.container = furnish(in_memory(broker=providers.Object(self.broker)))
        self.work, self.ids = self.container.work(), self.container.ids()
        if at is not None:
            self.container.journal.override(providers.Object(WatchedJournal(self.container.journal(), at)))
            access = WatchedAccess(self.container.access_queries(), at)
            self.container.access_queries.override(providers.Object(access))
        clock = self.container.clock()
        assert isinstance(clock, MovableClock)
        self.clock = clock

    async def settle(self) -> "House":
        self.ada, self.bob = await an_account(self), await an_account(self, "Bob")
        self.team = await a_team(self, self.ada.id, {self.bob.id: Role.MEMBER})
        return self

    @property
    def followed(self) -> list[str]:
        """The topics that are followed for somebody, beside the one on which processes talk about connections."""
        return [topic for topic in self.broker.followed if topic != "crowded"]

    @property
    def channel(self) -> str:
        return f"workspace:{self.team.id}"

    @property
    def stream(self) -> str:
        return workspace_stream(self.team.id)

    async def task(self) -> Task:
        return await a_task(self, self.team.id, self.ada.id)

    async def rename(self, task: Task, title: str) -> None:
        await self.container.tasks().edit(principal(self.ada), task.id, TaskPatch(title=title))

    async def dismiss(self, account: Account) -> None:
        await self.container.workspaces().remove(principal(self.ada), self.team.id, account.id)

    async def admit(self, account: Account) -> None:
        made = await self.container.workspaces().invite(principal(self.ada), self.team.id, NewInvitation())
        await self.container.workspaces().accept(principal(account), Acceptance(made.token))

    def token(self, account: Account) -> str:
        return self.container.tokens().issue(principal(account), self.clock.now())

    @asynccontextmanager
    async def visit(
        self, account: Account | None = None, connected: bool = True, visitor: "Visitor | None" = None, *scopes: Scope
    ) -> "AsyncIterator[Visitor]":
        """A live connection; the account, if there is one, comes by the ticket of the upgrade.

        With `scopes` its credential is not a session, and has these scopes alone.
        """
        visitor = visitor or Visitor()
        caller = principal(account) if account else None
        if caller is not None and scopes:
            caller = replace(caller, scopes=frozenset(scope.name for scope in scopes))
        visitor.connection = self.container.live().begin(visitor, caller)
        try:
            if connected:
                await visitor.say(type="connect", id=1)
            yield visitor
        finally:
            visitor.connection.left()
            visitor.connection.lost()
            await turns(5)


class Visitor:
    """Somebody on a live connection, with every frame that was sent to them; the wire itself.

    One that is `narrow` is congested by everything that is written, and relieved a turn of the event loop later; one
    that is `stuck` takes nothing. A wire that is closed is lost soon, unless it is `stubborn`.
    """

    format: WireFormat = JSON_FRAMES
    connection: Connection

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.bytes = 0
        self.closed: tuple[CloseCode, str] | None = None
        self.listening: list[bool] = []
        self.waiting = 0
        self.is_narrow = False
        self.is_stuck = False
        self.is_stubborn = False

    def write(self, data: bytes) -> None:
        if self.closed is None:
            self.bytes += len(data)
            self.waiting += len(data) if self.is_stuck else 0
            self.frames += [json.loads(text) for text in texts(data)]
            if self.is_narrow:
                self.connection.congested()
                asyncio.get_running_loop().call_soon(self.connection.relieved)

    def backlog(self) -> int:
        return self.waiting

    def taken(self) -> int:
        return self.bytes - self.waiting

    def listen(self, is_wanted: bool) -> None:
        self.listening.append(is_wanted)

    def close(self, code: CloseCode, reason: str) -> None:
        self.closed = code, reason
        if not self.is_stubborn:
            asyncio.get_running_loop().call_soon(self.connection.lost)

    def send(self, **frame: object) -> None:
        """Send a frame, and wait for nothing."""
        text = json.dumps(frame).encode()
        (self.connection.received if self.connection.heard(len(text)) else self.connection.too_fast)(text)

    async def say(self, **frame: object) -> Frame:
        """Send a frame, and return the one that answers it."""
        begun = len(self.frames)

        def answers(visitor: Visitor) -> list[Frame]:
            of_an_answer = ("reply", "error")
            found = [f for f in visitor.frames[begun:] if f["type"] in of_an_answer and f["id"] == frame.get("id")]
            assert found or visitor.closed is None, visitor.closed
            return found

        self.send(**frame)
        await self.until(lambda visitor: bool(answers(visitor)))
        return answers(self)[-1]

    async def closed_by(self, **frame: object) -> tuple[CloseCode, str]:
        self.send(**frame)
        await self.until(lambda visitor: visitor.closed is not None)
        assert self.closed is not None
        return self.closed

    def events(self, stream: str = "") -> list[tuple[int, str]]:
        """Offset and type of every event, or of those of one stream."""
        found = [f for f in self.frames if f["type"] == "event" and f["stream"].startswith(stream)]
        return [(f["offset"], f["event"]["type"]) for f in found]

    def of(self, type: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == type]

    async def until(self, met: "Callable[[Visitor], bool]") -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not met(self):
                await asyncio.sleep(0)


async def turns(count: int) -> None:
    """Let everybody else go on for so many turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


def texts(data: bytes) -> Iterator[bytes]:
    """The texts of unmasked frames of RFC 6455 that were written in one piece."""
    at = 0
    while at < len(data):
        assert data[at] == 0x81
        size, head = data[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        assert at + head + size <= len(data)
        yield data[at + head : at + head + size]
        at += head + size
