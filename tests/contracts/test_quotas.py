"""What every adapter promises of quotas: they hold under races, count what is there, and stand in nobody's way."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from application.ports.unit_of_work import Stale, retried
from application.tasks import NewTask, TaskPatch, Tasks
from domain.access import Role, Standing
from domain.errors import QuotaExceeded
from domain.identity import Account
from domain.ids import AccountId, InvitationId, TaskId, WorkspaceId
from domain.tasks import Status, Task
from domain.workspaces import Workspace, WorkspaceKind
from tests.contracts.house import House
from tests.support.builders import a_comment, a_new_task, a_session, a_task, a_team, an_account, principal

RACERS = 20


class Place:
    """A team of Ada's with Bob in it, and short words for what is done there."""

    ada: Account
    bob: Account
    team: WorkspaceId
    task: TaskId

    def __init__(self, house: House) -> None:
        self.house = house

    async def add_task(self) -> Task:
        return await a_task(self.house, self.team, self.ada.id)

    async def add_open_task(self) -> Task:
        return await a_task(self.house, self.team, self.ada.id, assignees=[self.bob.id])

    @retried
    async def add_comment(self) -> object:
        return await a_comment(self.house, self.task, self.ada.id)

    @retried
    async def add_member(self) -> None:
        await self.join(self.team, await an_account(self.house, "Racer"))

    @retried
    async def add_workspace(self) -> None:
        await a_team(self.house, self.bob.id)

    @retried
    async def add_invitation(self) -> None:
        id, now = InvitationId(self.house.ids.new()), self.house.clock.now()
        async with self.house.work() as work:
            workspace = await work.workspaces.get(self.team)
            until = now + timedelta(days=1)
            invitation = workspace.invite(id, Role.MEMBER, id.bytes * 2, 1, until, self.ada.id, now)
            work.workspaces.add_invitation(invitation)
            work.workspaces.save(workspace)

    async def join(self, team: WorkspaceId, account: Account) -> None:
        async with self.house.work() as work:
            workspace = await work.workspaces.get(team)
            workspace.admit(account.id, Role.MEMBER, self.ada.id, self.house.clock.now())
            work.workspaces.save(workspace)

    async def change(self, id: TaskId, verb: Callable[[Task], None]) -> None:
        async with self.house.work() as work:
            task, _ = await work.tasks.get(id, self.ada.id, deleted=True)
            verb(task)
            work.tasks.save(task)

    async def usage(self, by: Account | None = None) -> dict[str, int]:
        """What is used, by Bob of what is one's own, without what there is none of."""
        account = (by or self.bob).id
        found = await self.house.workspace_queries.usage(self.team, account, self.house.clock.now())
        return {kind: used for kind, used in found.items() if used}

    def limit(self, kind: str, most: int) -> None:
        self.house.quotas.limits[kind] = most


@pytest.fixture
async def place(house: House) -> Place:
    place = Place(house)
    place.ada, place.bob = await an_account(house), await an_account(house, "Bob")
    place.team = (await a_team(house, place.ada.id, {place.bob.id: Role.MEMBER})).id
    place.task = (await a_task(house, place.team, place.ada.id)).id
    return place


ADD: dict[str, tuple[Callable[[Place], Awaitable[object]], int]] = {
    # How one more comes, and how many there are in the beginning.
    "tasks": (Place.add_task, 1),
    "open_tasks": (Place.add_open_task, 0),
    "comments": (Place.add_comment, 0),
    "members": (Place.add_member, 2),
    "workspaces": (Place.add_workspace, 2),
    "invitations": (Place.add_invitation, 0),
}


@pytest.mark.parametrize("kind", ADD)
async def test_of_twenty_who_want_the_last_place_one_gets_it(place: Place, kind: str) -> None:
    add, present = ADD[kind]
    place.limit(kind, present + 1)
    outcomes = await asyncio.gather(*(add(place) for _ in range(RACERS)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)} == {QuotaExceeded}
    refusals = [outcome for outcome in outcomes if isinstance(outcome, QuotaExceeded)]
    assert all(refusal.extra == {"quota": kind, "limit": present + 1} for refusal in refusals)
    assert len(refusals) == RACERS - 1
    if kind != "workspaces":
        assert (await place.usage())[kind] == present + 1
    place.limit(kind, present + 2)
    await add(place)


