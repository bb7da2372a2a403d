"""Who may follow what is asked of the contexts, and no more often than it has to be."""

from collections.abc import Collection, Mapping
from uuid import UUID, uuid4

import pytest
from msgspec import Raw

from adapters.memory.access import MemoryAccessQueries
from application.feeds import EVERYBODY, Channels, Feed
from application.ports.events import Entry
from application.tasks import TaskFeeds
from application.workspaces import WorkspaceFeeds
from domain.channels import Channel, workspace_stream
from domain.ids import AccountId, WorkspaceId
from domain.tasks import TASK
from domain.workspaces import WORKSPACE
from tests.application.office import Office


@pytest.fixture
async def office() -> Office:
    return await Office.open()


class Register(MemoryAccessQueries):
    """Notes which places it was asked about in one question."""

    def __init__(self, office: Office) -> None:
        super().__init__(office.container.database())
        self.asked: list[set[UUID]] = []

    async def workspaces_of(
        self, asked: Collection[tuple[UUID, AccountId]]
    ) -> Mapping[tuple[UUID, AccountId], WorkspaceId]:
        self.asked.append({place for place, _ in asked})
        return await super().workspaces_of(asked)


def an_entry(type: str, account: UUID | None = None, resource: UUID | None = None) -> Entry:
    body = b'{"type":"%b","data":{"account_id":"%b"}}' % (type.encode(), str(account or uuid4()).encode())
    return Entry("workspace:x", 7, type, resource or uuid4(), Raw(body))


def test_a_feed_shows_its_resource_or_everything() -> None:
    one, two = uuid4(), uuid4()
    everything, task = Feed(Channel(WORKSPACE, one), "workspace:x"), Feed(Channel(TASK, one), "workspace:x", one)
    for resource, shown in ((one, True), (two, False)):
        entry = an_entry("task.updated", resource=resource)
        assert everything.shows(entry)
        assert task.shows(entry) is shown


@pytest.mark.parametrize("type", ["member.added", "member.role_changed", "workspace.updated", "task.deleted"])
async def test_other_entries_take_no_right(office: Office, type: str) -> None:
    assert office.channels.loser_of(an_entry(type)) is None


async def test_the_entries_that_end_a_right_are_those_that_the_use_cases_write(office: Office) -> None:
    await office.task()
    viewer, member = office.viewer.account_id, office.member.account_id
    await office.workspaces.remove(office.admin, office.team, viewer)
    await office.workspaces.remove(office.member, office.team, member)
    await office.workspaces.delete(office.owner, office.team)
    entries = await office.journal.read(workspace_stream(office.team), 0, 100)
    losers = [loser for entry in entries if (loser := office.channels.loser_of(entry)) is not None]
    assert losers == [viewer, member, EVERYBODY]


async def test_every_context_is_asked_once_and_not_about_what_another_has_answered(office: Office) -> None:
    tasks = [await office.task() for _ in range(3)]
    register = Register(office)
    channels = Channels([WorkspaceFeeds(register), TaskFeeds(register)], office.journal)
    member, team = office.member, f"workspace:{office.team}"
    names = [name for task in tasks for name in (f"typing:task:{task.id}", f"task:{task.id}")]
    ids = {task.id for task in tasks}
    assert (await channels.feeds(member, [*names, team, f"presence:{team}"])).keys() == {
        *names,
        team,
        f"presence:{team}",
    }
    assert register.asked == [{office.team}, ids]
    # By now it is known whose tasks they are.
    assert (await channels.feeds(member, [*names, team])).keys() == {*names, team}
    assert register.asked[2:] == [{office.team}]
    assert (await channels.feeds(member, names, [workspace_stream(office.team)])).keys() == set(names)
    assert register.asked[3:] == []
    # And yet not who may see them.
    assert await channels.feeds(office.stranger, [*names, team]) == {}
    assert register.asked[3:] == [{office.team}, ids]


async def test_neither_is_the_id_of_a_task_that_of_a_workspace_nor_the_other_way_round(office: Office) -> None:
    task = await office.task()
    names = [f"task:{office.team}", f"workspace:{task.id}", f"presence:workspace:{task.id}"]
    assert await office.channels.feeds(office.member, names) == {}


async def test_what_belongs_to_two_contexts_is_refused(office: Office) -> None:
    register = Register(office)
    with pytest.raises(ValueError, match="named task"):
        Channels([TaskFeeds(register), TaskFeeds(register), WorkspaceFeeds(register)], office.journal)

    others = TaskFeeds(register)
    others.kinds, others.losses = (), WorkspaceFeeds.losses
    with pytest.raises(ValueError, match=r"by member\.removed"):
        Channels([WorkspaceFeeds(register), others], office.journal)
