"""What every unit of work promises when many of them are applied at once."""

import asyncio
import itertools

import pytest

from application.paging import PAGE_MAX
from application.ports.events import EventFilter
from application.ports.unit_of_work import Stale
from application.tasks import TaskPatch, Tasks
from domain.access import Role
from domain.channels import workspace_stream
from domain.errors import NotFound
from domain.identity import Account, EmailTaken
from domain.ids import AccountId, WorkspaceId
from domain.tasks import AlreadyAssigned
from domain.workspaces import SlugTaken, Workspace, WorkspaceKind
from tests.contracts.house import House
from tests.support.builders import a_new_task, a_task, a_team, an_account, principal


class Broken(Exception):
    """What a test raises inside a unit of work."""


async def test_twenty_parallel_writers_and_failures_leave_no_hole_in_a_stream(house: House) -> None:
    ada = await an_account(house)
    teams = [await a_team(house, ada.id) for _ in range(2)]
    start = asyncio.Event()

    async def write(number: int) -> None:
        await start.wait()
        for round in range(3):
            try:
                async with house.work() as work:
                    for team in teams if number % 2 else reversed(teams):
                        work.tasks.add(a_new_task(house, team.id, ada.id, title=f"Task {number}.{round}"))
                    if number % 4 == 0:
                        raise Broken
            except Broken:
                pass

    writers = [asyncio.create_task(write(number)) for number in range(20)]
    start.set()
    await asyncio.gather(*writers)
    for team in teams:
        entries = await house.journal.read(workspace_stream(team.id), 0, PAGE_MAX)
        assert [entry.offset for entry in entries] == list(range(1, 1 + 15 * 3 + 1))
        assert (await house.journal.heads([workspace_stream(team.id)])) == {workspace_stream(team.id): 46}
        assert len({entry.resource_id for entry in entries}) == 46


async def test_of_twenty_who_claim_a_task_at_once_one_gets_it(house: House) -> None:
    ada = await an_account(house)
    racers = [await an_account(house, f"Racer {number}") for number in range(20)]
    team = await a_team(house, ada.id, {racer.id: Role.MEMBER for racer in racers})
    task = await a_task(house, team.id, ada.id)
    tasks = Tasks(house.work, house.task_queries, house.task_numbers, house.clock, house.ids)
    outcomes = await asyncio.gather(
        *(tasks.claim(principal(racer), task.id) for racer in racers), return_exceptions=True
    )
    winners = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, AlreadyAssigned)]
    assert (len(winners), len(losers)) == (1, 19)
    view = await house.task_queries.view(task.id, ada.id)
    assert view.assignees == winners[0].assignees
    entries = await house.journal.read(workspace_stream(team.id), 0, PAGE_MAX)
    assert [entry.type for entry in entries].count("task.claimed") == 1


async def test_writers_of_one_task_all_come_through_one_after_the_other(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    tasks = Tasks(house.work, house.task_queries, house.task_numbers, house.clock, house.ids)
    titles = [f"Title {number}" for number in range(6)]
    views = await asyncio.gather(*(tasks.edit(principal(ada), task.id, TaskPatch(title=title)) for title in titles))
    assert sorted(view.version for view in views) == list(range(2, 8))
    page = await house.journal.page(workspace_stream(task.workspace_id), EventFilter(), True, None, 6)
    renames = [event.changes["title"] for event in reversed(page.data)]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(renames))
    assert {new for _, new in renames} == set(titles)