async def test_a_unit_takes_all_that_it_needs_or_nothing(place: Place) -> None:
    place.limit("tasks", 4)
    for wanted in (4, 3):
        new = [a_new_task(place.house, place.team, place.ada.id) for _ in range(wanted)]
        try:
            async with place.house.work() as work:
                for task in new:
                    work.tasks.add(task)
        except QuotaExceeded:
            assert wanted == 4
    assert await place.usage() == {"tasks": 4, "members": 2}


async def test_each_workspace_and_each_member_has_a_quota_of_their_own(place: Place) -> None:
    place.limit("tasks", 1)
    place.limit("open_tasks", 1)
    other = await a_team(place.house, place.ada.id, {place.bob.id: Role.MEMBER})
    await a_task(place.house, other.id, place.ada.id, assignees=[place.ada.id, place.bob.id])
    with pytest.raises(QuotaExceeded):
        await a_task(place.house, other.id, place.ada.id)
    await place.change(place.task, lambda task: task.assign(place.bob.id, place.ada.id, place.house.clock.now()))
    assert (await place.usage())["open_tasks"] == 1
    assert "open_tasks" not in await place.usage(place.ada)


async def test_a_task_counts_while_it_is_there_and_for_those_who_have_it_while_it_is_open(place: Place) -> None:
    ada, bob, now = place.ada.id, place.bob.id, place.house.clock.now()
    owner = Standing(Role.OWNER)
    await a_comment(place.house, place.task, ada)
    with_comment = {"tasks": 1, "comments": 1, "members": 2}
    steps: list[tuple[Callable[[Task], None], dict[str, int]]] = [
        (lambda task: task.assign(bob, ada, now), with_comment | {"open_tasks": 1}),
        (lambda task: task.archive(ada, now), with_comment | {"open_tasks": 1}),
        (lambda task: task.edit(ada, now, title="Another"), with_comment | {"open_tasks": 1}),
        (lambda task: task.edit(ada, now, status=Status.DONE), with_comment),
        (lambda task: task.edit(ada, now, status=Status.CANCELLED), with_comment),
        (lambda task: task.edit(ada, now, status=Status.TODO), with_comment | {"open_tasks": 1}),
        (lambda task: task.delete(ada, owner, now), {"members": 2}),
        (lambda task: task.restore(ada, owner, now), with_comment | {"open_tasks": 1}),
        (lambda task: task.unassign(bob, ada, now), with_comment),
    ]
    for verb, expected in steps:
        await place.change(place.task, verb)
        assert await place.usage() == expected


async def test_what_was_let_go_makes_room(place: Place) -> None:
    ada, now = place.ada.id, place.house.clock.now()
    place.limit("tasks", 1)
    with pytest.raises(QuotaExceeded):
        await place.add_task()
    await place.change(place.task, lambda task: task.delete(ada, Standing(Role.OWNER), now))
    await place.add_task()
    with pytest.raises(QuotaExceeded):
        await place.change(place.task, lambda task: task.restore(ada, Standing(Role.OWNER), now))


async def test_a_limit_that_was_lowered_refuses_what_adds_and_nothing_else(place: Place) -> None:
    ada, bob, now = place.ada.id, place.bob.id, place.house.clock.now()
    second = await place.add_open_task()
    await place.change(place.task, lambda task: task.assign(bob, ada, now))
    for kind in ("tasks", "open_tasks", "members", "workspaces"):
        place.limit(kind, 0)
    await place.change(second.id, lambda task: task.edit(ada, now, title="Another", labels=["new"]))
    with pytest.raises(QuotaExceeded):
        await place.add_task()
    await place.change(second.id, lambda task: task.unassign(bob, ada, now))
    async with place.house.work() as work:
        workspace = await work.workspaces.get(place.team)
        workspace.change(ada, now, name="Renamed")
        workspace.remove(bob, ada, now)
        work.workspaces.save(workspace)
    assert await place.usage(place.ada) == {"tasks": 2, "members": 1}


async def test_whoever_leaves_a_workspace_or_loses_it_has_room_for_another(place: Place) -> None:
    place.limit("workspaces", 3)
    second = await a_team(place.house, place.bob.id, {place.ada.id: Role.MEMBER})
    with pytest.raises(QuotaExceeded):
        await place.add_workspace()
    async with place.house.work() as work:
        workspace = await work.workspaces.get(second.id)
        workspace.delete(place.bob.id, place.house.clock.now())
        work.workspaces.save(workspace)
    await place.add_workspace()
    await a_team(place.house, place.ada.id)


