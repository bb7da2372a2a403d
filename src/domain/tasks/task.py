"""The aggregate of a task: every change of it and of its comments."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from domain.access import Permission, Standing
from domain.channels import ChannelClass, ChannelKind, by_id, workspace_stream
from domain.errors import Conflict, Forbidden, Invalid, QuotaExceeded
from domain.ids import AccountId, CommentId, TaskId, WorkspaceId
from domain.kernel import Aggregate, EventType
from domain.tasks.comments import COMMENTS_MAX, MENTIONS_MAX, Comment, comment_text
from domain.tasks.events import EVENTS
from domain.tasks.fields import CLOSED, EDITABLE, Priority, Status, checked
from domain.tasks.reminders import next_reminder

ASSIGNEES_MAX = 20
WATCHERS_MAX = 500

TASK = ChannelKind("task", ChannelClass.DURABLE, by_id, is_place=True)


class NotAMember(Invalid):
    """The account cannot be assigned: it is no active member of the workspace, or only a viewer."""

    code = "not_a_member"


class AlreadyAssigned(Conflict):
    """Another member has claimed or been given the task already."""

    code = "already_assigned"


class TooManyWatchers(Conflict):
    """The task has as many watchers as it may have."""

    code = "too_many_watchers"


_SNAPSHOT = tuple(EVENTS["task.created"].data)


@dataclass(slots=True)
class Task(Aggregate):
    """A piece of work in a workspace.

    `key` is its name for people, such as `OPS-12`. It is unique in the workspace and never changes. An archived task
    behaves like any other, but lists leave it out by default.
    Assignees are at most 20 active members who are not viewers. Watchers are members: the creator, the assignees, and
    the authors and mentioned accounts of comments become watchers. A member who leaves while a task is closed or
    deleted stays assigned, which records their work, until the task is open again or another member is assigned.
    `completed_at` is the time at which it became done, and None while it is not done. Times are aware UTC.
    """

    resource_type: ClassVar[str] = "task"
    announces: ClassVar[Mapping[str, EventType]] = EVENTS
    # The fields that a caller can set on opening or editing. `checked` holds every rule about them.
    editable: ClassVar[frozenset[str]] = EDITABLE

    id: TaskId
    workspace_id: WorkspaceId
    key: str
    title: str
    description: str
    status: Status
    priority: Priority
    labels: list[str]
    assignees: list[AccountId]
    watchers: list[AccountId]
    due_at: datetime | None
    start_at: datetime | None
    estimate_minutes: int | None
    custom: Mapping[str, object]
    comment_count: int
    created_by: AccountId
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    archived_at: datetime | None = None
    deleted_at: datetime | None = None
    # When people are reminded of `due_at` the next time; see `Reminder`. Time changes it without an event.
    remind_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def open(
        cls,
        id: TaskId,
        workspace_id: WorkspaceId,
        key: str,
        by: AccountId,
        at: datetime,
        assignees: Collection[AccountId] = (),
        **values: object,
    ) -> "Task":
        """A new task. `values` are any of the editable fields. The caller has checked that `assignees` are allowed."""
        task = cls(
            id=id,
            workspace_id=workspace_id,
            key=key,
            title="",
            description="",
            status=Status.TODO,
            priority=Priority.NONE,
            labels=[],
            assignees=_limited(list(dict.fromkeys(assignees)), ASSIGNEES_MAX, "/assignee_ids"),
            watchers=list(dict.fromkeys((by, *assignees))),
            due_at=None,
            start_at=None,
            estimate_minutes=None,
            custom={},
            comment_count=0,
            created_by=by,
            created_at=at,
            updated_at=at,
        )
        for name, value in values.items():
            setattr(task, name, checked(name, value))
        if not task.title:
            raise Invalid("A task needs a title.", pointer="/title")
        task._check_dates()
        if task.status is Status.DONE:
            task.completed_at = at
        task._plan_reminder(at)
        task._tell("task.created", by, at, data={name: getattr(task, name) for name in _SNAPSHOT})
        return task

    @property
    def is_open(self) -> bool:
        """Whether the task is neither closed nor deleted."""
        return self.deleted_at is None and self.status not in CLOSED

    def edit(self, by: AccountId, at: datetime, **values: object) -> None:
        """Set any of the editable fields. Setting a field to the value it has changes and announces nothing."""
        changes: dict[str, tuple[object, object]] = {}
        was_open = self.is_open
        for name, value in values.items():
            old, new = getattr(self, name), checked(name, value)
            # Python compares 1, 1.0 and True as equal. Readers of the custom fields do not.
            if new != old or (name == "custom" and repr(new) != repr(old)):
                setattr(self, name, new)
                changes[name] = (old, new)
        if not changes:
            return
        if "due_at" in changes or "start_at" in changes:
            self._check_dates()
        if "status" in changes:
            completed = at if self.status is Status.DONE else None
            if completed != self.completed_at:
                changes["completed_at"] = (self.completed_at, completed)
                self.completed_at = completed
        if "due_at" in changes or was_open is not self.is_open:
            self._plan_reminder(at)
        self._tell("task.updated", by, at, changes)

    def assign(self, account: AccountId, by: AccountId, at: datetime) -> None:
        """Assign one more account, which then watches the task too."""
        if account in self.assignees:
            return
        old = self.assignees
        self.assignees = _limited([*old, account], ASSIGNEES_MAX, "/assignee_ids")
        self._watch(account)
        self._tell("task.assigned", by, at, {"assignees": (old, self.assignees)}, {"account_id": account})

    def unassign(self, account: AccountId, by: AccountId | None, at: datetime) -> None:
        if account not in self.assignees:
            return
        old = self.assignees
        self.assignees = [a for a in old if a != account]
        self._tell("task.unassigned", by, at, {"assignees": (old, self.assignees)}, {"account_id": account})

    def claim(self, by: AccountId, at: datetime) -> None:
        """Assign the caller to a task without assignees. Claiming one's own task again changes nothing."""
        if self.assignees == [by]:
            return
        if self.assignees:
            raise AlreadyAssigned("Somebody has this task already.", extra={"assignees": self.assignees})
        self.assignees = [by]
        self._watch(by)
        self._tell("task.claimed", by, at, {"assignees": ([], self.assignees)}, {"account_id": by})

    def watch(self, by: AccountId, at: datetime) -> None:
        if by not in self.watchers:
            if len(self.watchers) >= WATCHERS_MAX:
                raise TooManyWatchers(f"At most {WATCHERS_MAX} people can watch a task.")
            self._watch(by)
            self._tell("task.watched", by, at, data={"account_id": by})

    def unwatch(self, account: AccountId, by: AccountId | None, at: datetime) -> None:
        if account in self.watchers:
            self.watchers = [w for w in self.watchers if w != account]
            self._tell("task.unwatched", by, at, data={"account_id": account})

    def archive(self, by: AccountId, at: datetime) -> None:
        """Put the task away. Searches find it as before."""
        if self.archived_at is None:
            self.archived_at = at
            self._tell("task.archived", by, at, {"archived_at": (None, at)})

    def unarchive(self, by: AccountId, at: datetime) -> None:
        if self.archived_at is not None:
            old, self.archived_at = self.archived_at, None
            self._tell("task.unarchived", by, at, {"archived_at": (old, None)})

    def delete(self, by: AccountId, standing: Standing, at: datetime) -> None:
        """Hide the task. Its creator may do so, and a member with the right to delete any task."""
        if by != self.created_by:
            standing.require(Permission.DELETE_ANY_TASK)
        self.deleted_at = at
        self._plan_reminder(at)
        self._tell("task.deleted", by, at)

    def restore(self, by: AccountId, standing: Standing, at: datetime) -> None:
        """Show a deleted task again. The members who may delete it may restore it."""
        if self.deleted_at is None:
            return
        if by != self.created_by:
            standing.require(Permission.DELETE_ANY_TASK)
        self.deleted_at = None
        self._plan_reminder(at)
        self._tell("task.restored", by, at)

    def comment(self, id: CommentId, text: str, mentions: Iterable[AccountId], by: AccountId, at: datetime) -> Comment:
        """Add a comment. Its author and the accounts that it mentions watch the task from now on."""
        mentioned = _limited(list(dict.fromkeys(mentions)), MENTIONS_MAX, "/mentions")
        if self.comment_count >= COMMENTS_MAX:
            raise QuotaExceeded("comments_of_a_task", COMMENTS_MAX)
        comment = Comment(id, self.id, by, comment_text(text), mentioned, at, at)
        for account in (by, *mentioned):
            self._watch(account)
        self.comment_count += 1
        self._tell("task.comment.created", by, at, data=comment.snapshot())
        return comment

    def edit_comment(
        self, comment: Comment, text: str, mentions: Iterable[AccountId], by: AccountId, at: datetime
    ) -> None:
        """Rewrite one's own comment; the history keeps the old text."""
        if by != comment.author_id:
            raise Forbidden("Only its author can rewrite a comment.")
        new, mentioned = comment_text(text), _limited(list(dict.fromkeys(mentions)), MENTIONS_MAX, "/mentions")
        if (new, mentioned) == (comment.text, comment.mentions):
            return
        changes: dict[str, tuple[object, object]] = {}
        if new != comment.text:
            changes["text"] = comment.text, new
        if mentioned != comment.mentions:
            changes["mentions"] = comment.mentions, mentioned
        comment.text, comment.mentions, comment.updated_at = new, mentioned, at
        for account in mentioned:
            self._watch(account)
        self._tell("task.comment.updated", by, at, changes, comment.snapshot())

    def delete_comment(self, comment: Comment, by: AccountId, standing: Standing, at: datetime) -> None:
        """Remove a comment: one's own, or any with the right to delete any task."""
        if by != comment.author_id:
            standing.require(Permission.DELETE_ANY_TASK)
        self.comment_count -= 1
        self._tell("task.comment.deleted", by, at, data={"comment_id": comment.id})

    def _watch(self, account: AccountId) -> None:
        if account not in self.watchers and len(self.watchers) < WATCHERS_MAX:
            self.watchers = [*self.watchers, account]

    def _plan_reminder(self, at: datetime) -> None:
        self.remind_at = next_reminder(self.due_at, at) if self.is_open else None

    def _check_dates(self) -> None:
        if self.start_at and self.due_at and self.due_at < self.start_at:
            raise Invalid("A task cannot be due before it starts.", pointer="/due_at")

    def _tell(
        self,
        type: str,
        by: AccountId | None,
        at: datetime,
        changes: Mapping[str, tuple[object, object]] | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        self.updated_at = at
        self._announce(type, workspace_stream(self.workspace_id), self.id, at, by, changes, data)


def _limited(accounts: list[AccountId], most: int, pointer: str) -> list[AccountId]:
    if len(accounts) > most:
        raise Invalid(f"At most {most} people fit here.", pointer=pointer)
    return accounts