async def test_of_many_who_loaded_the_same_version_one_saves_and_all_others_are_stale(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    # Eight, so that all can hold a connection at once and none leaves before the last has loaded.
    loaded = asyncio.Barrier(8)

    async def write(number: int) -> str:
        async with house.work() as work:
            found, _ = await work.tasks.get(task.id, ada.id)
            found.edit(ada.id, house.clock.now(), title=f"Title {number}")
            work.tasks.save(found)
            await loaded.wait()
        return found.title

    outcomes = await asyncio.gather(*(write(number) for number in range(8)), return_exceptions=True)
    (title,) = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert sum(isinstance(outcome, Stale) for outcome in outcomes) == 7
    view = await house.task_queries.view(task.id, ada.id)
    assert (view.title, view.version) == (title, 2)
    assert await house.journal.heads([workspace_stream(task.workspace_id)]) == {workspace_stream(task.workspace_id): 3}


async def test_of_many_who_want_the_same_address_or_slug_one_gets_it(house: House) -> None:
    ada = await an_account(house)
    now = house.clock.now()

    async def register() -> Account:
        account = Account.register(AccountId(house.ids.new()), "grace@example.org", "Grace", "a hash", now)
        async with house.work() as work:
            work.accounts.add(account)
        return account

    async def create() -> Workspace:
        id = WorkspaceId(house.ids.new())
        workspace = Workspace.create(id, "Wanted", "wanted", WorkspaceKind.TEAM, ada.id, now)
        async with house.work() as work:
            work.workspaces.add(workspace)
        return workspace

    accounts = await asyncio.gather(*(register() for _ in range(12)), return_exceptions=True)
    workspaces = await asyncio.gather(*(create() for _ in range(12)), return_exceptions=True)
    (winner,) = [outcome for outcome in accounts if isinstance(outcome, Account)]
    assert sum(isinstance(outcome, EmailTaken) for outcome in accounts) == 11
    assert sum(isinstance(outcome, SlugTaken) for outcome in workspaces) == 11
    async with house.work() as work:
        assert await work.accounts.find("grace@example.org") == winner
    assert len((await house.workspace_queries.page(ada.id, None, 10)).data) == 2


async def test_a_unit_that_fails_takes_none_of_its_contemporaries_down(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    outdated = await a_task(house, mine, ada.id)
    tasks = [a_new_task(house, mine, ada.id) for _ in range(20)]
    async with house.work() as work:
        old, _ = await work.tasks.get(outdated.id, ada.id)
    await Tasks(house.work, house.task_queries, house.task_numbers, house.clock, house.ids).edit(
        principal(ada), outdated.id, TaskPatch(title="Newer")
    )

    async def add(number: int) -> None:
        async with house.work() as work:
            work.tasks.add(tasks[number])
            if number == 7:
                old.edit(ada.id, house.clock.now(), title="Older")
                work.tasks.save(old)
            if number == 13:
                twin = Account.register(AccountId(house.ids.new()), str(ada.email), "Twin", "a hash", house.clock.now())
                work.accounts.add(twin)

    outcomes = await asyncio.gather(*(add(number) for number in range(20)), return_exceptions=True)
    assert {i: type(outcome) for i, outcome in enumerate(outcomes) if outcome} == {7: Stale, 13: EmailTaken}
    for number, task in enumerate(tasks):
        if number in {7, 13}:
            with pytest.raises(NotFound):
                await house.task_queries.view(task.id, ada.id)
        else:
            assert (await house.task_queries.view(task.id, ada.id)).version == 1
    entries = await house.journal.read(workspace_stream(mine), 0, PAGE_MAX)
    assert [entry.offset for entry in entries] == list(range(1, 1 + 3 + 18))


async def test_nobody_writes_as_a_member_after_the_membership_ended(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})

    async def write() -> None:
        while True:
            async with house.work() as work:
                await work.access.standing(team.id, bob.id)
                work.tasks.add(a_new_task(house, team.id, bob.id))

    writers = [asyncio.create_task(write()) for _ in range(5)]
    async with asyncio.timeout(20):
        while (await house.journal.heads([workspace_stream(team.id)]))[workspace_stream(team.id)] < 10:
            await asyncio.sleep(0)
    async with house.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.remove(bob.id, ada.id, house.clock.now())
        work.workspaces.save(workspace)
    outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(outcome, Stale | NotFound) for outcome in outcomes)
    (last,) = (await house.journal.page(workspace_stream(team.id), EventFilter(), True, None, 1)).data
    assert last.type == "member.removed"