async def test_workspaces_that_many_share_are_joined_and_ended_at_once_without_a_wrong_number(house: House) -> None:
    people = [await an_account(house, f"Person {number}") for number in range(6)]
    house.quotas.limits["workspaces"] = 4

    async def make(number: int) -> Workspace | None:
        order = people[number % 6 :] + people[: number % 6]
        try:
            return await a_team(house, order[0].id, {person.id: Role.MEMBER for person in order[1:]})
        except QuotaExceeded:
            return None

    made = [workspace for workspace in await asyncio.gather(*(make(n) for n in range(RACERS))) if workspace]
    assert len(made) == 3  # the personal one counts

    @retried
    async def end(id: WorkspaceId) -> None:
        async with house.work() as work:
            workspace = await work.workspaces.get(id)
            workspace.delete(workspace.created_by, house.clock.now())
            work.workspaces.save(workspace)

    await asyncio.gather(*(end(workspace.id) for workspace in made))
    for _ in range(3):
        assert await make(0)
    assert await make(0) is None


async def test_an_invitation_that_admits_nobody_any_more_makes_room(place: Place) -> None:
    place.limit("invitations", 1)
    await place.add_invitation()
    with pytest.raises(QuotaExceeded):
        await place.add_invitation()
    await place.house.pass_time(timedelta(days=1))
    await place.add_invitation()
    (open,) = await place.house.workspace_queries.invitations(place.team, place.ada.id, place.house.clock.now())
    async with place.house.work() as work:
        workspace = await work.workspaces.get(place.team)
        invitation = await work.workspaces.invitation(InvitationId(open.id), place.team)
        workspace.withdraw(invitation, place.ada.id, place.house.clock.now())
        work.workspaces.save_invitation(invitation)
        work.workspaces.save(workspace)
    await place.add_invitation()


async def test_many_who_write_at_once_are_all_counted(place: Place) -> None:
    house = place.house
    tasks = Tasks(house.work, house.task_queries, house.task_numbers, house.clock, house.ids)
    ada = principal(place.ada)

    async def work_on(number: int) -> None:
        made = await tasks.open(ada, NewTask("A task", workspace_id=place.team, assignee_ids=[place.bob.id]))
        if number % 2:
            await tasks.edit(ada, TaskId(made.id), TaskPatch(status=Status.DONE))
        if number % 3 == 0:
            await tasks.delete(ada, TaskId(made.id))

    await asyncio.gather(*(work_on(number) for number in range(30)))
    assert await place.usage() == {"tasks": 21, "open_tasks": 10, "members": 2}


async def test_a_unit_that_is_not_applied_counts_nothing(place: Place) -> None:
    with pytest.raises(Stale):
        async with place.house.work() as work:
            first, _ = await work.tasks.get(place.task, place.ada.id)
            await place.change(place.task, lambda task: task.edit(place.ada.id, task.created_at, title="Faster"))
            first.assign(place.bob.id, place.ada.id, place.house.clock.now())
            work.tasks.save(first)
            work.tasks.add(a_new_task(place.house, place.team, place.ada.id))
    assert await place.usage() == {"tasks": 1, "members": 2}


async def test_sessions_beyond_the_newest_are_a_surplus(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    made = []
    for _ in range(5):
        made.append(await a_session(house, ada.id))
        await a_session(house, bob.id)
        house.clock.advance(timedelta(seconds=1))

    async def surplus(account: AccountId, most: int) -> list[object]:
        async with house.work() as work:
            return [session.id for session in await work.sessions.surplus(account, house.clock.now(), most)]

    assert await surplus(ada.id, 3) == [session.id for session in made[:2]]
    assert await surplus(ada.id, 5) == await surplus(ada.id, 100) == []
    house.clock.advance(timedelta(days=8))
    assert await surplus(ada.id, 3) == []


async def test_a_personal_workspace_is_one_of_the_account_and_none_of_its_own(house: House) -> None:
    ada = await an_account(house)
    found = await house.workspace_queries.usage(WorkspaceId(ada.id), ada.id, house.clock.now())
    assert (found["members"], found.get("tasks", 0)) == (1, 0)
    house.quotas.limits["workspaces"] = 1
    with pytest.raises(QuotaExceeded):
        await a_team(house, ada.id)
    assert (await house.workspace_queries.page(ada.id, None, 10)).data[0].kind == WorkspaceKind.PERSONAL
