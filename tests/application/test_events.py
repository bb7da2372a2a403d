"""Whose events one can read, and which of them a channel shows."""

from uuid import uuid4

import pytest

from application.feeds import Feed
from application.paging import InvalidCursor
from application.ports.events import EventFilter
from application.tasks import NewComment, NewTask, TaskPatch
from application.workspaces import Acceptance, NewInvitation
from domain.channels import account_stream, workspace_stream
from domain.errors import NotFound
from domain.ids import TaskId
from tests.application.office import ROLES, Office

EVERYTHING = EventFilter()


@pytest.fixture
async def office() -> Office:
    return await Office.open()


@pytest.mark.parametrize("who", ROLES)
async def test_a_workspace_and_its_tasks_are_for_its_members(office: Office, who: str) -> None:
    task = await office.task()
    person, stream = office.people[who], workspace_stream(office.team)
    for channel, resource in ((f"workspace:{office.team}", None), (f"task:{task.id}", task.id)):
        if who == "stranger":
            with pytest.raises(NotFound):
                await office.channels.feed(person, channel)
            with pytest.raises(NotFound):
                await office.events.page(person, channel, EVERYTHING, True, None, 10)
        else:
            feed = Feed(office.channels.grammar.parse(channel), stream, resource)
            assert await office.channels.feed(person, channel) == feed
            assert (await office.events.page(person, channel, EVERYTHING, True, None, 10)).data


async def test_me_is_ones_own_account_and_a_personal_workspace_is_for_its_owner(office: Office) -> None:
    mine = office.member.account_id
    assert (await office.channels.feed(office.member, "me")).stream == account_stream(mine)
    with pytest.raises(NotFound):
        await office.channels.feed(office.owner, f"workspace:{mine}")
    assert [event.type for event in await office.news("me", by=office.member)] == [
        "account.registered",
        "workspace.joined",
    ]


@pytest.mark.parametrize(
    "channel",
    ["", "me ", "Me", "me:", "account:{id}", "workspace", "workspace:", "workspace:x", "task:{ID}", "task:{hex}", "*"],
)
async def test_what_is_no_channel_reads_like_one_that_may_not_be_seen(office: Office, channel: str) -> None:
    id = uuid4()
    name = channel.format(id=id, ID=str(id).upper(), hex=id.hex)
    with pytest.raises(NotFound) as nonsense:
        await office.channels.feed(office.member, name)
    with pytest.raises(NotFound) as absent:
        await office.channels.feed(office.member, f"task:{id}")
    assert nonsense.value.detail == absent.value.detail


async def test_the_history_of_a_task_holds_everything_about_it_and_outlives_it(office: Office) -> None:
    task, other = await office.task(), await office.task()
    id = TaskId(task.id)
    await office.tasks.edit(office.admin, id, TaskPatch(title="New"))
    await office.tasks.edit(office.admin, TaskId(other.id), TaskPatch(title="Not this one"))
    comment = await office.tasks.comment(office.owner, id, NewComment("Hm."))
    await office.tasks.delete(office.member, id)
    history = await office.news(f"task:{id}", by=office.viewer)
    assert [(event.type, event.actor) for event in history] == [
        ("task.created", office.member.account_id),
        ("task.updated", office.admin.account_id),
        ("task.comment.created", office.owner.account_id),
        ("task.deleted", office.member.account_id),
    ]
    assert {event.resource.id for event in history} == {task.id}
    assert [event.resource.version for event in history] == [1, 2, 3, 4]
    assert history[2].data["comment_id"] == str(comment.id)
    with pytest.raises(NotFound):
        await office.news(f"task:{id}", by=office.stranger)


async def test_a_filter_by_resource_does_not_lead_out_of_a_task(office: Office) -> None:
    task, other = await office.task(), await office.task()
    wanted = EventFilter(resource_id=other.id)
    page = await office.events.page(office.member, f"task:{task.id}", wanted, True, None, 10)
    assert {event.resource.id for event in page.data} == {task.id}


async def test_pages_follow_each_other_and_belong_to_their_channel(office: Office) -> None:
    for _ in range(3):
        await office.task()
    channel = f"workspace:{office.team}"
    first = await office.events.page(office.member, channel, EVERYTHING, True, None, 4)
    assert [event.offset for event in first.data] == [7, 6, 5, 4]
    rest = await office.events.page(office.viewer, channel, EVERYTHING, True, first.next_cursor, 4)
    assert ([event.offset for event in rest.data], rest.next_cursor) == ([3, 2, 1], None)
    with pytest.raises(InvalidCursor):
        await office.events.page(office.member, "me", EVERYTHING, True, first.next_cursor, 4)


async def test_who_comes_in_later_sees_what_was_before(office: Office) -> None:
    task = await office.task()
    made = await office.workspaces.invite(office.owner, office.team, NewInvitation())
    await office.workspaces.accept(office.stranger, Acceptance(made.token))
    assert [event.type for event in await office.news(f"task:{task.id}", by=office.stranger)] == ["task.created"]
    assert (await office.news(by=office.stranger))[0].offset == 1


async def test_no_event_of_one_workspace_is_in_the_stream_of_another(office: Office) -> None:
    await office.tasks.open(office.member, NewTask("Private"))
    await office.task()
    for event in await office.news():
        assert event.stream == workspace_stream(office.team)
        assert event.resource.id != office.member.account_id
    private = await office.news(f"workspace:{office.member.account_id}", by=office.member)
    assert [event.type for event in private] == ["workspace.created", "task.created"]
