"""Whoever left while a task was closed or deleted does not have it once it is open again."""

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import pytest

from application.tasks import Bulk, BulkUpdate, TaskPatch
from application.workspaces import Acceptance, NewInvitation, RoleChange
from domain.access import Role
from domain.ids import TaskId
from domain.tasks import AlreadyAssigned, Status
from tests.application.office import Office

OPEN_AGAIN = TaskPatch(status=Status.TODO)


async def leave(office: Office) -> None:
    await office.workspaces.remove(office.member, office.team, office.member.account_id)


async def be_removed(office: Office) -> None:
    await office.workspaces.remove(office.admin, office.team, office.member.account_id)


async def become_a_viewer(office: Office) -> None:
    await office.workspaces.change_role(office.admin, office.team, office.member.account_id, RoleChange(Role.VIEWER))


async def be_disabled(office: Office) -> None:
    await office.container.administration().disable(f"{office.member.account_id.hex}@example.org")


async def restore(office: Office, id: TaskId) -> None:
    await office.tasks.restore(office.owner, id)


async def reopen(office: Office, id: TaskId) -> None:
    await office.tasks.edit(office.owner, id, OPEN_AGAIN)


async def reopen_in_bulk(office: Office, id: TaskId) -> None:
    await office.tasks.bulk(office.owner, Bulk([BulkUpdate(id, OPEN_AGAIN)]))


DEPARTURES = [leave, be_removed, become_a_viewer, be_disabled]
RETURNS: Mapping[str, tuple[Status | None, Callable[[Office, TaskId], Awaitable[None]]]] = {
    "reopen what is done": (Status.DONE, reopen),
    "reopen what is cancelled": (Status.CANCELLED, reopen),
    "reopen in bulk": (Status.DONE, reopen_in_bulk),
    "restore": (None, restore),
}


async def follow_up(office: Office) -> None:
    while await office.container.following_up().turn():
        pass


async def put_away(office: Office, status: Status | None, *assignees: UUID) -> TaskId:
    """A task of these people that is closed or deleted."""
    id = TaskId((await office.task(by=office.owner, assignee_ids=[*assignees])).id)
    if status:
        await office.tasks.edit(office.owner, id, TaskPatch(status=status))
    else:
        await office.tasks.delete(office.owner, id)
    return id


@pytest.mark.parametrize("depart", DEPARTURES)
@pytest.mark.parametrize("way", RETURNS)
async def test_what_is_open_again_is_not_with_somebody_who_cannot_have_it(
    way: str, depart: Callable[[Office], Awaitable[None]]
) -> None:
    office = await Office.open()
    member, admin, owner = (office.people[name].account_id for name in ("member", "admin", "owner"))
    status, open_again = RETURNS[way]
    id = await put_away(office, status, member, admin)
    await depart(office)
    await follow_up(office)
    await open_again(office, id)
    task = await office.show(id)
    assert task.assignees == [admin]
    can_read = depart in (become_a_viewer, be_disabled)
    assert task.watchers == ([owner, member, admin] if can_read else [owner, admin])
    told = [event for event in await office.news(f"task:{id}") if event.type in {"task.unassigned", "task.unwatched"}]
    assert [event.type for event in told] == ["task.unassigned"] + ["task.unwatched"] * (not can_read)
    for event in told:
        assert (event.actor, event.data) == (owner, {"account_id": str(member)})
    assert task.version == told[-1].resource.version


@pytest.mark.parametrize("depart", DEPARTURES)
async def test_what_was_with_somebody_who_is_gone_can_be_claimed_at_once(
    depart: Callable[[Office], Awaitable[None]],
) -> None:
    office = await Office.open()
    member, admin = office.member.account_id, office.admin.account_id
    closed = await put_away(office, Status.DONE, member)
    open = TaskId((await office.task(assignee_ids=[member])).id)
    await depart(office)  # what follows from it is still to be done
    for id in (closed, open):
        claimed = await office.tasks.claim(office.admin, id)
        assert claimed.assignees == [admin]
        with pytest.raises(AlreadyAssigned):
            await office.tasks.claim(office.owner, id)


async def test_somebody_who_joins_others_on_a_task_does_not_join_those_who_are_gone() -> None:
    office = await Office.open()
    member, admin, owner = (office.people[name].account_id for name in ("member", "admin", "owner"))
    id = await put_away(office, Status.DONE, member, owner)
    await be_removed(office)
    assert (await office.tasks.assign(office.owner, id, admin)).assignees == [owner, admin]


async def test_who_is_back_by_then_has_it_still() -> None:
    office = await Office.open()
    id = await put_away(office, Status.DONE, office.member.account_id)
    await be_removed(office)
    made = await office.workspaces.invite(office.owner, office.team, NewInvitation())
    await office.workspaces.accept(office.member, Acceptance(made.token))
    await reopen(office, id)
    task = await office.show(id)
    assert task.assignees == [office.member.account_id]
    assert office.member.account_id in task.watchers


async def test_what_stays_closed_stays_with_those_who_did_it() -> None:
    office = await Office.open()
    id = await put_away(office, Status.DONE, office.member.account_id)
    await be_removed(office)
    await office.tasks.edit(office.owner, id, TaskPatch(title="Done well"))
    assert (await office.show(id)).assignees == [office.member.account_id]
