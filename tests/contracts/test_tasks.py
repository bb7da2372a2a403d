"""What every TaskRepository and its queries promise about one task and the comments below it."""

from datetime import timedelta
from typing import cast

import msgspec
import pytest

from application.paging import InvalidCursor
from application.ports.tasks import TaskView
from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, CommentId, TaskId, WorkspaceId
from domain.tasks import Priority, Status
from tests.contracts.house import House
from tests.support.builders import a_comment, a_new_task, a_task, a_team, an_account

CUSTOM = {"sprint": 7, "ratio": 0.5, "tags": ["ä", None, True], "nested": {"deep": {"er": "\u2028 \U0001f600"}}}


async def test_a_task_comes_back_whole(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    now = house.clock.now()
    task = await a_task(
        house,
        team.id,
        ada.id,
        title="Überprüfen: 'quotes', \"more\" & \\",
        description="Line one\nline two 🚀",
        status=Status.DONE,
        priority=Priority.URGENT,
        labels=["b", "a", "with, comma"],
        assignees=[bob.id, ada.id],
        due_at=now + timedelta(days=3, milliseconds=7),
        start_at=now - timedelta(days=40_000),
        estimate_minutes=90,
        custom=CUSTOM,
    )
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, bob.id)
    assert found == task
    assert standing == Standing(Role.MEMBER)
    assert (found.completed_at, found.deleted_at, found.version) == (now, None, 1)
    assert type(found.status) is Status
    assert type(found.priority) is Priority


async def test_every_field_that_can_change_is_kept(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    task = await a_task(house, team.id, ada.id)
    comment = await a_comment(house, task.id, bob.id)
    house.clock.advance(timedelta(seconds=90))
    now = house.clock.now()
    async with house.work() as work:
        changed, standing = await work.tasks.get(task.id, ada.id)
        changed.edit(
            ada.id,
            now,
            title="Another",
            description="Described",
            status=Status.DONE,
            priority=Priority.LOW,
            labels=["x"],
            due_at=now,
            start_at=now,
            estimate_minutes=0,
            custom=CUSTOM,
        )
        changed.assign(bob.id, ada.id, now)
        changed.delete(ada.id, standing, now)
        work.tasks.save(changed)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id, deleted=True)
    assert found == changed
    assert found.watchers == [ada.id, bob.id]
    assert (found.comment_count, found.completed_at, found.deleted_at, found.updated_at) == (1, now, now, now)
    assert comment.created_at < now


async def test_an_archived_task_is_read_edited_and_taken_out_again_like_any_other(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    now = house.clock.now()
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.archive(ada.id, now)
        work.tasks.save(found)
    assert (await house.task_queries.view(task.id, ada.id)).archived_at == now
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        assert found.archived_at == now
        found.edit(ada.id, now, title="Other")
        found.unarchive(ada.id, now)
        work.tasks.save(found)
    view = await house.task_queries.view(task.id, ada.id)
    assert (view.archived_at, view.title) == (None, "Other")


async def test_a_loaded_task_is_the_callers_own_copy(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id, labels=["kept"], custom={"list": [1]})
    async with house.work() as work:
        mine, _ = await work.tasks.get(task.id, ada.id)
        mine.labels.append("mine")
        cast(list[int], mine.custom["list"]).append(2)
        mine.title = "Mine"
        again, _ = await work.tasks.get(task.id, ada.id)
        assert (again.title, again.labels, again.custom) == (task.title, ["kept"], {"list": [1]})
    view = await house.task_queries.view(task.id, ada.id)
    assert (view.title, view.labels, view.custom) == (task.title, ["kept"], {"list": [1]})


async def test_a_saved_task_does_not_change_with_the_callers_copy(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id, labels=["kept"])
    task.labels.append("later")
    assert (await house.task_queries.view(task.id, ada.id)).labels == ["kept"]


async def test_what_is_absent_deleted_or_foreign_reads_the_same(house: House) -> None:
    ada, eve = await an_account(house), await an_account(house, "Eve")
    mine = WorkspaceId(ada.id)
    task, gone = await a_task(house, mine, ada.id), await a_task(house, mine, ada.id)
    async with house.work() as work:
        deleted, standing = await work.tasks.get(gone.id, ada.id)
        deleted.delete(ada.id, standing, house.clock.now())
        work.tasks.save(deleted)
    cases = [(TaskId(house.ids.new()), ada.id), (gone.id, ada.id), (task.id, eve.id)]
    for id, by in cases:
        async with house.work() as work:
            with pytest.raises(NotFound):
                await work.tasks.get(id, by)
            assert await work.tasks.get_many({id}, by) == {}
        with pytest.raises(NotFound):
            await house.task_queries.view(id, by)
        with pytest.raises(NotFound):
            await house.task_queries.comments(id, by, None, 10)


async def test_a_deleted_task_is_found_by_who_asks_for_it_and_may_see_it(house: House) -> None:
    ada, eve = await an_account(house), await an_account(house, "Eve")
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, ada.id)
        found.delete(ada.id, standing, house.clock.now())
        work.tasks.save(found)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.tasks.get(task.id, eve.id, deleted=True)
        again, standing = await work.tasks.get(task.id, ada.id, deleted=True)
        again.restore(ada.id, standing, house.clock.now())
        work.tasks.save(again)
    assert (await house.task_queries.view(task.id, ada.id)).version == 3


