"""A team in an in-memory assembly, and people on live connections to it, without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dependency_injector import providers

from adapters.memory.events import MemoryBroker
from adapters.memory.system import MovableClock
from application.ports.access import AccessQueries
from application.realtime.frames import CloseCode
from application.realtime.session import Closed, LiveSession
from application.tasks import TaskPatch
from application.workspaces import Acceptance, NewInvitation
from domain.access import Role
from domain.channels import workspace_stream
from domain.identity import Account
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Task
from domain.workspaces import Workspace
from entrypoints.container import Container, in_memory
from tests.support.builders import a_task, a_team, an_account, principal
from tests.support.faulty_broker import Fate, FaultyBroker, WatchedJournal, dealing

DEADLINE_SECONDS = 5.0
Frame = dict[str, Any]
At = Callable[[str], Awaitable[None]]


class WatchedAccess(AccessQueries):
    """Others' answers about rights, with `at` awaited around each."""

    def __init__(self, inner: AccessQueries, at: At) -> None:
        self._inner = inner
        self._at = at

    async def workspace_of(self, workspace: WorkspaceId, by: AccountId) -> WorkspaceId:
        await self._at("before access")
        found = await self._inner.workspace_of(workspace, by)
        await self._at("after access")
        return found

    async def workspace_of_task(self, task: TaskId, by: AccountId) -> WorkspaceId:
        await self._at("before access")
        found = await self._inner.workspace_of_task(task, by)
        await self._at("after access")
        return found


class House:
    """An assembly in memory in which Ada owns a team and Bob is a member of it.

    `at` is awaited around every call of the journal and every question about rights, with what `WatchedJournal` says,
    `before access` or `after access`; `fate` is what becomes of every hint.
    """

    ada: Account
    bob: Account
    team: Workspace

    def __init__(self, at: At | None = None, fate: Fate = Fate.ARRIVES) -> None:
        self.broker = FaultyBroker(MemoryBroker(), dealing([fate]))
        self.container: Container = in_memory(broker=providers.Object(self.broker))
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
    async def visit(self, account: Account | None = None, connected: bool = True) -> "AsyncIterator[Visitor]":
        """A live connection; the account, if there is one, comes by the header of the upgrade."""
        visitor = Visitor()
        visitor.session = self.container.live_session(visitor.take, account and principal(account))
        try:
            if connected:
                await visitor.say(type="connect", id=1)
            yield visitor
        finally:
            await visitor.session.close()
            await asyncio.sleep(0)


class Visitor:
    """Somebody on a live connection, and every frame that was sent to them."""

    session: LiveSession

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.sending: Callable[[], Awaitable[None]] | None = None

    async def take(self, frame: bytes) -> None:
        if self.sending:
            await self.sending()
        self.frames.append(json.loads(frame))

    async def say(self, **frame: object) -> Frame:
        """Send a frame, and return the one that answers it."""
        await self.session.receive(json.dumps(frame))
        return next(answer for answer in reversed(self.frames) if answer.get("id") == frame.get("id"))

    async def closed_by(self, **frame: object) -> tuple[CloseCode, str]:
        with pytest.raises(Closed) as closed:
            await self.say(**frame)
        return closed.value.code, closed.value.reason

    def events(self, stream: str = "") -> list[tuple[int, str]]:
        """Offset and type of every event, or of those of one stream."""
        found = [f for f in self.frames if f["type"] == "event" and f["stream"].startswith(stream)]
        return [(f["offset"], f["event"]["type"]) for f in found]

    def of(self, type: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == type]

    async def until(self, met: Callable[["Visitor"], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not met(self):
                await asyncio.sleep(0)
