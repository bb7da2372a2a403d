"""What can be done with a task, by whom, and what it announces."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access import Role, Standing
from domain.errors import Forbidden, Invalid, QuotaExceeded
from domain.ids import AccountId, CommentId, TaskId, WorkspaceId
from domain.kernel import Event
from domain.tasks import (
    ASSIGNEES_MAX,
    COMMENT_MAX,
    LABEL_MAX,
    LABELS_MAX,
    MENTIONS_MAX,
    TITLE_MAX,
    WATCHERS_MAX,
    AlreadyAssigned,
    Priority,
    Status,
    Task,
    TooManyWatchers,
)
from domain.tasks.comments import COMMENTS_MAX

ADA, BOB, EVE = (AccountId(UUID(int=n)) for n in (1, 2, 3))
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
MEMBER, ADMIN = Standing(Role.MEMBER), Standing(Role.ADMIN)

instants = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
# What an edit may carry, dates aside, which have a rule between them.
edits = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=TITLE_MAX),
        "description": st.text(st.characters(exclude_categories=["C"]), max_size=50),
        "status": st.sampled_from(Status),
        "priority": st.sampled_from(Priority),
        "labels": st.lists(st.sampled_from(["bug", "api", "ui", " bug "]), max_size=5),
        "due_at": st.none() | instants,
        "estimate_minutes": st.none() | st.integers(0, 1_000),
        "custom": st.dictionaries(st.sampled_from(["sprint", "team"]), st.integers(), max_size=2),
    },
)


def people(count: int) -> list[AccountId]:
    return [AccountId(UUID(int=100 + n)) for n in range(count)]


def a_task(**values: object) -> Task:
    """A task of Ada's as the store hands it out: saved, without news."""
    given = {"title": "Write the plan", **values}
    task = Task.open(TaskId(UUID(int=9)), WorkspaceId(UUID(int=7)), "OPS-12", ADA, NOW, **given)  # type: ignore[arg-type]
    task.take_news()
    return task


def news(task: Task) -> Event:
    (event,) = task.take_news()
    return event


# ------------------------------------------------------------------------------------------------------------- opening


def test_a_new_task_is_to_do_and_watched_by_who_opened_it_and_who_has_it() -> None:
    task = Task.open(
        TaskId(UUID(int=9)), WorkspaceId(UUID(int=7)), "OPS-12", ADA, NOW, [BOB, ADA, BOB], title="  Plan "
    )
    assert (task.title, task.status, task.priority) == ("Plan", Status.TODO, Priority.NONE)
    assert task.assignees == [BOB, ADA]
    assert task.watchers == [ADA, BOB]
    event = news(task)
    assert event.type == "task.created"
    assert event.stream == f"workspace:{task.workspace_id}"
    assert (event.data["key"], event.data["title"]) == ("OPS-12", "Plan")
    assert event.data["assignees"] == [BOB, ADA]


def test_a_task_needs_a_title() -> None:
    for values in ({}, {"title": "  "}):
        with pytest.raises(Invalid) as refusal:
            Task.open(TaskId(UUID(int=9)), WorkspaceId(UUID(int=7)), "OPS-12", ADA, NOW, **values)  # type: ignore[arg-type]
        assert refusal.value.pointer == "/title"