async def test_several_are_found_at_once_each_with_the_standing_in_its_workspace(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    own, shared = await a_task(house, WorkspaceId(bob.id), bob.id), await a_task(house, team.id, ada.id)
    foreign = await a_task(house, WorkspaceId(ada.id), ada.id)
    async with house.work() as work:
        found = await work.tasks.get_many({own.id, shared.id, foreign.id, TaskId(house.ids.new())}, bob.id)
        assert await work.tasks.get_many(set(), bob.id) == {}
    assert found == {own.id: (own, Standing(Role.OWNER)), shared.id: (shared, Standing(Role.VIEWER))}


async def test_several_tasks_are_saved_in_one_unit(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    tasks = [await a_task(house, mine, ada.id) for _ in range(25)]
    async with house.work() as work:
        found = await work.tasks.get_many({task.id for task in tasks}, ada.id)
        for task, _ in found.values():
            task.edit(ada.id, house.clock.now(), priority=Priority.HIGH)
            work.tasks.save(task)
        for _ in range(25):
            work.tasks.add(a_new_task(house, mine, ada.id))
    for task in tasks:
        assert (await house.task_queries.view(task.id, ada.id)).priority == Priority.HIGH
    assert (await house.journal.heads([f"workspace:{mine}"])) == {f"workspace:{mine}": 76}


async def test_saving_twice_with_one_effect_is_harmless(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    for _ in range(2):
        async with house.work() as work:
            found, _ = await work.tasks.get(task.id, ada.id)
            found.edit(ada.id, house.clock.now(), title="Again")
            work.tasks.save(found)
    assert (await house.task_queries.view(task.id, ada.id)).version == 2
    assert await house.journal.heads([f"workspace:{ada.id}"]) == {f"workspace:{ada.id}": 3}


async def test_the_view_shows_every_field_to_every_member(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    now = house.clock.now()
    task = await a_task(
        house,
        team.id,
        ada.id,
        description="Described",
        status=Status.DONE,
        priority=Priority.HIGH,
        labels=["b", "a"],
        assignees=[ada.id],
        due_at=now,
        start_at=now,
        estimate_minutes=5,
        custom=CUSTOM,
    )
    view = await house.task_queries.view(task.id, bob.id)
    assert view == msgspec.convert(task, TaskView, from_attributes=True)
    assert msgspec.json.decode(msgspec.json.encode(view), type=TaskView) == view


async def test_the_open_tasks_that_a_member_has_or_watches_are_found(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = (await a_team(house, ada.id, {bob.id: Role.MEMBER})).id
    other = (await a_team(house, ada.id, {bob.id: Role.MEMBER})).id
    expected = [(await a_task(house, team, ada.id, assignees=[bob.id, ada.id])).id]
    await a_task(house, team, ada.id, assignees=[ada.id])
    await a_task(house, team, ada.id, assignees=[bob.id], status=Status.DONE)
    await a_task(house, team, ada.id, assignees=[bob.id], status=Status.CANCELLED)
    elsewhere = await a_task(house, other, ada.id, assignees=[bob.id])
    gone = await a_task(house, team, ada.id, assignees=[bob.id])
    house.clock.advance(timedelta(seconds=1))
    expected.append((await a_task(house, team, ada.id, assignees=[bob.id], status=Status.BLOCKED)).id)
    async with house.work() as work:
        task, standing = await work.tasks.get(gone.id, ada.id)
        task.delete(ada.id, standing, house.clock.now())
        work.tasks.save(task)
    async with house.work() as work:
        assert {task.id for task in await work.tasks.assigned(team, bob.id, 9)} == set(expected)
        assert {task.id for task in await work.tasks.assigned(None, bob.id, 9)} == {*expected, elsewhere.id}
        assert len(await work.tasks.assigned(team, bob.id, 1)) == 1
        for task in await work.tasks.assigned(team, bob.id, 1):
            task.unassign(bob.id, ada.id, house.clock.now())
            work.tasks.save(task)
    async with house.work() as work:
        assert {task.id for task in await work.tasks.watched(team, bob.id, 9)} == set(expected)
        assert len(await work.tasks.watched(team, bob.id, 1)) == 1
        assert len(await work.tasks.assigned(team, bob.id, 9)) == 1
        watched = await work.tasks.watched(team, bob.id, 9)
        for task in watched:
            task.unwatch(bob.id, ada.id, house.clock.now())
            work.tasks.save(task)
    async with house.work() as work:
        assert await work.tasks.watched(team, bob.id, 9) == []


async def test_a_comment_comes_back_whole_and_counts(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    task = await a_task(house, team.id, ada.id)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, bob.id)
        id, now = CommentId(house.ids.new()), house.clock.now()
        comment = found.comment(id, "A line\nand another", [ada.id, bob.id], bob.id, now)
        work.tasks.add_comment(comment)
        work.tasks.save(found)
    async with house.work() as work:
        assert await work.tasks.comment(comment.id, task.id) == comment
    (view,) = (await house.task_queries.comments(task.id, ada.id, None, 10)).data
    assert (view.id, view.task_id, view.author_id, view.text) == (comment.id, task.id, bob.id, comment.text)
    assert (view.mentions, view.created_at, view.updated_at) == ([ada.id, bob.id], now, now)
    assert (await house.task_queries.view(task.id, ada.id)).comment_count == 1


async def test_a_comment_is_rewritten_and_removed(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    comment = await a_comment(house, task.id, ada.id)
    house.clock.advance(timedelta(seconds=5))
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        rewritten = await work.tasks.comment(comment.id, task.id)
        found.edit_comment(rewritten, "Better", [ada.id], ada.id, house.clock.now())
        work.tasks.save_comment(rewritten)
        work.tasks.save(found)
    async with house.work() as work:
        assert await work.tasks.comment(comment.id, task.id) == rewritten
    assert (rewritten.text, rewritten.created_at) == ("Better", comment.created_at)
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, ada.id)
        found.delete_comment(rewritten, ada.id, standing, house.clock.now())
        work.tasks.remove_comment(rewritten)
        work.tasks.save(found)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.tasks.comment(comment.id, task.id)
    assert (await house.task_queries.comments(task.id, ada.id, None, 10)).data == []
    assert (await house.task_queries.view(task.id, ada.id)).comment_count == 0


async def test_a_loaded_comment_is_the_callers_own_copy(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    comment = await a_comment(house, task.id, ada.id)
    async with house.work() as work:
        mine = await work.tasks.comment(comment.id, task.id)
        mine.text = "Mine"
        mine.mentions.append(AccountId(house.ids.new()))
        assert await work.tasks.comment(comment.id, task.id) == comment


async def test_a_comment_is_found_below_its_own_task_only(house: House) -> None:
    ada = await an_account(house)
    task, other = [await a_task(house, WorkspaceId(ada.id), ada.id) for _ in range(2)]
    comment = await a_comment(house, task.id, ada.id)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.tasks.comment(comment.id, other.id)
        with pytest.raises(NotFound):
            await work.tasks.comment(CommentId(house.ids.new()), task.id)


async def test_comments_are_paged_from_the_oldest_on(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    comments = []
    for number in range(7):
        comments.append(await a_comment(house, task.id, ada.id, f"Comment {number}"))
        house.clock.advance(timedelta(milliseconds=number % 2))
    seen, cursor = [], None
    while True:
        page = await house.task_queries.comments(task.id, ada.id, cursor, 3)
        seen += [view.text for view in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [comment.text for comment in comments]
    other = await a_task(house, WorkspaceId(ada.id), ada.id)
    first = await house.task_queries.comments(task.id, ada.id, None, 3)
    with pytest.raises(InvalidCursor):
        await house.task_queries.comments(other.id, ada.id, first.next_cursor, 3)
