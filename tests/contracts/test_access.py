"""What `Access` and `AccessQueries` promise: every answer to "what is this account in that workspace?"."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from adapters.postgres.database import Database
from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.workspaces import Workspace
from tests.contracts.house import House
from tests.support.builders import a_comment, a_task, a_team, an_account


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
        assert await house.access_queries.workspaces_of([(workspace, account)]) == {}


async def test_of_many_places_and_accounts_those_are_told_that_belong_together(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    task = await a_task(house, team.id, ada.id)
    nowhere = house.ids.new()
    members = {(place, account.id) for place in (team.id, task.id) for account in (ada, bob)} | {(eve.id, eve.id)}
    strangers = {(team.id, eve.id), (task.id, eve.id), (ada.id, bob.id), (nowhere, ada.id)}
    assert (await house.access_queries.workspaces_of(members | strangers)).keys() == members
    assert not await house.access_queries.workspaces_of(())


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
    assert await house.access_queries.workspaces_of([(team.id, ada.id), (task.id, ada.id)]) == {}


async def test_assignable_are_members_who_work_and_are_neither_disabled_nor_leaving(house: House) -> None:
    ada, eve = await an_account(house), await an_account(house, "Eve")
    admin, member, viewer = [await an_account(house, name) for name in ("Al", "Mo", "Vi")]
    disabled, leaving = await an_account(house, "Di"), await an_account(house, "Le")
    roles = {admin.id: Role.ADMIN, member.id: Role.MEMBER, viewer.id: Role.VIEWER}
    roles |= {disabled.id: Role.MEMBER, leaving.id: Role.OWNER}
    team = await a_team(house, ada.id, roles)
    async with house.work() as work:
        account = await work.accounts.get(disabled.id)
        account.disable(house.clock.now())
        work.accounts.save(account)
        gone = await work.accounts.get(leaving.id)
        gone.request_deletion(house.clock.now() + timedelta(days=3), house.clock.now())
        work.accounts.save(gone)
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


async def test_two_are_together_who_share_a_workspace(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    await a_team(house, eve.id)

    async def together() -> list[bool]:
        async with house.work() as work:
            pairs = [(ada, bob), (bob, ada), (ada, ada), (ada, eve), (eve, bob)]
            return [await work.access.are_together(one.id, other.id) for one, other in pairs]

    assert await together() == [True, True, True, False, False]
    async with house.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.delete(ada.id, house.clock.now())
        work.workspaces.save(workspace)
    assert (await together())[:2] == [False, False]


async def test_a_member_is_told_the_workspace_of_each_place_and_nothing_of_places_elsewhere(house: House) -> None:
    ada, bob = [await an_account(house, name) for name in ("Ada", "Bob")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    mine, deleted = await a_task(house, team.id, ada.id), await a_task(house, team.id, ada.id)
    private = await a_task(house, WorkspaceId(ada.id), ada.id)
    async with house.work() as work:
        found, standing = await work.tasks.get(deleted.id, ada.id)
        found.delete(ada.id, standing, house.clock.now())
        work.tasks.save(found)
    places = [team.id, mine.id, deleted.id, WorkspaceId(ada.id), private.id, TaskId(house.ids.new())]
    seen = {(place, bob.id): team.id for place in (team.id, mine.id, deleted.id)}
    assert await house.access_queries.workspaces_of([(place, bob.id) for place in places]) == seen


async def test_members_are_told_the_same_state_until_something_changes(house: House) -> None:
    ada, bob = [await an_account(house, name) for name in ("Ada", "Bob")]
    team, other = await a_team(house, ada.id, {bob.id: Role.VIEWER}), await a_team(house, ada.id)
    state = await house.access_queries.state(team.id, ada.id)
    assert await house.access_queries.state(team.id, bob.id) == state
    elsewhere = await house.access_queries.state(other.id, ada.id)
    seen = {state}

    async def is_another() -> bool:
        present = await house.access_queries.state(team.id, ada.id)
        is_new = present not in seen
        seen.add(present)
        return is_new

    now = house.clock.now()
    task = await a_task(house, team.id, ada.id)
    assert await is_another()
    await a_comment(house, task.id, ada.id)
    assert await is_another()
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.watch(bob.id, now)
        work.tasks.save(found)
    assert await is_another()
    verbs: list[Callable[[Workspace], object]] = [
        lambda workspace: workspace.change(ada.id, now, name="Renamed"),
        lambda workspace: workspace.change_role(bob.id, Role.ADMIN, ada.id, now),
        lambda workspace: workspace.remove(bob.id, ada.id, now),
    ]
    for verb in verbs:
        async with house.work() as work:
            workspace = await work.workspaces.get(team.id)
            verb(workspace)
            work.workspaces.save(workspace)
        assert await is_another()
    assert await house.access_queries.state(other.id, ada.id) == elsewhere
    assert not await is_another()


async def test_a_task_has_the_state_of_its_workspace(house: House) -> None:
    ada, bob = [await an_account(house, name) for name in ("Ada", "Bob")]
    team = await a_team(house, ada.id)
    task = await a_task(house, team.id, ada.id)

    async def is_the_same() -> bool:
        return await house.access_queries.state(task.id, ada.id) == await house.access_queries.state(team.id, ada.id)

    assert await is_the_same()
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, ada.id)
        found.delete(ada.id, standing, house.clock.now())
        work.tasks.save(found)
    assert await is_the_same()
    for place, account in ((task.id, bob.id), (TaskId(house.ids.new()), ada.id)):
        with pytest.raises(NotFound):
            await house.access_queries.state(place, account)


async def test_nobody_but_a_member_is_told_a_state(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team, gone = await a_team(house, ada.id, {bob.id: Role.MEMBER}), await a_team(house, ada.id)
    await house.access_queries.state(team.id, bob.id)
    async with house.work() as work:
        left, deleted = await work.workspaces.get(team.id), await work.workspaces.get(gone.id)
        left.remove(bob.id, ada.id, house.clock.now())
        deleted.delete(ada.id, house.clock.now())
        work.workspaces.save(left)
        work.workspaces.save(deleted)
    nowhere = WorkspaceId(house.ids.new())
    for workspace_id, account in ((team.id, eve.id), (team.id, bob.id), (gone.id, ada.id), (nowhere, ada.id)):
        with pytest.raises(NotFound):
            await house.access_queries.state(workspace_id, account)


async def test_in_postgresql_a_workspace_without_a_history_has_a_state_too(
    postgres_and_redis_house: House, empty_database: Database
) -> None:
    """As one that was brought in by SQL has."""
    house = postgres_and_redis_house
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    before = await house.access_queries.state(team.id, ada.id)
    async with empty_database.connection() as connection:
        await connection.execute("TRUNCATE streams, events")
    assert await house.access_queries.state(team.id, ada.id) != before
    await a_task(house, team.id, ada.id)


async def test_of_many_who_ask_at_once_each_is_told_what_concerns_them(house: House) -> None:
    owners = [await an_account(house, f"Owner {number}") for number in range(4)]
    teams = [await a_team(house, owner.id) for owner in owners]
    for number, (team, owner) in enumerate(zip(teams, owners, strict=True)):
        for _ in range(number):
            await a_task(house, team.id, owner.id)
    alone = [await house.access_queries.state(team.id, owner.id) for team, owner in zip(teams, owners, strict=True)]
    asked = [(team, owner) for team in range(4) for owner in range(4)] * 5

    async def state(team: int, owner: int) -> str | None:
        try:
            return await house.access_queries.state(teams[team].id, owners[owner].id)
        except NotFound:
            return None

    outcomes = await asyncio.gather(*(state(team, owner) for team, owner in asked))
    assert outcomes == [alone[team] if team == owner else None for team, owner in asked]


async def test_a_state_is_never_older_than_the_question(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    seen = []
    for _ in range(10):
        before = [asyncio.create_task(house.access_queries.state(team.id, ada.id)) for _ in range(3)]
        await a_task(house, team.id, ada.id)
        seen.append(await house.access_queries.state(team.id, ada.id))
        await asyncio.gather(*before)
    assert len(set(seen)) == 10
