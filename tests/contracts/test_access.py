"""What `Access` and `AccessQueries` promise: every answer to "what is this account in that workspace?"."""

import pytest

from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId
from tests.contracts.house import House
from tests.support.builders import a_task, a_team, an_account


async def test_a_member_has_the_standing_of_the_role(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    async with house.work() as work:
        assert await work.access.standing(team.id, ada.id) == Standing(Role.OWNER)
        assert await work.access.standing(team.id, bob.id) == Standing(Role.VIEWER)
        assert await work.access.standing(WorkspaceId(ada.id), ada.id) == Standing(Role.OWNER)


async def test_a_standing_knows_whether_viewers_may_comment(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    task = await a_task(house, team.id, ada.id)
    async with house.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.change(ada.id, house.clock.now(), viewers_comment=True)
        work.workspaces.save(workspace)
    async with house.work() as work:
        assert await work.access.standing(team.id, bob.id) == Standing(Role.VIEWER, viewers_comment=True)
        assert (await work.tasks.get(task.id, bob.id))[1] == Standing(Role.VIEWER, viewers_comment=True)


async def test_a_stranger_and_an_absent_workspace_read_the_same(house: House) -> None:
    ada, eve = await an_account(house), await an_account(house, "Eve")
    team = await a_team(house, ada.id)
    nowhere, nobody = WorkspaceId(house.ids.new()), AccountId(house.ids.new())
    for workspace, account in ((team.id, eve.id), (nowhere, ada.id), (team.id, nobody)):
        async with house.work() as work:
            with pytest.raises(NotFound):
                await work.access.standing(workspace, account)
            assert await work.access.assignable(workspace, frozenset({account})) == frozenset()
            assert await work.access.members(workspace, frozenset({account})) == frozenset()
        with pytest.raises(NotFound):
            await house.access_queries.workspace_of(workspace, account)


async def test_nobody_has_a_standing_in_a_deleted_workspace(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    task = await a_task(house, team.id, ada.id)
    async with house.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.delete(ada.id, house.clock.now())
        work.workspaces.save(workspace)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.access.standing(team.id, ada.id)
        with pytest.raises(NotFound):
            await work.tasks.get(task.id, ada.id)
    with pytest.raises(NotFound):
        await house.access_queries.workspace_of(team.id, ada.id)
    with pytest.raises(NotFound):
        await house.access_queries.workspace_of_task(task.id, ada.id)


async def test_assignable_are_members_who_work_and_are_not_disabled(house: House) -> None:
    ada, eve = await an_account(house), await an_account(house, "Eve")
    admin, member, viewer, disabled = [await an_account(house, name) for name in ("Al", "Mo", "Vi", "Di")]
    roles = {admin.id: Role.ADMIN, member.id: Role.MEMBER, viewer.id: Role.VIEWER, disabled.id: Role.MEMBER}
    team = await a_team(house, ada.id, roles)
    async with house.work() as work:
        account = await work.accounts.get(disabled.id)
        account.disable(house.clock.now())
        work.accounts.save(account)
    everybody = frozenset({ada.id, eve.id, *roles})
    async with house.work() as work:
        assert await work.access.assignable(team.id, everybody) == {ada.id, admin.id, member.id}
        assert await work.access.assignable(team.id, frozenset({member.id, eve.id})) == {member.id}
        assert await work.access.assignable(team.id, frozenset()) == frozenset()


async def test_members_are_those_of_any_role(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    async with house.work() as work:
        assert await work.access.members(team.id, frozenset({ada.id, bob.id, eve.id})) == {ada.id, bob.id}
        assert await work.access.members(team.id, frozenset({bob.id})) == {bob.id}


async def test_a_member_is_told_the_workspace_of_a_task_deleted_or_not(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    task = await a_task(house, team.id, ada.id)
    assert await house.access_queries.workspace_of(team.id, bob.id) == team.id
    assert await house.access_queries.workspace_of_task(task.id, bob.id) == team.id
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, ada.id)
        found.delete(ada.id, standing, house.clock.now())
        work.tasks.save(found)
    assert await house.access_queries.workspace_of_task(task.id, bob.id) == team.id
    with pytest.raises(NotFound):
        await house.access_queries.workspace_of_task(task.id, eve.id)
    with pytest.raises(NotFound):
        await house.access_queries.workspace_of_task(TaskId(house.ids.new()), bob.id)
