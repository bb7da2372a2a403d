"""An installation from within: what a test puts into its database without asking the server for it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from domain.access import Role
from domain.ids import AccountId, WorkspaceId
from entrypoints.container import Container, assembled, offline
from tests.support.builders import a_new_task, a_team, an_account, principal
from tests.support.server import JWT_SECRET


class Inside:
    """People who come into being without a password, and tasks that nobody sent."""

    def __init__(self, container: Container) -> None:
        self.work, self.clock, self.ids = container.work(), container.clock(), container.ids()
        self._tokens = container.tokens()

    async def team(self, members: int) -> tuple[WorkspaceId, AccountId, list[str]]:
        """A new workspace, its owner, and a token of each of its members, the owner's first."""
        people = [await an_account(self, f"P{number}") for number in range(members)]
        team = await a_team(self, people[0].id, {person.id: Role.MEMBER for person in people[1:]})
        return team.id, people[0].id, [self._tokens.issue(principal(person), self.clock.now()) for person in people]

    async def open_tasks(self, count: int, workspace: WorkspaceId, by: AccountId, **values: object) -> None:
        """Open so many tasks at once; `values` are their editable fields."""
        async with self.work() as work:
            for _ in range(count):
                work.tasks.add(a_new_task(self, workspace, by, **values))


@asynccontextmanager
async def inside(database_url: str) -> AsyncIterator[Inside]:
    container = assembled(settings=replace(offline(), database_url=database_url, jwt_secret=JWT_SECRET))
    async with AsyncExitStack() as stack:
        for database in (container.database(), container.numbers_database()):
            await database.open()
            stack.push_async_callback(database.close)
        yield Inside(container)