def test_a_task_that_is_opened_as_done_is_completed_at_once() -> None:
    assert a_task(status=Status.DONE).completed_at == NOW
    assert a_task(status=Status.CANCELLED).completed_at is None


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"title": "x" * (TITLE_MAX + 1)}, "/title"),
        ({"title": "a\x00b"}, "/title"),
        ({"labels": ["x" * (LABEL_MAX + 1)]}, "/labels"),
        ({"labels": [" "]}, "/labels"),
        ({"labels": [str(n) for n in range(LABELS_MAX + 1)]}, "/labels"),
        ({"start_at": LATER, "due_at": NOW}, "/due_at"),
        ({"assignees": people(ASSIGNEES_MAX + 1)}, "/assignee_ids"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_pointer_to_it(values: dict[str, object], pointer: str) -> None:
    with pytest.raises(Invalid) as refusal:
        a_task(**values)
    assert refusal.value.pointer == pointer


def test_as_much_as_fits_is_taken() -> None:
    labels = [str(n) for n in range(LABELS_MAX)]
    task = a_task(
        title="x" * TITLE_MAX, labels=[*labels, *labels], assignees=people(ASSIGNEES_MAX), due_at=NOW, start_at=NOW
    )
    assert task.labels == labels
    assert len(task.assignees) == ASSIGNEES_MAX


# ------------------------------------------------------------------------------------------------------------- editing


@given(edits, edits)
def test_setting_what_is_so_already_changes_and_announces_nothing(
    values: dict[str, object], same: dict[str, object]
) -> None:
    task = a_task(**{"title": "Plan", **values, **same})
    before = a_task(**{"title": "Plan", **values, **same})
    task.edit(BOB, LATER, **same)
    assert not task.has_news
    assert task == before


@given(edits, edits)
def test_replaying_the_changes_on_the_old_fields_gives_the_new_ones(
    old: dict[str, object], new: dict[str, object]
) -> None:
    values = {"title": "Plan", **old}
    task, replayed = a_task(**values), a_task(**values)
    task.edit(BOB, LATER, **new)
    for event in task.take_news():
        assert (event.type, event.actor, event.at) == ("task.updated", BOB, LATER)
        for field, (before, after) in event.changes.items():
            assert before != after
            assert getattr(replayed, field) == before
            setattr(replayed, field, after)
        replayed.updated_at, replayed.version = event.at, event.version
    assert replayed == task


def test_becoming_done_and_being_reopened_moves_the_time_of_completion() -> None:
    task = a_task()
    task.edit(BOB, LATER, status=Status.DONE)
    assert task.completed_at == LATER
    assert news(task).changes == {"status": (Status.TODO, Status.DONE), "completed_at": (None, LATER)}
    task.edit(BOB, LATER, title="Still done")
    assert task.completed_at == LATER
    assert set(news(task).changes) == {"title"}
    task.edit(BOB, LATER, status=Status.IN_PROGRESS)
    assert task.completed_at is None
    assert news(task).changes["completed_at"] == (LATER, None)


def test_a_task_cannot_become_due_before_it_starts() -> None:
    task = a_task(start_at=LATER)
    with pytest.raises(Invalid) as refusal:
        task.edit(BOB, LATER, due_at=NOW)
    assert refusal.value.pointer == "/due_at"
    assert not task.has_news


# ------------------------------------------------------------------------------------------------------------ assigning


def test_who_gets_a_task_watches_it_and_keeps_watching_when_it_is_taken_away() -> None:
    task = a_task()
    task.assign(BOB, ADA, LATER)
    assert (task.assignees, task.watchers) == ([BOB], [ADA, BOB])
    event = news(task)
    assert (event.type, event.changes, event.data) == ("task.assigned", {"assignees": ([], [BOB])}, {"account_id": BOB})
    task.unassign(BOB, ADA, LATER)
    assert (task.assignees, task.watchers) == ([], [ADA, BOB])
    assert news(task).changes == {"assignees": ([BOB], [])}


def test_assigning_twice_or_taking_from_who_has_it_not_announces_nothing() -> None:
    task = a_task(assignees=[BOB])
    task.assign(BOB, ADA, LATER)
    task.unassign(EVE, ADA, LATER)
    assert not task.has_news


def test_a_task_has_room_for_so_many_assignees() -> None:
    task = a_task(assignees=people(ASSIGNEES_MAX))
    with pytest.raises(Invalid):
        task.assign(BOB, ADA, LATER)
    assert len(task.assignees) == ASSIGNEES_MAX
    assert BOB not in task.watchers


def test_only_the_first_to_claim_a_task_gets_it() -> None:
    task = a_task()
    task.claim(BOB, LATER)
    assert (task.assignees, task.watchers) == ([BOB], [ADA, BOB])
    assert news(task).type == "task.claimed"
    task.claim(BOB, LATER)
    assert not task.has_news
    with pytest.raises(AlreadyAssigned) as refusal:
        task.claim(EVE, LATER)
    assert refusal.value.extra == {"assignees": [BOB]}
    assert EVE not in task.watchers


# ------------------------------------------------------------------------------------------------------------- watching


def test_watching_and_no_longer_watching_are_announced_once() -> None:
    task = a_task()
    task.watch(BOB, LATER)
    assert news(task).type == "task.watched"
    task.watch(BOB, LATER)
    assert not task.has_news
    task.unwatch(BOB, BOB, LATER)
    assert news(task).type == "task.unwatched"
    task.unwatch(BOB, BOB, LATER)
    assert not task.has_news
    assert task.watchers == [ADA]


def test_a_full_task_refuses_watchers_but_not_the_comment_that_would_make_one() -> None:
    task = a_task()
    task.watchers = people(WATCHERS_MAX)
    with pytest.raises(TooManyWatchers):
        task.watch(BOB, LATER)
    task.comment(CommentId(UUID(int=5)), "Still heard", [], BOB, LATER)
    assert len(task.watchers) == WATCHERS_MAX
    assert task.comment_count == 1


# ------------------------------------------------------------------------------------------------------------ archiving


def test_archiving_puts_a_task_away_until_it_is_taken_out_again() -> None:
    task = a_task()
    task.archive(BOB, LATER)
    assert task.archived_at == LATER
    event = news(task)
    assert (event.type, event.actor, event.changes) == ("task.archived", BOB, {"archived_at": (None, LATER)})
    task.unarchive(EVE, LATER + timedelta(hours=1))
    assert task.archived_at is None
    event = news(task)
    assert (event.type, event.actor, event.changes) == ("task.unarchived", EVE, {"archived_at": (LATER, None)})


def test_archiving_what_is_archived_and_the_reverse_announce_nothing() -> None:
    task = a_task()
    task.unarchive(BOB, LATER)
    assert not task.has_news
    task.archive(BOB, LATER)
    task.take_news()
    task.archive(EVE, LATER + timedelta(hours=1))
    assert not task.has_news
    assert (task.archived_at, task.updated_at) == (LATER, LATER)


# --------------------------------------------------------------------------------------------- deleting and restoring


def test_who_opened_a_task_may_delete_and_restore_it_and_so_may_an_admin() -> None:
    for by, standing in ((ADA, MEMBER), (BOB, ADMIN)):
        task = a_task()
        task.delete(by, standing, LATER)
        assert task.deleted_at == LATER
        assert news(task).type == "task.deleted"
        task.restore(by, standing, LATER)
        assert task.deleted_at is None
        assert news(task).type == "task.restored"
        task.restore(by, standing, LATER)
        assert not task.has_news


def test_another_member_may_neither_delete_nor_restore_it() -> None:
    task = a_task()
    with pytest.raises(Forbidden):
        task.delete(BOB, MEMBER, LATER)
    task.delete(ADA, MEMBER, LATER)
    with pytest.raises(Forbidden):
        task.restore(BOB, MEMBER, LATER)
    assert task.deleted_at == LATER


# ------------------------------------------------------------------------------------------------------------- comments


def test_who_comments_and_who_is_mentioned_watches_from_then_on() -> None:
    task = a_task()
    comment = task.comment(CommentId(UUID(int=5)), " Look here ", [EVE, EVE], BOB, LATER)
    assert (comment.text, comment.mentions, comment.author_id) == ("Look here", [EVE], BOB)
    assert task.watchers == [ADA, BOB, EVE]
    assert task.comment_count == 1
    event = news(task)
    assert (event.type, event.resource_id, event.data) == ("task.comment.created", task.id, comment.snapshot())


@pytest.mark.parametrize(
    ("text", "mentions", "pointer"),
    [(" ", [], "/text"), ("x" * (COMMENT_MAX + 1), [], "/text"), ("x", people(MENTIONS_MAX + 1), "/mentions")],
)
def test_a_comment_that_does_not_fit_is_refused(text: str, mentions: list[AccountId], pointer: str) -> None:
    task = a_task()
    with pytest.raises(Invalid) as refusal:
        task.comment(CommentId(UUID(int=5)), text, mentions, BOB, LATER)
    assert refusal.value.pointer == pointer
    assert (task.comment_count, task.has_news, task.watchers) == (0, False, [ADA])


def test_a_task_with_as_many_comments_as_it_may_have_takes_none_more() -> None:
    task = a_task(comment_count=COMMENTS_MAX - 1)
    task.comment(CommentId(UUID(int=5)), "The last one", [], BOB, LATER)
    with pytest.raises(QuotaExceeded):
        task.comment(CommentId(UUID(int=6)), "One more", [EVE], BOB, LATER)
    assert (task.comment_count, task.watchers) == (COMMENTS_MAX, [ADA, BOB])


def test_only_its_author_rewrites_a_comment_and_the_history_keeps_the_old_text() -> None:
    task = a_task()
    comment = task.comment(CommentId(UUID(int=5)), "First", [], BOB, NOW)
    task.take_news()
    with pytest.raises(Forbidden):
        task.edit_comment(comment, "Mine now", [], ADA, LATER)
    task.edit_comment(comment, "First ", [], BOB, LATER)
    assert not task.has_news
    task.edit_comment(comment, "Second", [EVE], BOB, LATER)
    assert (comment.text, comment.mentions, comment.updated_at) == ("Second", [EVE], LATER)
    assert EVE in task.watchers
    event = news(task)
    assert event.changes["text"] == ("First", "Second")
    assert event.data == comment.snapshot()


def test_a_comment_is_removed_by_its_author_or_by_who_may_delete_any_task() -> None:
    for by, standing in ((BOB, MEMBER), (ADA, ADMIN)):
        task = a_task()
        comment = task.comment(CommentId(UUID(int=5)), "First", [], BOB, NOW)
        task.take_news()
        with pytest.raises(Forbidden):
            task.delete_comment(comment, EVE, MEMBER, LATER)
        task.delete_comment(comment, by, standing, LATER)
        assert task.comment_count == 0
        assert news(task).data == {"comment_id": comment.id}


def test_every_verb_moves_the_time_of_the_last_change() -> None:
    task = a_task()
    verbs: list[Callable[[datetime], object]] = [
        lambda at: task.edit(BOB, at, title="Other"),
        lambda at: task.assign(BOB, ADA, at),
        lambda at: task.unassign(BOB, ADA, at),
        lambda at: task.watch(EVE, at),
        lambda at: task.archive(BOB, at),
        lambda at: task.unarchive(BOB, at),
        lambda at: task.delete(ADA, MEMBER, at),
        lambda at: task.restore(ADA, MEMBER, at),
    ]
    for number, verb in enumerate(verbs, start=1):
        moment = NOW + timedelta(minutes=number)
        verb(moment)
        assert task.updated_at == moment
        assert news(task).at == moment
