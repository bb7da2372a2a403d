"""A team with somebody of every role in an assembly in memory, and short words for what they do there."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from adapters.memory.system import MovableClock
from application.ports.events import EventFilter, EventView
from application.ports.tasks import TaskView
from application.principal import Principal
from application.tasks import NewTask, Tasks
from application.workspaces import Workspaces
from domain.access import Role
from domain.ids import TaskId, WorkspaceId
from entrypoints.container import Container, in_memory
from tests.support.builders import a_team, an_account, principal

ROLES = ("owner", "admin", "member", "viewer", "stranger")


class Office:
    """`people` by what they are in `team`; each of them has a personal workspace as well."""

    team: WorkspaceId

    def __init__(self) -> None:
        self.container: Container = in_memory()
        self.work, self.ids = self.container.work(), self.container.ids()
        self.tasks: Tasks = self.container.tasks()
        self.workspaces: Workspaces = self.container.workspaces()
        self.events, self.journal = self.container.events(), self.container.journal()
        self.channels = self.container.channels()
        clock = self.container.clock()
        assert isinstance(clock, MovableClock)
        self.clock = clock
        self.people: dict[str, Principal] = {}

    @classmethod
    async def open(cls) -> "Office":
        office = cls()
        for role in ROLES:
            await office.hire(role)
        members = {office.people[role.value].account_id: role for role in Role if role is not Role.OWNER}
        office.team = (await a_team(office, office.owner.account_id, members)).id
        return office

    owner = property(lambda self: self.people["owner"])
    admin = property(lambda self: self.people["admin"])
    member = property(lambda self: self.people["member"])
    viewer = property(lambda self: self.people["viewer"])
    stranger = property(lambda self: self.people["stranger"])

    async def hire(self, name: str) -> Principal:
        """Somebody new, who is in no team yet."""
        self.people[name] = principal(await an_account(self, name))
        return self.people[name]

    def wait(self, **duration: float) -> None:
        self.clock.advance(timedelta(**duration))

    async def task(self, by: Principal | None = None, **values: Any) -> TaskView:
        """A new task of the team, by its member unless somebody else is named."""
        new = NewTask(**{"title": "Write the rollout plan", "workspace_id": self.team, **values})
        return await self.tasks.open(by or self.member, new)

    async def news(self, channel: str | None = None, after: int = 0, by: Principal | None = None) -> list[EventView]:
        """What happened in the team, or in a channel, behind an offset."""
        name = channel or f"workspace:{self.team}"
        page = await self.events.page(by or self.owner, name, EventFilter(), False, None, 200)
        return [event for event in page.data if event.offset > after]

    async def types(self, task: UUID) -> list[str]:
        """What happened to a task."""
        return [event.type for event in await self.news(f"task:{task}")]

    async def show(self, task: UUID) -> TaskView:
        return await self.tasks.read(self.owner, TaskId(task))
