"""Who may do what with tasks, and what follows from it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal
from uuid import UUID, uuid4

import pytest

from application.ports.tasks import CommentView, TaskView
from application.principal import Principal
from application.tasks import (
    Bulk,
    BulkCreate,
    BulkDelete,
    BulkUpdate,
    NewComment,
    NewTask,
    TaskPatch,
    TaskQuery,
    TaskRef,
)
from application.workspaces import RoleChange, WorkspacePatch
from domain.access import Role
from domain.errors import Forbidden, Invalid, NotFound, VersionConflict
from domain.ids import AccountId, CommentId, TaskId
from domain.tasks import AlreadyAssigned, NotAMember, Priority, Status
from tests.application.office import ROLES, Office

Act = Callable[[Office, Principal, TaskView, CommentView], Awaitable[object]]

# What is done to the owner's task and the owner's comment below it, and who may do that.
PERMISSIONS: dict[str, tuple[Act, str]] = {
    "read": (lambda o, by, t, c: o.tasks.read(by, TaskId(t.id)), "owner admin member viewer"),
    "list": (
        lambda o, by, t, c: o.tasks.page(by, o.team, TaskQuery(), "created_at", None, 10),
        "owner admin member viewer",
    ),
    "read comments": (lambda o, by, t, c: o.tasks.comments(by, TaskId(t.id), None, 10), "owner admin member viewer"),
    "watch": (lambda o, by, t, c: o.tasks.watch(by, TaskId(t.id)), "owner admin member viewer"),
    "unwatch": (lambda o, by, t, c: o.tasks.unwatch(by, TaskId(t.id)), "owner admin member viewer"),
    "open": (lambda o, by, t, c: o.task(by), "owner admin member"),
    "edit": (lambda o, by, t, c: o.tasks.edit(by, TaskId(t.id), TaskPatch(title="New")), "owner admin member"),
    "archive": (lambda o, by, t, c: o.tasks.archive(by, TaskId(t.id)), "owner admin member"),
    "unarchive": (lambda o, by, t, c: o.tasks.unarchive(by, TaskId(t.id)), "owner admin member"),
    "assign": (lambda o, by, t, c: o.tasks.assign(by, TaskId(t.id), o.admin.account_id), "owner admin member"),
    "unassign": (lambda o, by, t, c: o.tasks.unassign(by, TaskId(t.id), o.member.account_id), "owner admin member"),
    "claim": (lambda o, by, t, c: o.tasks.claim(by, TaskId(t.id)), "owner admin member"),
    "comment": (lambda o, by, t, c: o.tasks.comment(by, TaskId(t.id), NewComment("Hm.")), "owner admin member"),
    "rewrite a comment": (
        lambda o, by, t, c: o.tasks.edit_comment(by, TaskId(t.id), CommentId(c.id), NewComment("Hm.")),
        "owner",
    ),
    "delete a comment": (lambda o, by, t, c: o.tasks.delete_comment(by, TaskId(t.id), CommentId(c.id)), "owner admin"),
    "delete": (lambda o, by, t, c: o.tasks.delete(by, TaskId(t.id)), "owner admin"),
}


@pytest.fixture
async def office() -> Office:
    return await Office.open()


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.parametrize("what", PERMISSIONS)
async def test_each_role_can_do_what_the_table_says(office: Office, what: str, who: str) -> None:
    task = await office.task(office.owner)
    comment = await office.tasks.comment(office.owner, TaskId(task.id), NewComment("Looks good to me."))
    before = await office.news()
    act, allowed = PERMISSIONS[what]
    if who in allowed.split():
        await act(office, office.people[who], task, comment)
        return
    # Strangers may not even know that there is something to be forbidden.
    with pytest.raises(NotFound if who == "stranger" else Forbidden):
        await act(office, office.people[who], task, comment)
    assert await office.news() == before


@pytest.mark.parametrize("what", PERMISSIONS)
async def test_a_task_that_does_not_exist_is_refused_like_a_foreign_one(office: Office, what: str) -> None:
    task = await office.task()
    comment = await office.tasks.comment(office.member, TaskId(task.id), NewComment("Looks good to me."))
    act, _ = PERMISSIONS[what]
    if what in {"open", "list"}:
        return
    await office.tasks.delete(office.member, TaskId(task.id))
    with pytest.raises(NotFound):
        await act(office, office.owner, task, comment)


async def test_a_refusal_names_the_permission_that_is_missing(office: Office) -> None:
    with pytest.raises(Forbidden) as refused:
        await office.task(office.viewer)
    assert refused.value.extra == {"required_permission": "tasks:write"}


async def test_viewers_comment_where_the_workspace_lets_them_and_do_nothing_else(office: Office) -> None:
    task = await office.task()
    await office.workspaces.change(office.admin, office.team, WorkspacePatch(viewers_comment=True))
    comment = await office.tasks.comment(office.viewer, TaskId(task.id), NewComment("A question."))
    await office.tasks.edit_comment(office.viewer, TaskId(task.id), CommentId(comment.id), NewComment("Another."))
    await office.tasks.delete_comment(office.viewer, TaskId(task.id), CommentId(comment.id))
    with pytest.raises(Forbidden):
        await office.tasks.edit(office.viewer, TaskId(task.id), TaskPatch(title="New"))


async def test_members_delete_and_restore_their_own_tasks_and_admins_any(office: Office) -> None:
    mine, others = await office.task(), await office.task(office.admin)
    await office.tasks.delete(office.member, TaskId(mine.id))
    with pytest.raises(Forbidden):
        await office.tasks.delete(office.member, TaskId(others.id))
    await office.tasks.delete(office.owner, TaskId(others.id))
    for id in (mine.id, others.id):
        with pytest.raises(NotFound):
            await office.tasks.read(office.owner, TaskId(id))
    with pytest.raises(Forbidden):
        await office.tasks.restore(office.member, TaskId(others.id))
    with pytest.raises(NotFound):
        await office.tasks.restore(office.stranger, TaskId(mine.id))
    assert (await office.tasks.restore(office.member, TaskId(mine.id))).version == 3
    assert (await office.tasks.restore(office.admin, TaskId(others.id))).title == others.title
    assert await office.types(mine.id) == ["task.created", "task.deleted", "task.restored"]


async def test_an_archived_task_leaves_the_lists_and_nothing_else(office: Office) -> None:
    task, kept = await office.task(title="Archived"), await office.task(title="Kept")
    id, now = TaskId(task.id), office.clock.now()
    assert (await office.tasks.archive(office.admin, id, version=1)).archived_at == now
    office.wait(minutes=1)
    assert (await office.tasks.archive(office.owner, id)).version == 2
    assert await listed(office, TaskQuery()) == [kept.title]
    assert await listed(office, TaskQuery(archived="true")) == [task.title]
    assert await listed(office, TaskQuery(archived="any")) == [task.title, kept.title]
    assert (await office.show(id)).archived_at == now
    edited = await office.tasks.edit(office.member, id, TaskPatch(title="Edited"))
    assert (edited.title, edited.archived_at) == ("Edited", now)
    assert (await office.tasks.unarchive(office.member, id)).archived_at is None
    assert (await office.tasks.unarchive(office.member, id)).version == 4
    assert await listed(office, TaskQuery()) == ["Edited", kept.title]
    assert await office.types(id) == ["task.created", "task.archived", "task.updated", "task.unarchived"]


async def test_tasks_are_called_by_the_prefix_of_their_workspace_and_a_number(office: Office) -> None:
    first, mine, second = await office.task(), await office.tasks.open(office.member, NewTask("x")), await office.task()
    assert (first.key, second.key, mine.key) == ("OPE-1", "OPE-2", "MW-1")
    event = (await office.news())[-1]
    assert (event.type, event.data["key"]) == ("task.created", "OPE-2")
    for key, expected in (("OPE-2", [second.title]), ("ope-2", [second.title]), ("OPE-3", []), ("MW-1", [])):
        assert await listed(office, TaskQuery(key=key)) == expected
    report = await office.tasks.bulk(
        office.member, Bulk([BulkCreate(NewTask(title, workspace_id=office.team)) for title in "ab"])
    )
    assert [result.task and result.task.key for result in report.results] == ["OPE-3", "OPE-4"]


async def test_who_may_not_open_a_task_takes_no_number(office: Office) -> None:
    for nobody in (office.viewer, office.stranger):
        with pytest.raises((Forbidden, NotFound)):
            await office.task(nobody)
    with pytest.raises(NotAMember):
        await office.task(assignee_ids=[office.stranger.account_id])
    assert (await office.task()).key == "OPE-1"


async def test_without_a_workspace_a_task_is_ones_own(office: Office) -> None:
    task = await office.tasks.open(office.stranger, NewTask("Buy milk"))
    assert task.workspace_id == office.stranger.account_id
    listed = await office.tasks.page(office.stranger, None, TaskQuery(), "-created_at", None, 50)
    assert [found.id for found in listed.data] == [task.id]
    with pytest.raises(NotFound):
        await office.tasks.read(office.owner, TaskId(task.id))


async def test_a_new_task_has_defaults_and_a_version(office: Office) -> None:
    task = await office.task(title="  Write the rollout plan ")
    now = office.clock.now()
    assert (task.title, task.description, task.status, task.priority) == ("Write the rollout plan", "", "todo", "none")
    assert (task.labels, task.assignees, task.custom, task.comment_count) == ([], [], {}, 0)
    assert (task.due_at, task.start_at, task.estimate_minutes, task.completed_at) == (None, None, None, None)
    assert (task.created_by, task.created_at, task.updated_at, task.version) == (office.member.account_id, now, now, 1)


async def test_a_patch_changes_what_it_names_and_tells_old_and_new(office: Office) -> None:
    task = await office.task(labels=["a"], estimate_minutes=30, custom={"x": 1})
    office.wait(minutes=1)
    due = datetime(2026, 2, 1, 12, 0, 0, 1999, timezone(timedelta(hours=2)))
    patch = TaskPatch(title="New", status=Status.DONE, labels=[], due_at=due, estimate_minutes=None)
    changed = await office.tasks.edit(office.admin, TaskId(task.id), patch)
    assert changed == await office.show(task.id)
    assert (changed.title, changed.labels, changed.estimate_minutes, changed.custom) == ("New", [], None, {"x": 1})
    assert changed.due_at == datetime(2026, 2, 1, 10, 0, 0, 1000, UTC)
    assert (changed.completed_at, changed.updated_at, changed.version) == (office.clock.now(), office.clock.now(), 2)
    event = (await office.news())[-1]
    assert (event.type, event.actor, event.resource.version) == ("task.updated", office.admin.account_id, 2)
    assert set(event.changes) == {"title", "status", "labels", "due_at", "estimate_minutes", "completed_at"}
    assert event.changes["title"] == ("Write the rollout plan", "New")


@pytest.mark.parametrize(
    "patch",
    [TaskPatch(), TaskPatch(title=" Write the rollout plan"), TaskPatch(labels=["a", "a"], due_at=None, custom={})],
)
async def test_a_patch_that_changes_nothing_leaves_no_trace(office: Office, patch: TaskPatch) -> None:
    task = await office.task(labels=["a"])
    office.wait(minutes=1)
    before = await office.news()
    assert await office.tasks.edit(office.admin, TaskId(task.id), patch, version=1) == task
    assert await office.news() == before


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        (TaskPatch(title="  "), "/title"),
        (TaskPatch(title="nul\x00"), "/title"),
        (TaskPatch(description="half a \ud83d smile"), "/description"),
        (TaskPatch(labels=["fine", " "]), "/labels"),
        (TaskPatch(custom={"x": "nul\x00"}), "/custom"),
        (TaskPatch(custom={"x": "y" * 8_192}), "/custom"),
        (TaskPatch(due_at=datetime(2026, 1, 2, tzinfo=UTC), start_at=datetime(2026, 1, 3, tzinfo=UTC)), "/due_at"),
        (TaskPatch(due_at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))), "/due_at"),
        (TaskPatch(start_at=datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))), "/start_at"),
    ],
)
async def test_what_a_task_cannot_hold_is_refused_by_its_field(office: Office, patch: TaskPatch, pointer: str) -> None:
    task = await office.task()
    with pytest.raises(Invalid) as refused:
        await office.tasks.edit(office.member, TaskId(task.id), patch)
    assert refused.value.pointer == pointer
    assert await office.show(task.id) == task


async def test_a_write_for_another_version_is_refused_with_the_present_task(office: Office) -> None:
    task = await office.task()
    id = TaskId(task.id)
    changed = await office.tasks.edit(office.member, id, TaskPatch(title="New"), version=1)
    for attempt in (
        office.tasks.edit(office.member, id, TaskPatch(title="Lost"), version=1),
        office.tasks.edit(office.member, id, TaskPatch(), version=1),
        office.tasks.delete(office.member, id, version=3),
        office.tasks.archive(office.member, id, version=1),
        office.tasks.unarchive(office.member, id, version=1),
    ):
        with pytest.raises(VersionConflict) as refused:
            await attempt
        assert refused.value.extra == {"current_version": 2, "current": changed}
    await office.tasks.delete(office.member, id, version=2)


async def test_only_members_who_work_there_can_be_assigned(office: Office) -> None:
    ghost = await office.hire("ghost")
    task = await office.task()
    await office.container.administration().disable(f"{office.admin.account_id.hex}@example.org")
    for nobody in (office.viewer, office.stranger, ghost, office.admin):
        with pytest.raises(NotAMember):
            await office.tasks.assign(office.member, TaskId(task.id), nobody.account_id)
        with pytest.raises(NotAMember) as refused:
            await office.task(assignee_ids=[office.member.account_id, nobody.account_id])
        assert refused.value.pointer == "/assignee_ids/1"
    with pytest.raises(NotAMember):
        await office.tasks.assign(office.member, TaskId(task.id), AccountId(uuid4()))
    assert await office.types(task.id) == ["task.created"]


async def test_assigning_twice_and_unassigning_nobody_change_nothing(office: Office) -> None:
    task = await office.task()
    id, admin = TaskId(task.id), office.admin.account_id
    await office.tasks.assign(office.member, id, admin)
    assert (await office.tasks.assign(office.owner, id, admin)).version == 2
    assert (await office.tasks.unassign(office.member, id, admin)).assignees == []
    assert (await office.tasks.unassign(office.member, id, admin)).version == 3
    assert await office.types(task.id) == ["task.created", "task.assigned", "task.unassigned"]


async def test_creators_assignees_and_commenters_watch_by_themselves(office: Office) -> None:
    owner, admin, member, viewer = (office.people[role].account_id for role in ROLES[:4])
    task = await office.task(assignee_ids=[owner])
    assert task.watchers == [member, owner]
    id = TaskId(task.id)
    await office.tasks.unwatch(office.member, id)
    await office.tasks.comment(office.admin, id, NewComment("I look into it."))
    assert (await office.show(id)).watchers == [owner, admin]
    await office.tasks.claim(office.member, TaskId((other := await office.task(office.owner)).id))
    assert (await office.show(other.id)).watchers == [owner, member]
    await office.tasks.watch(office.viewer, id)
    await office.tasks.watch(office.viewer, id)
    assert (await office.show(id)).watchers == [owner, admin, viewer]
    assert (await office.types(id)).count("task.watched") == 1


async def test_mentions_are_of_members_and_make_them_watch(office: Office) -> None:
    task = await office.task()
    admin, viewer, stranger = (office.people[name].account_id for name in ("admin", "viewer", "stranger"))
    text = (
        f"@{{{admin}}} and @{str(viewer).upper()}, not @{{{stranger}}}, {admin} or @{{{admin}}} again, nor @{uuid4()}"
    )
    comment = await office.tasks.comment(office.member, TaskId(task.id), NewComment(text))
    assert (comment.text, comment.mentions) == (text, [admin, viewer])
    assert (await office.show(task.id)).watchers == [office.member.account_id, admin, viewer]
    event = (await office.news())[-1]
    assert event.data["mentions"] == [str(admin), str(viewer)]
    await office.tasks.unwatch(office.admin, TaskId(task.id))
    edited = await office.tasks.edit_comment(
        office.member, TaskId(task.id), CommentId(comment.id), NewComment(f"Just @{office.owner.account_id}")
    )
    assert edited.mentions == [office.owner.account_id]
    shown = await office.show(task.id)
    assert (shown.comment_count, shown.watchers[-1]) == (1, office.owner.account_id)


async def test_a_comment_belongs_to_its_task_and_keeps_its_history(office: Office) -> None:
    task, other = await office.task(), await office.task()
    comment = await office.tasks.comment(office.member, TaskId(task.id), NewComment(" First "))
    for act in (
        office.tasks.edit_comment(office.member, TaskId(other.id), CommentId(comment.id), NewComment("x")),
        office.tasks.delete_comment(office.member, TaskId(other.id), CommentId(comment.id)),
        office.tasks.delete_comment(office.member, TaskId(task.id), CommentId(uuid4())),
    ):
        with pytest.raises(NotFound):
            await act
    before = await office.news()
    id = CommentId(comment.id)
    assert (await office.tasks.edit_comment(office.member, TaskId(task.id), id, NewComment("First"))).text == "First"
    assert await office.news() == before
    await office.tasks.edit_comment(office.member, TaskId(task.id), id, NewComment("Second"))
    assert (await office.news())[-1].changes == {"text": ("First", "Second")}
    await office.tasks.delete_comment(office.owner, TaskId(task.id), id)
    assert not (await office.tasks.comments(office.member, TaskId(task.id), None, 10)).data
    assert (await office.show(task.id)).comment_count == 0


async def test_a_task_is_claimed_once(office: Office) -> None:
    task = await office.task()
    assert (await office.tasks.claim(office.member, TaskId(task.id))).assignees == [office.member.account_id]
    assert (await office.tasks.claim(office.member, TaskId(task.id))).version == 2
    with pytest.raises(AlreadyAssigned) as refused:
        await office.tasks.claim(office.admin, TaskId(task.id))
    assert refused.value.extra == {"assignees": [office.member.account_id]}


async def test_an_atomic_bulk_does_all_or_points_to_what_refused(office: Office) -> None:
    first, second = await office.task(), await office.task()
    before = await office.news()
    create = BulkCreate(NewTask("Third", workspace_id=office.team))
    update = BulkUpdate(first.id, TaskPatch(priority=Priority.HIGH), version=1)
    for refusing, error, pointer in (
        (BulkUpdate(second.id, TaskPatch(title=" ")), Invalid, "/operations/2/patch/title"),
        (BulkUpdate(second.id, TaskPatch(), version=9), VersionConflict, "/operations/2"),
        (BulkDelete(UUID(int=0)), NotFound, "/operations/2"),
        (BulkCreate(NewTask("x", workspace_id=office.stranger.account_id)), NotFound, "/operations/2"),
    ):
        with pytest.raises(error) as refused:
            await office.tasks.bulk(office.member, Bulk([create, update, refusing]))
        assert refused.value.pointer == pointer
    assert await office.news() == before
    report = await office.tasks.bulk(office.member, Bulk([create, update, BulkDelete(second.id, version=1)]))
    assert [(result.index, result.error) for result in report.results] == [(0, None), (1, None), (2, None)]
    created, updated, deleted = (result.task for result in report.results)
    assert created
    assert updated
    assert (updated, deleted) == (TaskRef(first.id, first.key, 2), None)
    assert (await office.show(created.id)).title == "Third"
    assert (await office.show(updated.id)).priority == "high"
    assert [event.type for event in await office.news(after=before[-1].offset)] == [
        "task.created",
        "task.updated",
        "task.deleted",
    ]


@pytest.mark.parametrize("mode", ["atomic", "partial"])
async def test_each_change_of_a_bulk_raises_the_version_that_the_next_one_may_ask_for(
    office: Office, mode: Literal["atomic", "partial"]
) -> None:
    task = await office.task()
    before = await office.news()
    chained = [BulkUpdate(task.id, TaskPatch(title=f"Step {version}"), version=version) for version in (1, 2, 3)]
    report = await office.tasks.bulk(office.member, Bulk([*chained], mode))
    assert (report.failed, (await office.show(task.id)).version) == (0, 4)
    told = await office.news(after=before[-1].offset)
    assert [event.resource.version for event in told] == [2, 3, 4]


async def test_of_two_changes_at_one_version_in_a_bulk_the_second_is_refused(office: Office) -> None:
    task = await office.task()
    twice = [BulkUpdate(task.id, TaskPatch(title=title), version=1) for title in ("One", "Two")]
    with pytest.raises(VersionConflict) as refused:
        await office.tasks.bulk(office.member, Bulk([*twice]))
    assert refused.value.pointer == "/operations/1"
    assert (await office.show(task.id)).version == 1
    report = await office.tasks.bulk(office.member, Bulk([*twice], "partial"))
    assert [result.error and result.error.code for result in report.results] == [None, "version_conflict"]
    assert (await office.show(task.id)).title == "One"


async def test_a_task_can_be_touched_twice_in_a_bulk_but_not_after_its_deletion(office: Office) -> None:
    task = await office.task()
    twice = [BulkUpdate(task.id, TaskPatch(title=title)) for title in ("One", "Two")]
    report = await office.tasks.bulk(office.member, Bulk([*twice]))
    assert [result.task for result in report.results] == [TaskRef(task.id, task.key, 3)] * 2
    with pytest.raises(NotFound) as refused:
        await office.tasks.bulk(office.member, Bulk([BulkDelete(task.id), twice[0]]))
    assert refused.value.pointer == "/operations/1"
    assert (await office.show(task.id)).title == "Two"


async def test_a_partial_bulk_does_what_it_can_and_reports_the_rest(office: Office) -> None:
    mine, others = await office.task(), await office.task(office.owner)
    bulk = Bulk([BulkDelete(others.id), BulkDelete(mine.id), BulkUpdate(mine.id, TaskPatch(title="x"))], "partial")
    report = await office.tasks.bulk(office.member, bulk)
    assert [result.error and result.error.code for result in report.results] == ["permission_denied", None, "not_found"]
    assert report.failed == 2
    assert (await office.show(others.id)) == others


async def test_a_failure_in_a_partial_bulk_points_to_its_operation(office: Office) -> None:
    bulk = Bulk([BulkCreate(NewTask("Fine")), BulkCreate(NewTask(" "))], "partial")
    (_, refused) = (await office.tasks.bulk(office.member, bulk)).results
    assert refused.error
    assert refused.error.pointer == "/operations/1/task/title"


async def test_who_may_write_no_more_cannot_restore(office: Office) -> None:
    task = await office.task()
    await office.tasks.delete(office.member, TaskId(task.id))
    await office.workspaces.change_role(office.admin, office.team, office.member.account_id, RoleChange(Role.VIEWER))
    with pytest.raises(Forbidden):
        await office.tasks.restore(office.member, TaskId(task.id))


async def listed(office: Office, query: TaskQuery, by: Principal | None = None) -> list[str]:
    page = await office.tasks.page(by or office.member, office.team, query, "created_at", None, 50)
    return [task.title for task in page.data]


async def test_filters_say_me_none_and_overdue_as_their_callers_mean_it(office: Office) -> None:
    now = office.clock.now()
    await office.task(title="Mine", assignee_ids=[office.member.account_id])
    await office.task(title="Late", due_at=now - timedelta(hours=1))
    await office.task(title="Was late", due_at=now - timedelta(hours=1), status=Status.DONE)
    await office.task(title="Dropped", due_at=now - timedelta(hours=1), status=Status.CANCELLED)
    await office.task(title="Soon", due_at=now + timedelta(hours=1))
    everything = ["Mine", "Late", "Was late", "Dropped", "Soon"]
    assert await listed(office, TaskQuery()) == everything
    assert await listed(office, TaskQuery(assignee="me")) == ["Mine"]
    assert await listed(office, TaskQuery(assignee="me"), office.admin) == []
    assert await listed(office, TaskQuery(assignee=str(office.member.account_id)), office.admin) == ["Mine"]
    assert await listed(office, TaskQuery(assignee="none")) == everything[1:]
    assert await listed(office, TaskQuery(overdue=True)) == ["Late"]
    assert await listed(office, TaskQuery(overdue=True, due_before=now - timedelta(hours=1))) == []
    office.wait(hours=2)
    assert await listed(office, TaskQuery(overdue=True)) == ["Late", "Soon"]
    assert await listed(office, TaskQuery(status=(Status.DONE, Status.CANCELLED))) == ["Was late", "Dropped"]
    assert await listed(office, TaskQuery(q=" LATE wa ")) == ["Was late"]


@pytest.mark.parametrize(
    "query",
    [
        TaskQuery(assignee="everybody"),
        *(TaskQuery(q=q) for q in ("", " ", "!!!", "\u200b", "👍")),
        TaskQuery(label="x" * 51),
        TaskQuery(label=""),
        TaskQuery(due_before=datetime(2026, 1, 1)),  # noqa: DTZ001  # that is what is refused
        TaskQuery(due_after=datetime(2026, 1, 1)),  # noqa: DTZ001
    ],
)
async def test_a_filter_that_means_nothing_is_refused(office: Office, query: TaskQuery) -> None:
    with pytest.raises(Invalid):
        await listed(office, query)


async def test_who_is_demoted_loses_what_the_role_allowed(office: Office) -> None:
    task = await office.task()
    await office.workspaces.change_role(office.admin, office.team, office.member.account_id, RoleChange(Role.VIEWER))
    for act in (office.tasks.delete(office.member, TaskId(task.id)), office.task()):
        with pytest.raises(Forbidden):
            await act
