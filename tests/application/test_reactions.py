"""What a departure leaves behind: the rights end at once, the open tasks are taken a little later, in pieces."""

import pytest

from application.ports.tasks import TaskView
from application.tasks import TaskPatch
from application.tasks.departures import AT_ONCE
from application.workspaces import Acceptance, NewInvitation, NewWorkspace, RoleChange
from domain.access import Role
from domain.errors import NotFound
from domain.ids import TaskId
from domain.tasks import Status
from tests.application.office import Office


async def follow_up(office: Office) -> None:
    """All that is due now."""
    while await office.container.following_up().turn():
        pass


async def a_task_of_the_member(office: Office) -> TaskView:
    return await office.task(by=office.admin, assignee_ids=[office.member.account_id])


async def remove(office: Office) -> None:
    await office.workspaces.remove(office.admin, office.team, office.member.account_id)


async def come_back(office: Office, role: Role = Role.MEMBER) -> None:
    made = await office.workspaces.invite(office.owner, office.team, NewInvitation(role))
    await office.workspaces.accept(office.member, Acceptance(made.token))


async def assigned(office: Office) -> int:
    async with office.work() as work:
        return len(await work.tasks.assigned(office.team, office.member.account_id, 1_000))


async def test_who_is_removed_is_out_at_once_and_loses_their_open_tasks_afterwards() -> None:
    office = await Office.open()
    task = await a_task_of_the_member(office)
    await remove(office)
    with pytest.raises(NotFound):
        await office.tasks.read(office.member, TaskId(task.id))
    with pytest.raises(NotFound):
        await office.tasks.edit(office.member, TaskId(task.id), TaskPatch(title="Still mine"))
    assert (await office.show(task.id)).assignees == [office.member.account_id]
    assert (await office.news())[-1].type == "member.removed"
    office.wait(seconds=1)
    await follow_up(office)
    assert (await office.show(task.id)).assignees == []
    released, unwatched = (await office.news())[-2:]
    assert (unwatched.type, unwatched.data) == ("task.unwatched", released.data)
    assert (released.type, released.actor, released.at) == (
        "task.unassigned",
        office.admin.account_id,
        office.clock.now(),
    )
    assert released.data == {"account_id": str(office.member.account_id)}


async def test_what_somebody_has_done_stays_theirs_and_what_others_have_too() -> None:
    office = await Office.open()
    done = await a_task_of_the_member(office)
    await office.tasks.edit(office.member, TaskId(done.id), TaskPatch(status=Status.DONE))
    shared = await office.task(assignee_ids=[office.member.account_id, office.admin.account_id])
    await office.workspaces.remove(office.member, office.team, office.member.account_id)
    await follow_up(office)
    assert (await office.show(done.id)).assignees == [office.member.account_id]
    assert (await office.show(shared.id)).assignees == [office.admin.account_id]


@pytest.mark.parametrize(("role", "left"), [(Role.VIEWER, 0), (Role.ADMIN, 1)])
async def test_only_a_role_that_cannot_have_tasks_loses_them(role: Role, left: int) -> None:
    office = await Office.open()
    await a_task_of_the_member(office)
    await office.workspaces.change_role(office.owner, office.team, office.member.account_id, RoleChange(role))
    await follow_up(office)
    assert await assigned(office) == left


async def test_many_tasks_are_taken_in_pieces_of_which_each_is_whole() -> None:
    office = await Office.open()
    for _ in range(2 * AT_ONCE + 1):
        await a_task_of_the_member(office)
    await remove(office)
    stream = f"workspace:{office.team}"
    head = (await office.journal.heads([stream]))[stream]
    await follow_up(office)
    assert await assigned(office) == 0
    entries = await office.journal.read(stream, head, 1_000)
    assert [entry.type for entry in entries] == ["task.unassigned", "task.unwatched"] * (2 * AT_ONCE + 1)
    assert len({entry.resource_id for entry in entries}) == len(entries) / 2


async def test_who_is_back_before_it_happened_keeps_what_they_had_and_are_given() -> None:
    office = await Office.open()
    await a_task_of_the_member(office)
    await remove(office)
    await come_back(office)
    await a_task_of_the_member(office)
    await follow_up(office)
    assert await assigned(office) == 2


async def test_who_is_back_as_one_who_only_looks_on_keeps_nothing() -> None:
    office = await Office.open()
    await a_task_of_the_member(office)
    await remove(office)
    await come_back(office, Role.VIEWER)
    await follow_up(office)
    assert await assigned(office) == 0


async def test_who_is_out_watches_no_open_task_any_more_and_who_only_looks_on_does() -> None:
    office = await Office.open()
    member, viewer = office.member.account_id, office.viewer.account_id
    tasks = [await office.task(by=office.admin) for _ in range(AT_ONCE + 1)]
    done = await office.task(by=office.admin, status=Status.DONE)
    for task in (*tasks, done):
        await office.tasks.watch(office.viewer, TaskId(task.id))
        await office.tasks.watch(office.member, TaskId(task.id))
    await office.workspaces.change_role(office.owner, office.team, member, RoleChange(Role.VIEWER))
    await office.workspaces.remove(office.owner, office.team, viewer)
    await follow_up(office)
    for task in tasks:
        assert (await office.show(task.id)).watchers == [office.admin.account_id, member]
    assert (await office.show(done.id)).watchers == [office.admin.account_id, viewer, member]


async def test_an_account_that_is_disabled_loses_its_open_tasks_everywhere_and_goes_on_watching() -> None:
    office = await Office.open()
    member = office.member.account_id
    elsewhere = await office.workspaces.create(office.member, NewWorkspace("Elsewhere"))
    tasks = [await a_task_of_the_member(office) for _ in range(AT_ONCE)]
    tasks.append(await office.task(workspace_id=elsewhere.id, assignee_ids=[member]))
    done = await office.task(by=office.admin, assignee_ids=[member], status=Status.DONE)
    await office.container.administration().disable(f"{member.hex}@example.org")
    await follow_up(office)
    async with office.work() as work:
        assert await work.tasks.assigned(None, member, 1_000) == []
        assert len(await work.tasks.watched(office.team, member, 1_000)) == AT_ONCE
    assert (await office.show(done.id)).assignees == [member]
    released = (await office.news(f"task:{tasks[0].id}"))[-1]
    assert (released.type, released.actor, released.data) == ("task.unassigned", None, {"account_id": str(member)})


async def test_an_account_that_is_enabled_before_that_keeps_them() -> None:
    office = await Office.open()
    await a_task_of_the_member(office)
    address = f"{office.member.account_id.hex}@example.org"
    await office.container.administration().disable(address)
    await office.container.administration().enable(address)
    await follow_up(office)
    assert await assigned(office) == 1
