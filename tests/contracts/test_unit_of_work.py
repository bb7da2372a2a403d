"""What every unit of work promises: all or nothing, verified against what it was built on, with its news in order."""
# what raises is the leaving of a unit of work, with all that is noted in it

from dataclasses import replace

import pytest

from application.journal import ChangeTooLarge
from application.paging import PAGE_MAX
from application.ports.events import EventFilter
from application.ports.unit_of_work import Stale
from application.principal import Correlation, acts, correlation
from domain.access import Role
from domain.channels import account_stream, workspace_stream
from domain.errors import NotFound
from domain.identity import Account, EmailTaken, EndReason
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import DESCRIPTION_MAX, Task
from domain.workspaces import SlugTaken, Workspace, WorkspaceKind
from tests.contracts.house import House
from tests.support.builders import a_new_task, a_session, a_task, a_team, an_account, principal


class Broken(Exception):
    """What a test raises inside a unit of work."""


async def types_in(house: House, stream: str) -> list[str]:
    return [entry.type for entry in await house.journal.read(stream, 0, PAGE_MAX)]


async def test_what_a_block_notes_is_applied_when_it_is_left(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    task = a_new_task(house, mine, ada.id)
    async with house.work() as work:
        work.tasks.add(task)
        with pytest.raises(NotFound):
            await work.tasks.get(task.id, ada.id)
        with pytest.raises(NotFound):
            await house.task_queries.view(task.id, ada.id)
    assert (await house.task_queries.view(task.id, ada.id)).title == task.title
    assert await types_in(house, workspace_stream(mine)) == ["workspace.created", "task.created"]


async def test_a_block_that_raises_leaves_nothing(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    old, new = await a_task(house, mine, ada.id), a_new_task(house, mine, ada.id)
    before = await types_in(house, workspace_stream(mine))
    with pytest.raises(Broken):
        async with house.work() as work:
            found, _ = await work.tasks.get(old.id, ada.id)
            found.edit(ada.id, house.clock.now(), title="Changed")
            work.tasks.save(found)
            work.tasks.add(new)
            raise Broken
    assert (await house.task_queries.view(old.id, ada.id)).title == old.title
    with pytest.raises(NotFound):
        await house.task_queries.view(new.id, ada.id)
    assert await types_in(house, workspace_stream(mine)) == before


async def test_what_was_changed_but_not_saved_is_not_kept(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.edit(ada.id, house.clock.now(), title="Changed")
    assert (await house.task_queries.view(task.id, ada.id)).title == task.title


async def test_every_event_of_a_save_raises_the_version_by_one(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    assert task.version == 1
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        for title in ("Once", "Twice"):
            found.edit(ada.id, house.clock.now(), title=title)
            work.tasks.save(found)
    assert found.version == 3
    assert (await house.task_queries.view(task.id, ada.id)).version == 3


async def test_saving_without_news_writes_nothing_however_outdated_it_is(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    task = await a_task(house, mine, ada.id)
    async with house.work() as outdated:
        loaded, _ = await outdated.tasks.get(task.id, ada.id)
        await _rename(house, ada.id, task, "Faster")
        loaded.edit(ada.id, house.clock.now(), title=task.title)
        loaded.watch(ada.id, house.clock.now())
        outdated.tasks.save(loaded)
    view = await house.task_queries.view(task.id, ada.id)
    assert (view.title, view.version) == ("Faster", 2)
    assert (await types_in(house, workspace_stream(mine)))[1:] == ["task.created", "task.updated"]


async def test_a_writer_that_was_overtaken_is_stale_and_loses_everything_it_noted(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    task, other = await a_task(house, mine, ada.id), a_new_task(house, mine, ada.id)
    with pytest.raises(Stale):
        async with house.work() as slow:
            loaded, _ = await slow.tasks.get(task.id, ada.id)
            loaded.edit(ada.id, house.clock.now(), title="Slower")
            slow.tasks.add(other)
            slow.tasks.save(loaded)
            await _rename(house, ada.id, task, "Faster")
    view = await house.task_queries.view(task.id, ada.id)
    assert (view.title, view.version) == ("Faster", 2)
    with pytest.raises(NotFound):
        await house.task_queries.view(other.id, ada.id)
    assert (await types_in(house, workspace_stream(mine)))[1:] == ["task.created", "task.updated"]


async def test_overtaken_accounts_sessions_and_workspaces_are_stale_too(house: House) -> None:
    ada = await an_account(house)
    session, team = await a_session(house, ada.id), await a_team(house, ada.id)
    now = house.clock.now()

    with pytest.raises(Stale):
        async with house.work() as slow:
            account = await slow.accounts.get(ada.id)
            account.change(now, "Slow")
            slow.accounts.save(account)
            async with house.work() as quick:
                same = await quick.accounts.get(ada.id)
                same.change(now, "Quick")
                quick.accounts.save(same)
    with pytest.raises(Stale):
        async with house.work() as slow:
            loaded = await slow.sessions.get(session.id)
            assert loaded
            loaded.end(EndReason.LOGGED_OUT, None, now)
            slow.sessions.save(loaded)
            async with house.work() as quick:
                again = await quick.sessions.get(session.id)
                assert again
                again.end(EndReason.ENDED_BY_OWNER, None, now)
                quick.sessions.save(again)
    with pytest.raises(Stale):
        async with house.work() as slow:
            workspace = await slow.workspaces.get(team.id)
            workspace.change(ada.id, now, name="Slow")
            slow.workspaces.save(workspace)
            async with house.work() as quick:
                overtaking = await quick.workspaces.get(team.id)
                overtaking.change(ada.id, now, name="Quick")
                quick.workspaces.save(overtaking)
    async with house.work() as work:
        assert (await work.accounts.get(ada.id)).display_name == "Quick"
        kept = await work.sessions.get(session.id)
        assert kept
        assert kept.ended_because is EndReason.ENDED_BY_OWNER
        assert (await work.workspaces.get(team.id)).name == "Quick"


@pytest.mark.parametrize("asked_by", ["standing", "get", "get_many", "assignable"])
@pytest.mark.parametrize("new_role", [None, Role.ADMIN])
async def test_a_membership_that_was_asked_for_has_to_last_until_the_block_is_left(
    house: House, asked_by: str, new_role: Role | None
) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    task, new = await a_task(house, team.id, bob.id), a_new_task(house, team.id, bob.id)
    with pytest.raises(Stale):
        async with house.work() as work:
            match asked_by:
                case "standing":
                    await work.access.standing(team.id, bob.id)
                case "get":
                    await work.tasks.get(task.id, bob.id)
                case "get_many":
                    await work.tasks.get_many({task.id}, bob.id)
                case _:
                    await work.access.assignable(team.id, frozenset({bob.id}))
            work.tasks.add(new)
            await _make(house, team.id, ada.id, bob.id, new_role)
    with pytest.raises(NotFound):
        await house.task_queries.view(new.id, ada.id)
    assert "task.created" not in (await types_in(house, workspace_stream(team.id)))[-1:]


async def test_who_can_be_assigned_is_not_disabled_when_the_block_is_left(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    new = a_new_task(house, team.id, ada.id, assignees=[bob.id])
    with pytest.raises(Stale):
        async with house.work() as work:
            assert await work.access.assignable(team.id, frozenset({bob.id}))
            await work.access.standing(team.id, bob.id)
            work.tasks.add(new)
            async with house.work() as other:
                account = await other.accounts.get(bob.id)
                account.disable(house.clock.now())
                other.accounts.save(account)
    with pytest.raises(NotFound):
        await house.task_queries.view(new.id, ada.id)


async def test_a_membership_that_nobody_asked_for_does_not_matter(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    task = a_new_task(house, team.id, ada.id)
    async with house.work() as work:
        await work.access.standing(team.id, ada.id)
        assert await work.access.members(team.id, frozenset({bob.id})) == {bob.id}
        work.tasks.add(task)
        await _make(house, team.id, ada.id, bob.id, None)
    assert (await house.task_queries.view(task.id, ada.id)).id == task.id


async def test_a_unit_that_only_reads_is_never_stale(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    task = await a_task(house, team.id, ada.id)
    async with house.work() as work:
        await work.tasks.get(task.id, bob.id)
        await _rename(house, ada.id, task, "Faster")
        await _make(house, team.id, ada.id, bob.id, None)


async def test_a_constraint_speaks_when_the_block_is_left_and_undoes_all_of_it(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    now = house.clock.now()
    twin = Account.register(AccountId(house.ids.new()), str(ada.email), "Twin", "a hash", now)
    with pytest.raises(EmailTaken):
        async with house.work() as work:
            work.accounts.add(twin)
    same_slug = Workspace.create(WorkspaceId(house.ids.new()), "Twin", team.slug, WorkspaceKind.TEAM, ada.id, now)
    task = a_new_task(house, WorkspaceId(ada.id), ada.id)
    with pytest.raises(SlugTaken):
        async with house.work() as work:
            work.tasks.add(task)
            work.workspaces.add(same_slug)
    with pytest.raises(NotFound):
        await house.task_queries.view(task.id, ada.id)
    assert await types_in(house, account_stream(twin.id)) == []
    assert await types_in(house, workspace_stream(same_slug.id)) == []


async def test_the_news_of_one_unit_stand_in_the_order_in_which_they_were_noted(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id)
    first, second = a_new_task(house, team.id, ada.id), a_new_task(house, team.id, ada.id)
    async with house.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.admit(bob.id, Role.MEMBER, ada.id, house.clock.now())
        work.tasks.add(second)
        work.workspaces.save(workspace)
        work.tasks.add(first)
    entries = await house.journal.read(workspace_stream(team.id), 1, PAGE_MAX)
    assert [(e.offset, e.type, e.resource_id) for e in entries] == [
        (2, "task.created", second.id),
        (3, "member.added", team.id),
        (4, "task.created", first.id),
    ]
    (joined,) = await house.journal.read(account_stream(bob.id), 1, PAGE_MAX)
    assert (joined.offset, joined.type) == (2, "workspace.joined")


async def test_an_event_leads_back_to_the_request_that_caused_it(house: House) -> None:
    ada = await an_account(house)
    token = correlation.set(Correlation("request-7", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
    try:
        task = await a_task(house, WorkspaceId(ada.id), ada.id)
    finally:
        correlation.reset(token)
    (event,) = (await house.journal.page(workspace_stream(task.workspace_id), EventFilter(), True, None, 1)).data
    assert event.request_id == "request-7"
    assert event.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_an_event_tells_by_which_credential_its_actor_did_it_if_that_was_no_session(house: House) -> None:
    ada = await an_account(house)
    by_session, by_key = principal(ada), replace(principal(ada), scopes=frozenset())
    token = correlation.set(Correlation("request-7"))
    try:
        acts(by_session)
        task = await a_task(house, WorkspaceId(ada.id), ada.id)
        acts(by_key)
        async with house.work() as work:
            found, _ = await work.tasks.get(task.id, ada.id)
            found.assign(ada.id, ada.id, house.clock.now())
            found.unassign(ada.id, None, house.clock.now())
            work.tasks.save(found)
        assert correlation.get().request_id == "request-7"
    finally:
        correlation.reset(token)
    events = (await house.journal.page(workspace_stream(task.workspace_id), EventFilter(), True, None, 3)).data
    assert [(event.type, event.actor, event.via) for event in events] == [
        ("task.unassigned", None, None),
        ("task.assigned", ada.id, by_key.credential_id),
        ("task.created", ada.id, None),
    ]


async def _rename(house: House, by: AccountId, task: Task, title: str) -> None:
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, by)
        found.edit(by, house.clock.now(), title=title)
        work.tasks.save(found)


async def _make(house: House, team: WorkspaceId, by: AccountId, account: AccountId, role: Role | None) -> None:
    """Give the member another role, or end the membership if there is none."""
    async with house.work() as work:
        workspace = await work.workspaces.get(team)
        if role is None:
            workspace.remove(account, by, house.clock.now())
        else:
            workspace.change_role(account, role, by, house.clock.now())
        work.workspaces.save(workspace)


async def test_what_one_unit_tells_is_bounded_and_nothing_of_more_is_applied(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    tasks = [await a_task(house, mine, ada.id, description="ä" * DESCRIPTION_MAX) for _ in range(21)]
    before = await house.journal.heads([workspace_stream(mine)])

    async def empty(ids: list[TaskId]) -> None:
        async with house.work() as work:
            for id in ids:
                found, _ = await work.tasks.get(id, ada.id)
                found.edit(ada.id, house.clock.now(), description="ö" * DESCRIPTION_MAX)
                work.tasks.save(found)

    with pytest.raises(ChangeTooLarge):
        await empty([task.id for task in tasks])
    assert await house.journal.heads([workspace_stream(mine)]) == before
    assert (await house.task_queries.view(tasks[0].id, ada.id)).description == "ä" * DESCRIPTION_MAX
    await empty([task.id for task in tasks[1:]])
    assert (await house.task_queries.view(tasks[20].id, ada.id)).description == "ö" * DESCRIPTION_MAX
