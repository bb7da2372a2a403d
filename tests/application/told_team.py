"""A team whose members are told of things, and the workers who tell them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from dependency_injector import providers

from adapters.memory.system import MovableClock
from application.consumers import LEASE, Consumers
from application.limits import Limits
from application.notifications import Correspondence, Notices
from application.paging import Page
from application.ports.notifications import NotificationView
from application.ports.rooms import RoomView
from application.reactions import people
from application.rooms import NewRoom
from application.tasks import NewComment, NewTask
from domain.access import Role
from domain.channels import account_stream
from domain.identity import Account
from domain.ids import TaskId, WorkspaceId
from entrypoints.container import in_memory
from entrypoints.settings import Settings
from tests.support.builders import a_team, an_account, principal

WORKERS, MEMBERS, AT_ONCE = 3, 5, 2


@dataclass
class Team:
    """A workspace of several people, whose first one owns it, and workers who tell two of them at a time."""

    members: list[Account] = field(default_factory=list)
    settings: providers.Object[Settings] | None = None
    is_limited: bool = False

    def __post_init__(self) -> None:
        self.house = in_memory(**({"settings": self.settings} if self.settings else {}))
        clock = self.house.clock()
        assert isinstance(clock, MovableClock)
        self.clock, self.work, self.ids = clock, self.house.work(), self.house.ids()
        self.tasks, self.inbox = self.house.tasks(), self.house.notifications()
        told = partial(people, self.house.settings().email_verification != "off")
        letters = Correspondence(self.house.postbox(), self.house.secrets(), "https://signalbox.example")
        limits = Limits(self.house.limiter(), self.is_limited, 1, 1, 1, self.house.observer())
        self.notices = Notices(self.house.notices(), told, letters, limits, self.ids, AT_ONCE)

    async def come(self, count: int = MEMBERS) -> "Team":
        self.members = [await an_account(self, f"Member {number}") for number in range(count)]
        owner, *others = self.members
        team = await a_team(self, owner.id, {other.id: Role.MEMBER for other in others})
        self.id = WorkspaceId(team.id)
        return self

    def worker(self) -> Consumers[Any]:
        """One more worker on the same store, as another process would be."""
        house = self.house
        consumers = (self.notices.consumer(),)
        return Consumers(consumers, self.work, house.cursors(), house.broker(), self.clock, house.observer())

    async def open(self, by: int = 0, *assignees: int) -> TaskId:
        given = [self.members[assignee].id for assignee in assignees]
        new = NewTask("Write the rollout plan", workspace_id=self.id, assignee_ids=[*given])
        return TaskId((await self.tasks.open(principal(self.members[by]), new)).id)

    async def say(self, task: TaskId, by: int, *mentioned: int) -> None:
        named = " ".join(f"@{self.members[number].id}" for number in mentioned)
        await self.tasks.comment(principal(self.members[by]), task, NewComment(f"Look, {named}"))

    async def finish(self) -> None:
        """Let what a killed worker held come free, and tell everything."""
        worker, cursors = self.worker(), self.house.cursors()
        while await worker.turn() or [each for each in await cursors.backlog() if each.consumer == "notifications"]:
            self.clock.advance(LEASE)

    async def told(self, number: int) -> Sequence[NotificationView]:
        """What this member is told, the newest first."""
        page: Page[NotificationView] = await self.inbox.page(principal(self.members[number]), False, None, 200)
        return page.data

    async def counts(self, number: int) -> dict[str, int]:
        """How often each type of notification was told to this member."""
        counts: dict[str, int] = {}
        for each in await self.told(number):
            counts[each.type] = counts.get(each.type, 0) + each.count
        return counts

    async def heard(self, number: int) -> list[str]:
        """The types of the events of notifications in the stream of this member."""
        entries = await self.house.journal().read(account_stream(self.members[number].id), 0, 1_000)
        return [entry.type for entry in entries if entry.type.startswith(("notification.", "inbox."))]


async def a_room(team: Team, **values: Any) -> RoomView:
    """A room of the team that its first member has opened, and which has not begun to be due."""
    new = NewRoom("Film night", **values)
    return cast(RoomView, await team.house.rooms().open(principal(team.members[0]), new))
