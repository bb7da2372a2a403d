"""What is opened again at the very moment at which its assignee departs is not with them in the end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.ports.events import EventFilter
from application.ports.unit_of_work import retried
from application.reactions import departed
from application.tasks import TaskPatch, Tasks
from domain.access import Role
from domain.channels import account_stream, workspace_stream
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Status
from tests.contracts.house import House
from tests.support.builders import a_task, a_team, an_account, principal

ROUNDS = 8


async def be_removed(house: House, team: WorkspaceId, by: AccountId, account: AccountId) -> str:
    async with house.work() as work:
        workspace = await work.workspaces.get(team)
        workspace.remove(account, by, house.clock.now())
        work.workspaces.save(workspace)
    return workspace_stream(team)


async def become_a_viewer(house: House, team: WorkspaceId, by: AccountId, account: AccountId) -> str:
    async with house.work() as work:
        workspace = await work.workspaces.get(team)
        workspace.change_role(account, Role.VIEWER, by, house.clock.now())
        work.workspaces.save(workspace)
    return workspace_stream(team)


async def be_disabled(house: House, team: WorkspaceId, by: AccountId, account: AccountId) -> str:
    async with house.work() as work:
        found = await work.accounts.get(account)
        found.disable(house.clock.now())
        work.accounts.save(found)
    return account_stream(account)


@pytest.mark.parametrize("depart", [be_removed, become_a_viewer, be_disabled])
async def test_a_departure_and_a_reopening_at_once_leave_nothing_with_who_departed(
    house: House, depart: Callable[[House, WorkspaceId, AccountId, AccountId], Awaitable[str]]
) -> None:
    ada = await an_account(house)
    tasks = Tasks(house.work, house.task_queries, house.task_numbers, house.clock, house.ids)
    wanted = frozenset({"member.removed", "member.role_changed", "account.disabled"})

    async def depart_and_follow_up(team: WorkspaceId, account: AccountId) -> None:
        stream = await depart(house, team, ada.id, account)
        page = await house.journal.page(stream, EventFilter(), True, None, 9)
        event = next(event for event in page.data if event.type in wanted)

        @retried
        async def piece() -> bool:
            async with house.work() as work:
                return await departed(work, event, house.clock.now())

        while not await piece():
            pass

    for _ in range(ROUNDS):
        bob = await an_account(house, "Bob")
        team = (await a_team(house, ada.id, {bob.id: Role.MEMBER})).id
        ids = [(await a_task(house, team, ada.id, assignees=[bob.id], status=Status.DONE)).id for _ in range(4)]

        async def reopen(id: TaskId) -> None:
            await tasks.edit(principal(ada), id, TaskPatch(status=Status.TODO))

        await asyncio.gather(depart_and_follow_up(team, bob.id), *(reopen(id) for id in ids))
        for id in ids:
            view = await house.task_queries.view(id, ada.id)
            assert (view.status, view.assignees) == (Status.TODO, [])
